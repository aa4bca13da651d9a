"""The bucket that bundles and templates are uploaded to: one for an account and region, or one that the user names.

What is uploaded is named after its content, so nothing is uploaded twice and no stack is ever rolled back to code that
was overwritten. Every call says whose the bucket must be: its name can be guessed, and somebody else may have it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from rota.aws.sessions import translating
from rota.aws.stack.storage import only_by_tls
from rota.connectors.aws_errors import code_of
from rota.core.errors import NotFoundError, RotaError

_MISSING = {"404", "NoSuchBucket", "NotFound", "NoSuchKey"}
_DAYS = 90
"""How long a bundle is kept that was replaced; a stack may be rolled back as long."""


class Uploads:
    """s3: a boto3 client. bucket: None means `rota-deploy-ACCOUNT-REGION`, which is made if it is missing."""

    def __init__(self, s3: Any, account: str, region: str, bucket: str | None = None) -> None:
        self._s3 = s3
        self._account = account
        self._region = region
        self._named = bucket
        self.bucket: str = bucket or f"rota-deploy-{account}-{region}"
        self._made = False
        self._put: list[str] = []

    def prepare(self) -> bool:
        """Make sure that the bucket is there; answers whether it was made."""
        if self.exists():
            return False
        if self._named is not None:
            raise NotFoundError("bucket", self.bucket, "make it, or leave --bucket out to have one made")
        self._make()
        self._made = True
        return True

    def exists(self) -> bool:
        """Whether the bucket is there and the account's. RotaError if it is somebody else's, or may not be
        listed."""
        with translating("s3", bucket=self.bucket):
            try:
                self._s3.head_bucket(Bucket=self.bucket, ExpectedBucketOwner=self._account)
            except ClientError as error:
                if code_of(error) in _MISSING:
                    return False
                if code_of(error) == "403":
                    raise RotaError(
                        f"access denied to the bucket {self.bucket}: the credentials in use lack the permission "
                        f"s3:ListBucket, or it is not of account {self._account}; grant it, or name another bucket",
                        bucket=self.bucket,
                    ) from error
                raise
        return True

    def put(self, stack: str, name: str, data: bytes, progress: Callable[[str, int], None] | None = None) -> str:
        """Upload `data` unless it is there; answers its key. progress: is told name and bytes of an upload."""
        key = f"{stack}/{hashlib.sha256(data).hexdigest()[:32]}-{name}"
        with translating("s3", bucket=self.bucket):
            try:
                self._s3.head_object(Bucket=self.bucket, Key=key, ExpectedBucketOwner=self._account)
            except ClientError as error:
                if code_of(error) not in _MISSING:
                    raise
                if progress is not None:
                    progress(name, len(data))
                self._s3.put_object(Bucket=self.bucket, Key=key, Body=data, ExpectedBucketOwner=self._account)
                self._put.append(key)
        return key

    def url(self, key: str) -> str:
        """Where CloudFormation finds what was uploaded."""
        return f"{self._s3.meta.endpoint_url}/{self.bucket}/{key}"

    def forget(self, stack: str) -> int:
        """Delete what was uploaded for a stack; answers how many versions of objects that were."""
        return empty(self._s3, self.bucket, f"{stack}/") if self.exists() else 0

    def take_back(self) -> None:
        """Delete what was put that was not there before, and the bucket if it was made, unless somebody else has begun
        to use it."""
        while self._put:
            empty(self._s3, self.bucket, self._put[-1])
            self._put.pop()
        if not self._made:
            return
        with translating("s3", bucket=self.bucket):
            try:
                self._s3.delete_bucket(Bucket=self.bucket, ExpectedBucketOwner=self._account)
            except ClientError as error:
                if code_of(error) not in {"BucketNotEmpty", *_MISSING}:
                    raise
        self._made = False

    def _make(self) -> None:
        where = {} if self._region == "us-east-1" else {"LocationConstraint": self._region}
        owner = {"Bucket": self.bucket, "ExpectedBucketOwner": self._account}
        partition = self._s3.meta.partition
        arn = f"arn:{partition}:s3:::{self.bucket}"
        policy = {"Version": "2012-10-17", "Statement": [only_by_tls("s3:*", [arn, f"{arn}/*"])]}
        rule = {"SSEAlgorithm": "AES256"}
        old = {
            "ID": "OldVersions",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "NoncurrentVersionExpiration": {"NoncurrentDays": _DAYS},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
        }
        closed = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
        with translating("s3", bucket=self.bucket):
            configuration = {"CreateBucketConfiguration": where} if where else {}
            self._s3.create_bucket(Bucket=self.bucket, **configuration)
            self._s3.put_public_access_block(**owner, PublicAccessBlockConfiguration=dict.fromkeys(closed, True))
            self._s3.put_bucket_encryption(
                **owner,
                ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": rule}]},
            )
            self._s3.put_bucket_versioning(**owner, VersioningConfiguration={"Status": "Enabled"})
            self._s3.put_bucket_lifecycle_configuration(**owner, LifecycleConfiguration={"Rules": [old]})
            self._s3.put_bucket_policy(**owner, Policy=msgspec.json.encode(policy).decode())


def empty(s3: Any, bucket: str, prefix: str = "") -> int:
    """Delete every version of every object under a prefix; answers how many those were."""
    deleted = 0
    with translating("s3", bucket=bucket):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
            found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            objects = [{"Key": it["Key"], "VersionId": it["VersionId"]} for it in found]
            if objects:
                answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
                for failed in answer.get("Errors", ()):
                    raise ClientError({"Error": failed}, "DeleteObjects")
                deleted += len(objects)
    return deleted
