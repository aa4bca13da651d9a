"""What boto3's errors mean, in a sentence that says what is to be done."""

from __future__ import annotations

import re

from botocore.exceptions import BotoCoreError, ClientError

from rota.core.errors import SourceDeniedError, SourceError, StoreDeniedError, StoreError

DENIED: frozenset[str] = frozenset(
    {"403", "Forbidden", "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}
)
"""Codes of an answer that lacks a permission. An answer to HEAD has no body, and so no better code than its status."""
_ACTIONS = {
    "lambda:Invoke": "lambda:InvokeFunction",
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:CopyObject": "s3:PutObject",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:UploadPart": "s3:PutObject",
    "s3:UploadPartCopy": "s3:PutObject",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:SendMessageBatch": "sqs:SendMessage",
}
"""Calls whose permission is called something else."""
_NAMED = re.compile(r"to perform: ([\w-]+:\w+)")
_HIDDEN = "; without s3:ListBucket, S3 answers the same for a key that does not exist"


def code_of(error: ClientError) -> str:
    """What the service calls the error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def action_of(error: ClientError, service: str) -> str:
    """The permission that the call needs, in IAM's words. service: as in such words."""
    return _action(f"{service}:{error.operation_name}", message_of(error))


def denial(error: ClientError, service: str) -> str:
    """What is lacking, if the error's code is one of `DENIED`."""
    return denied(f"{service}:{error.operation_name}", message_of(error) or code_of(error))


def denied(call: str, message: str) -> str:
    """The sentence for a call that was denied: it names the permission. message: what AWS said."""
    action = _action(call, message)
    said = f"access denied: the credentials in use lack the permission {action} ({message})"
    return said + (_HIDDEN if action == "s3:GetObject" else "")


def store_error(said: str, error: BotoCoreError | ClientError, service: str, **ids: str) -> StoreError:
    """The error of a sink or folder that cannot do what was asked. said: what that was."""
    kind = StoreDeniedError if _is_denied(error) else StoreError
    return kind(f"{said}: {reason(error, service)}", **ids)


def source_error(said: str, error: BotoCoreError | ClientError, service: str, **ids: str) -> SourceError:
    """Likewise of a source."""
    kind = SourceDeniedError if _is_denied(error) else SourceError
    return kind(f"{said}: {reason(error, service)}", **ids)


def reason(error: BotoCoreError | ClientError, service: str) -> str:
    """Why a call failed."""
    if isinstance(error, ClientError) and _is_denied(error):
        return denial(error, service)
    return str(error)


def _is_denied(error: BotoCoreError | ClientError) -> bool:
    return isinstance(error, ClientError) and code_of(error) in DENIED


def message_of(error: ClientError) -> str:
    """What the service says of it; nothing, to a HEAD."""
    return str(error.response.get("Error", {}).get("Message", ""))


def _action(call: str, message: str) -> str:
    """The permission for a call, as a policy spells it, or as AWS's own words do."""
    named = _NAMED.search(message)
    action = named[1] if named else call
    return _ACTIONS.get(action, action)
