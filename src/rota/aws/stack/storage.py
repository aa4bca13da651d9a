"""What the stack keeps: the table, the bucket and the queues, all encrypted and reached by TLS alone.

Encryption is by keys that AWS owns (SSE-SQS, the table's default, SSE-S3). A KMS key of the account's own would be one
more service that every firing depends on and one more permission in every role, and would keep out nobody who may read
the queue, since they need the key as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rota.aws.dynamo.schema import EXPIRES, TABLE
from rota.aws.stack.batches import QUEUES
from rota.aws.stack.map import map_rules
from rota.aws.stack.parameters import visibility
from rota.aws.stack.permission import arn
from rota.aws.stack.pipe import PIPELINE_QUEUES, VISIBLE, pipe_rules
from rota.aws.stack.plan import StackPlan
from rota.aws.stack.statements import queue_resource
from rota.aws.stack.suppress import on_purpose

Json = dict[str, Any]
LONGEST_RETENTION = 14 * 86_400
"""Seconds that SQS keeps a message at most."""
RECEIVED_AT_MOST = 10
"""Deliveries before a message is dead. Throttled batches and runs that another delivery still holds count too, so this
is more than the attempts of any run."""
_LANES: Json = {"FifoQueue": True, "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
_BY_AWS = "encrypted by a key that AWS owns; one of our own would keep out nobody more"
_BY_SQS = "encrypted by SSE-SQS, which this rule does not know; a key of our own would keep out nobody more"


def storage(plan: StackPlan) -> Json:
    """The table, the bucket, every queue, and their policies."""
    return {"Table": _table(), "Bucket": _bucket(), "BucketPolicy": _bucket_policy(), **_queues(plan)}


def _table() -> Json:
    return {
        "Type": "AWS::DynamoDB::Table",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Retain",
        "Metadata": on_purpose({"CKV_AWS_119": _BY_AWS}),
        "Properties": {
            **TABLE,
            "TimeToLiveSpecification": {"AttributeName": EXPIRES, "Enabled": True},
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
            "DeletionProtectionEnabled": {"Fn::If": ["TableProtection", True, False]},
        },
    }


def _bucket() -> Json:
    return {
        "Type": "AWS::S3::Bucket",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Retain",
        "Metadata": on_purpose(
            {
                "CKV_AWS_18": "only functions of this stack use it, and their calls are traced",
            }
        ),
        "Properties": {
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "PublicAccessBlockConfiguration": {
                "BlockPublicAcls": True,
                "BlockPublicPolicy": True,
                "IgnorePublicAcls": True,
                "RestrictPublicBuckets": True,
            },
            "VersioningConfiguration": {"Status": "Enabled"},
            "LifecycleConfiguration": {
                "Rules": [
                    {
                        "Id": "Payloads",
                        "Status": "Enabled",
                        "Prefix": "payloads/",
                        "ExpirationInDays": {"Ref": "PayloadDays"},
                    },
                    {
                        "Id": "OldVersions",
                        "Status": "Enabled",
                        "NoncurrentVersionExpiration": {"NoncurrentDays": 7},
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
                    },
                ]
            },
        },
    }


def _bucket_policy() -> Json:
    everything = [arn("Bucket"), {"Fn::Sub": "${Bucket.Arn}/*"}]
    return {
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {
            "Bucket": {"Ref": "Bucket"},
            "PolicyDocument": {"Version": "2012-10-17", "Statement": [only_by_tls("s3:*", everything)]},
        },
    }


def _queues(plan: StackPlan) -> Json:
    """Dead-letter queues hold what is left for as long as SQS can; the others, a few days more than any outage."""
    found: Json = {
        "DispatchDeadQueue": _queue(LONGEST_RETENTION),
        "WorkerDeadQueue": _queue(LONGEST_RETENTION),
        "DispatchQueue": _queue(4 * 86_400, dead="DispatchDeadQueue", visible=visibility("DispatcherTimeout")),
        "WorkerQueue": _queue(4 * 86_400, dead="WorkerDeadQueue", visible=visibility("WorkerTimeout")),
        "DeadQueue": _queue(LONGEST_RETENTION),
        "FailureQueue": _queue(LONGEST_RETENTION),
        "UnreadQueue": _queue(LONGEST_RETENTION),
    }
    for name in plan.queues:
        resource = queue_resource(name)
        found[resource] = _queue(LONGEST_RETENTION, dead="UnreadQueue", name={"Fn::Sub": f"${{AWS::StackName}}-{name}"})
    # The dead-letter queues of the feeder's dispatchers are read by a function too.
    for resource in ("DispatchDeadQueue", "WorkerDeadQueue"):
        found[resource]["Properties"]["VisibilityTimeout"] = visibility("DispatcherTimeout")
    found |= _batch_queues(plan) | _pipe_queues(plan)
    return found | {f"{resource}Policy": _queue_policy(resource, plan) for resource in list(found)}


def _batch_queues(plan: StackPlan) -> Json:
    """Chunks go in lanes, each a message group: SQS hands out one message of a group at a time."""
    found: Json = {}
    for name, dead, timeout, fifo in QUEUES if plan.batches else ():
        found[name] = _queue(4 * 86_400, dead=dead, visible=visibility(timeout))
        # One function reads all of the dead-letter queues.
        found[dead] = _queue(LONGEST_RETENTION, visible=visibility("BatchTimeout"))
        for resource in (name, dead) if fifo else ():
            found[resource]["Properties"] |= _LANES
    return found


def _pipe_queues(plan: StackPlan) -> Json:
    """In lanes likewise, those of dead letters too, as SQS wants it."""
    found: Json = {}
    for name, dead in PIPELINE_QUEUES if plan.pipelines else ():
        found[name] = _queue(LONGEST_RETENTION if dead is None else 4 * 86_400, dead=dead, visible=VISIBLE)
        found[name]["Properties"] |= _LANES
    return found


def _queue(retention: int, *, dead: str | None = None, visible: object = None, name: object = None) -> Json:
    properties: Json = {"SqsManagedSseEnabled": True, "MessageRetentionPeriod": retention}
    if dead is not None:
        properties["RedrivePolicy"] = {"deadLetterTargetArn": arn(dead), "maxReceiveCount": RECEIVED_AT_MOST}
    if visible is not None:
        properties["VisibilityTimeout"] = visible
    if name is not None:
        properties["QueueName"] = name
    return {
        "Type": "AWS::SQS::Queue",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Metadata": on_purpose({"CKV_AWS_27": _BY_SQS}),
        "Properties": properties,
    }


def _queue_policy(resource: str, plan: StackPlan) -> Json:
    statements: list[Json] = [only_by_tls("sqs:*", [arn(resource)])]
    if rules := _senders(resource, plan):
        statements.append(
            {
                "Sid": "EventBridge",
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": arn(resource),
                "Condition": {"ArnEquals": {"aws:SourceArn": rules}},
            }
        )
    return {
        "Type": "AWS::SQS::QueuePolicy",
        "Properties": {
            "Queues": [{"Ref": resource}],
            "PolicyDocument": {"Version": "2012-10-17", "Statement": statements},
        },
    }


def _senders(resource: str, plan: StackPlan) -> list[Any]:
    """The rules of EventBridge that send to a queue."""
    if resource == "PlanQueue":
        return map_rules(plan)
    if resource != "FailureQueue":
        return []
    sweeping = [arn("SweeperHourly")] if plan.batches else []
    return [arn("FeederPeriodic"), *sweeping, *pipe_rules(plan), *map_rules(plan)]


def only_by_tls(actions: str, on: Iterable[object]) -> Json:
    """A statement that refuses everything which does not come by TLS. It gives nobody anything, so it may be wide."""
    return {
        "Sid": "OnlyByTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": actions,
        "Resource": list(on),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
