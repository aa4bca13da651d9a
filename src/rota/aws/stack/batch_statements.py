"""What the functions of batch runs may do, and what that is about. Nothing of it is in a stack without batches.

A batch reads and writes where it is declared to, and there alone; for what `rota batch start --source` names instead,
the parameter WorkerPolicyArns adds permissions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from rota.aws.stack.permission import HAND_OVER, LOGS, STORE, TRACES, Permission, arn, consume
from rota.aws.stack.plan import StackPlan

BatchRole = Literal["Planner", "Processor", "Finalizer", "BatchDead", "Sweeper"]
_SENDING = ("SendMessage", "SendMessageBatch")
_CHUNKS = Permission("sqs", _SENDING, "batch.lanes", "chunks are messages")
PLAN: Permission = Permission("sqs", _SENDING, "batch.plan", "have batch runs planned, and put off what waits")
FINALIZE: Permission = Permission("sqs", _SENDING, "batch.finalize", "say that a batch run may have come to its end")
_SOURCES = Permission("s3", ("GetObject", "GetObjectVersion"), "sources", "read the items")
_SOURCE_BUCKETS = Permission("s3", ("ListBucket",), "sources.buckets", "find the objects, and tell what is missing")
_FILES = Permission("s3", ("DeleteObject", "GetObject", "PutObject"), "batches", "what a batch run keeps of its own")
_SINKS = Permission(
    "s3",
    ("AbortMultipartUpload", "DeleteObject", "GetObject", "PutObject"),
    "sinks",
    "parts of the results, and the file that they are put together to",
)
_SINK_BUCKETS = Permission(
    "s3", ("ListBucket", "ListBucketMultipartUploads"), "sinks.buckets", "see whose results a sink holds"
)
_SINK_TABLES = Permission(
    "dynamodb", ("BatchWriteItem", "DescribeTable"), "sinks.tables", "results as items of a table"
)
_RESULTS = (_FILES, _SINKS, _SINK_BUCKETS, _SINK_TABLES)
BATCH_PERMISSIONS: Mapping[BatchRole, tuple[Permission, ...]] = {
    "Planner": (
        consume("batch.plan"),
        STORE,
        _CHUNKS,
        PLAN,
        FINALIZE,
        _SOURCES,
        _SOURCE_BUCKETS,
        *_RESULTS,
        LOGS,
        TRACES,
    ),
    "Processor": (
        consume("batch.chunks"),
        STORE,
        _CHUNKS,
        PLAN,
        FINALIZE,
        _SOURCES,
        *_RESULTS,
        LOGS,
        TRACES,
    ),
    "Finalizer": (
        consume("batch.finalize"),
        STORE,
        _CHUNKS,
        PLAN,
        FINALIZE,
        *HAND_OVER,
        *_RESULTS,
        LOGS,
        TRACES,
    ),
    "BatchDead": (
        consume("batch.chunks.dead"),
        consume("batch.plan.dead"),
        consume("batch.finalize.dead"),
        STORE,
        _CHUNKS,
        PLAN,
        FINALIZE,
        *HAND_OVER,
        _SOURCES,
        *_RESULTS,
        LOGS,
        TRACES,
    ),
    "Sweeper": (
        STORE,
        PLAN,
        FINALIZE,
        _FILES,
        Permission("s3", ("ListBucket",), "sinks.buckets", "tell a note that is not there from one it may not see"),
        Permission("sqs", ("SendMessage",), "failures", "where Lambda puts sweeps that failed"),
        LOGS,
        TRACES,
    ),
}
CLIENT_ROWS: tuple[Permission, ...] = (
    PLAN,
    FINALIZE,
    Permission("s3", ("GetObject",), "batches", "dead letters, manifests and receipts"),
    Permission("s3", ("GetObject",), "sinks", "prove that results are whole"),
    Permission("s3", ("GetObject", "GetObjectVersion"), "sources", "see before a start that they can be read"),
    Permission("s3", ("ListBucket",), "sources.buckets", "and that they are there"),
    Permission("s3", ("ListBucket",), "sinks.buckets", "see before a start that there is room for results"),
    Permission("dynamodb", ("DescribeTable",), "sinks.tables", "likewise"),
)
BATCH_WITHIN: Mapping[str, str] = {
    "batches": "a batch run keeps its files under its id, all under batches/ in the stack's bucket",
    "sources": "objects under a prefix or a glob have names that only S3 knows",
    "sinks": "parts are named after their chunks, all under the prefix that the batch declares",
}


def batch_resources(plan: StackPlan) -> dict[str, list[Any]]:
    """What the keys stand for; nothing at all without batches."""
    if not plan.batches:
        return {key: [] for key in _KEYS}
    return {
        "batch.chunks": [arn("BatchQueue")],
        "batch.lanes": [arn("BatchQueue"), *([arn("PipelineQueue")] if plan.pipelines else [])],
        "batch.plan": [arn("PlanQueue")],
        "batch.finalize": [arn("FinalizeQueue")],
        "batch.chunks.dead": [arn("BatchDeadQueue")],
        "batch.plan.dead": [arn("PlanDeadQueue")],
        "batch.finalize.dead": [arn("FinalizeDeadQueue")],
        "batches": [{"Fn::Sub": "${Bucket.Arn}/batches/*"}],
        "sources": [_object(it) for it in plan.sources],
        "sources.buckets": _buckets(plan.sources),
        "sinks": [_object(it) for it in plan.sinks],
        "sinks.buckets": [arn("Bucket"), *_buckets(plan.sinks)],
        "sinks.tables": [
            {"Fn::Sub": f"arn:${{AWS::Partition}}:dynamodb:${{AWS::Region}}:${{AWS::AccountId}}:table/{it}"}
            for it in plan.sink_tables
        ],
    }


_KEYS = (
    "batch.chunks",
    "batch.lanes",
    "batch.plan",
    "batch.finalize",
    "batch.chunks.dead",
    "batch.plan.dead",
    "batch.finalize.dead",
    "batches",
    "sources",
    "sources.buckets",
    "sinks",
    "sinks.buckets",
    "sinks.tables",
)


def _object(place: str) -> dict[str, str]:
    return {"Fn::Sub": f"arn:${{AWS::Partition}}:s3:::{place}"}


def _buckets(places: tuple[str, ...]) -> list[Any]:
    return [_object(bucket) for bucket in sorted({place.partition("/")[0] for place in places})]


# What maps and pipelines share.

FAILURES: Permission = Permission(
    "sqs", ("SendMessage",), "failures", "where Lambda puts asynchronous calls that failed"
)
LOG_DELIVERY: tuple[str, ...] = (
    "CreateLogDelivery",
    "DeleteLogDelivery",
    "DescribeLogGroups",
    "DescribeResourcePolicies",
    "GetLogDelivery",
    "ListLogDeliveries",
    "PutResourcePolicy",
    "UpdateLogDelivery",
)


def without_queue(role: BatchRole) -> tuple[Permission, ...]:
    """The rows of a role, but for reading its queue."""
    return tuple(row for row in BATCH_PERMISSIONS[role] if "ReceiveMessage" not in row.calls)
