"""The state machine of the topology `map`, in Amazon States Language as data: one for all batches of a stack.

    Prepare ─▶ Read ─▶ EachOfJson, -Lines, -Csv, ... or -Jobs ─▶ Finish ─▶ Judge ─┬▶ Done
                └───────────────── nothing to do ──────────────────▲ └── again ─┘ └▶ Tell ─▶ Failed

Everything but the form of the source is an argument of the execution, so a changed batch needs no other machine. What
the form decides must be written out, which is why there is a map for each.

A child execution deals with one batch of items. It fails only if the batch as a whole cannot be dealt with: failures of
items are counted by the function, and judged at the end. So what Step Functions tolerates, which is said as the batch
says it, never comes before what rota tolerates. A paused batch run holds its children: each asks again now and then
(`PAUSED`), and since they take up all of the concurrency, no other begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Json = dict[str, Any]
Reader = Literal["json", "lines", "csv", "parquet", "inventory", "objects", "jobs"]
PAUSED = "PausedError"
"""The error by which the worker asks to be asked again."""
MOST_INPUT = 256 * 1024
"""Bytes that Step Functions hands from state to state."""
_GET = "arn:aws:states:::s3:getObject"
_LIST = "arn:aws:states:::s3:listObjectsV2"
_PUT = "arn:aws:states:::s3:putObject"
_INVOKE = "arn:aws:states:::lambda:invoke"
_SEND = "arn:aws:states:::sqs:sendMessage"
_HOLD = 30
_FOREVER = 99_999_999
"""The most attempts that a retrier may name."""

_FILE = {"Bucket.$": "$.bucket", "Key.$": "$.key"}
_READERS: Mapping[Reader, tuple[str, Json]] = {
    "json": ("EachOfJson", {"Resource": _GET, "ReaderConfig": {"InputType": "JSON"}, "Parameters": _FILE}),
    "lines": ("EachOfLines", {"Resource": _GET, "ReaderConfig": {"InputType": "JSONL"}, "Parameters": _FILE}),
    "csv": (
        "EachOfCsv",
        {
            "Resource": _GET,
            "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"},
            "Parameters": _FILE,
        },
    ),
    "parquet": ("EachOfParquet", {"Resource": _GET, "ReaderConfig": {"InputType": "PARQUET"}, "Parameters": _FILE}),
    "inventory": (
        "EachOfInventory",
        {"Resource": _GET, "ReaderConfig": {"InputType": "MANIFEST"}, "Parameters": _FILE},
    ),
    "objects": ("EachOfObjects", {"Resource": _LIST, "Parameters": {"Bucket.$": "$.bucket", "Prefix.$": "$.key"}}),
    "jobs": ("EachOfJobs", {"Resource": _GET, "ReaderConfig": {"InputType": "JSONL"}, "Parameters": _FILE}),
}
_TRANSIENT = (
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.TooManyRequestsException",
)
RETRIES: tuple[Json, ...] = (
    {
        "ErrorEquals": list(_TRANSIENT),
        "IntervalSeconds": 1,
        "BackoffRate": 2,
        "MaxAttempts": 8,
        "MaxDelaySeconds": 60,
        "JitterStrategy": "FULL",
    },
    {
        "ErrorEquals": ["States.TaskFailed", "States.Timeout"],
        "IntervalSeconds": 2,
        "BackoffRate": 2,
        "MaxAttempts": 2,
        "MaxDelaySeconds": 60,
        "JitterStrategy": "FULL",
    },
)
_ASKED_AGAIN: Json = {"ErrorEquals": [PAUSED], "IntervalSeconds": _HOLD, "BackoffRate": 1, "MaxAttempts": _FOREVER}


def machine(mapper: str, worker: str, failures: str) -> Json:
    """mapper, worker: ARNs of the functions that prepare and finish, and that do the work. failures: URL of the queue
    that is told of batch runs that failed. `${...}` in them is for CloudFormation."""
    readers = dict(_READERS.values())
    states: Json = {
        "Prepare": {
            **_called(mapper, {"step": "prepare", "run.$": "$.run", "revision.$": "$.revision"}),
            "Catch": [_caught("Lost", "$.problem")],
            "Next": "Read",
        },
        "Read": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.reader", "StringEquals": reader, "Next": name} for reader, (name, _) in _READERS.items()
            ],
            "Default": "Finish",
        },
        **{name: _each(name, reader, worker) for name, reader in readers.items()},
        "Finish": {
            **_called(mapper, {"step": "finish", "state.$": "$"}),
            "Catch": [_caught("Lost", "$.problem")],
            "Next": "Judge",
        },
        "Judge": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.again", "BooleanEquals": True, "Next": "Finish"},
                {"Variable": "$.outcome", "StringEquals": "failed", "Next": "Tell"},
            ],
            "Default": "Done",
        },
        "Done": {"Type": "Succeed"},
        "Lost": {
            "Type": "Pass",
            "Parameters": {
                "batch_run.$": "$.run",
                "outcome": "failed",
                "error": "the function that prepares and finishes map runs failed each time",
                "problem.$": "$.problem",
            },
            "Next": "Tell",
        },
        "Tell": {
            "Type": "Task",
            "Resource": _SEND,
            "Parameters": {"QueueUrl": failures, "MessageBody.$": "$"},
            "Retry": [RETRIES[1]],
            "ResultPath": None,
            "Next": "Failed",
        },
        "Failed": {"Type": "Fail", "Error": "rota.BatchFailed", "CausePath": "$.error"},
    }
    return {"Comment": "Batch runs of rota with the topology map", "StartAt": "Prepare", "States": states}


def _each(name: str, reader: Json, worker: str) -> Json:
    work = {
        **_called(worker, {"Items.$": "$.Items", "BatchInput.$": "$.BatchInput"}),
        "Retry": [_ASKED_AGAIN, *RETRIES],
        "End": True,
    }
    return {
        "Type": "Map",
        "Label": name,
        "ItemReader": reader,
        "ItemSelector": {"i.$": "$$.Map.Item.Index", "v.$": "$$.Map.Item.Value"},
        "ItemBatcher": {
            "MaxItemsPerBatchPath": "$.batch_items",
            "MaxInputBytesPerBatchPath": "$.batch_bytes",
            "BatchInput": {
                "run.$": "$.run",
                "revision.$": "$.revision",
                "reader.$": "$.reader",
                "origin.$": "$.origin",
            },
        },
        "MaxConcurrencyPath": "$.concurrency",
        "ToleratedFailurePercentagePath": "$.tolerated_percent",
        "ToleratedFailureCountPath": "$.tolerated_count",
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "Work",
            "States": {"Work": work},
        },
        "ResultWriter": {
            "Resource": _PUT,
            "Parameters": {"Bucket.$": "$.results_bucket", "Prefix.$": "$.results_prefix"},
        },
        "ResultPath": "$.map",
        "Catch": [_caught("Finish", "$.problem")],
        "Next": "Finish",
    }


def _called(function: str, payload: Json) -> Json:
    return {
        "Type": "Task",
        "Resource": _INVOKE,
        "Parameters": {"FunctionName": function, "Payload": payload},
        "OutputPath": "$.Payload",
        "Retry": list(RETRIES),
    }


def _caught(following: str, place: str) -> Json:
    return {"ErrorEquals": ["States.ALL"], "ResultPath": place, "Next": following}
