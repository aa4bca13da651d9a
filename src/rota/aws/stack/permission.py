"""A row of the table of permissions, and the rows that many roles have."""

from __future__ import annotations

from typing import Any, NamedTuple

Json = dict[str, Any]


class Permission(NamedTuple):
    """calls: as AWS names them, of one service. on: a key of `resources`."""

    service: str
    calls: tuple[str, ...]
    on: str
    why: str


def arn(resource: str) -> Json:
    """The ARN of a resource of the template."""
    return {"Fn::GetAtt": [resource, "Arn"]}


STORE: Permission = Permission(
    "dynamodb",
    (
        "BatchGetItem",
        "BatchWriteItem",
        "DeleteItem",
        "GetItem",
        "PutItem",
        "Query",
        "TransactWriteItems",
        "UpdateItem",
    ),
    "table",
    "schedules, runs, ticks and the far tier are rows of one table",
)
HAND_OVER: tuple[Permission, ...] = (
    Permission("sqs", ("SendMessage", "SendMessageBatch"), "dispatch", "hand what is due to the dispatcher"),
    Permission("sqs", ("SendMessage", "SendMessageBatch"), "work", "hand tasks and batches to the worker"),
    Permission("sqs", ("SendMessage", "SendMessageBatch"), "queues", "one-offs go straight to the app's own queues"),
    Permission("sqs", ("SendMessage", "SendMessageBatch"), "targets.sqs", "and to the SQS queues that it names"),
)
TELL_DEAD: Permission = Permission("sqs", ("SendMessage", "SendMessageBatch"), "dead", "a copy of every dead letter")
TRACES: Permission = Permission("xray", ("PutTraceSegments", "PutTelemetryRecords"), "*", "traces")
LOGS: Permission = Permission("logs", ("CreateLogStream", "PutLogEvents"), "logs", "the function's own log group")
SEE_QUEUES: Permission = Permission(
    "sqs", ("GetQueueAttributes",), "queues", "refuse a target that the stack does not have"
)


def consume(queue: str, *more: str) -> Permission:
    """What Lambda's event source mapping does in the function's name, and the function itself to hide a message. more:
    calls that only this one makes."""
    calls = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes", "ChangeMessageVisibility")
    return Permission("sqs", (*calls, *more), queue, "read by the event source mapping; hidden while it is in hand")
