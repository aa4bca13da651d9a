"""The state machine of the topology `map`, in Amazon States Language as data: one for all batches of a stack.

    Prepare ─▶ Read ─▶ EachOfJson, -Lines, -Csv, ... or -Jobs ─▶ Finish ─▶ Judge ─┬▶ Done
                └───────────────── nothing to do ──────────────────▲ └── again ─┘ ├▶ Tell ─▶ Failed
                ▲                                                                 │
                └────────────────────────── another round ────────────────────────┘

Everything but the form of the source is an argument of the execution, so a changed batch needs no other machine. What
the form decides must be written out, which is why there is a map for each; and one for each kind of child. An Express
child is paid by its time and costs a tenth of a Standard one, which is paid by its states; but it lives for five
minutes. So children are Express where the stack gives a chunk no longer than that, and what they could not end in time
is done by Standard ones in another round.

A child execution deals with one batch of items. It fails only if the batch as a whole cannot be dealt with: failures of
items are counted by the function. So what Step Functions tolerates, which is said as the batch says it, never comes
before what rota tolerates. A child whose function died searches for the item that kills it, from invocation to
invocation. When the batch run is paused, cancelled, or has failed, children leave their items as they are; so the map
is through soon, and its end says what follows: an end, or another round for what is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Json = dict[str, Any]
Reader = Literal["json", "lines", "csv", "parquet", "inventory", "objects", "jobs"]
Kind = Literal["STANDARD", "EXPRESS"]
GOES_ON = "GoesOnError"
"""The error by which the worker asks to be asked again: its search is not through."""
EXPRESS_SECONDS = 300
"""As long as an Express execution may take."""
TOLD = "rota.BatchFailed"
"""The error of an execution whose batch run has failed, once the queue for failures is told."""
MOST_INPUT = 256 * 1024
"""Bytes that Step Functions hands from state to state."""
_GET = "arn:aws:states:::s3:getObject"
_LIST = "arn:aws:states:::s3:listObjectsV2"
_PUT = "arn:aws:states:::s3:putObject"
_INVOKE = "arn:aws:states:::lambda:invoke"
_SEND = "arn:aws:states:::sqs:sendMessage"
_DEATHS = 2000
"""A search that ends at 50 items takes fewer."""

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
DIED = (
    "Sandbox.Timedout",
    "Runtime.ExitError",
    "Runtime.OutOfMemory",
    "Runtime.Unknown",
    "Lambda.Unknown",
    "States.Timeout",
)
"""What a function ends with that was killed, or had no time left."""


def state_of(reader: Reader, kind: Kind) -> str:
    """The name of the map for a form of the source and a kind of child."""
    return _READERS[reader][0] + ("Express" if kind == "EXPRESS" else "")


def machine(mapper: str, worker: str, failures: str) -> Json:
    """mapper, worker: ARNs of the functions that prepare and finish, and that do the work. failures: URL of the queue
    that is told of batch runs that failed. `${...}` in them is for CloudFormation."""
    asked = {"step": "prepare", "run.$": "$.run", "revision.$": "$.revision", "turn.$": "$.turn"}
    kinds: tuple[Kind, ...] = ("STANDARD", "EXPRESS")
    maps = {
        state_of(reader, kind): _each(state_of(reader, kind), how, worker, kind)
        for kind in kinds
        for reader, (_, how) in _READERS.items()
    }
    states: Json = {
        "Prepare": {
            **_called(mapper, asked),
            "Catch": [_caught("Lost", "$.problem")],
            "Next": "Read",
        },
        "Read": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.each", "StringEquals": name, "Next": name} for name in maps],
            "Default": "Finish",
        },
        **maps,
        "Finish": {
            **_called(mapper, {"step": "finish", "state.$": "$"}),
            "Catch": [_caught("Lost", "$.problem")],
            "Next": "Judge",
        },
        "Judge": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.next", "StringEquals": "finish", "Next": "Finish"},
                {"Variable": "$.next", "StringEquals": "read", "Next": "Read"},
                {"Variable": "$.next", "StringEquals": "tell", "Next": "Tell"},
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
        "Failed": {"Type": "Fail", "Error": TOLD, "CausePath": "$.error"},
    }
    return {"Comment": "Batch runs of rota with the topology map", "StartAt": "Prepare", "States": states}


def _each(name: str, reader: Json, worker: str, kind: Kind) -> Json:
    given = {"Items.$": "$.Items", "BatchInput.$": "$.BatchInput"}
    never, searched = {"ErrorEquals": list(DIED), "MaxAttempts": 0}, {**given, "search": True}
    children = {
        "Work": {
            **_called(worker, given),
            "Retry": [never, *RETRIES],
            "Catch": [_caught("Search", None)],
            "End": True,
        },
        "Search": {
            **_called(worker, {**searched, "tries.$": "$$.State.RetryCount"}),
            "Retry": [
                {"ErrorEquals": [*DIED, GOES_ON], "IntervalSeconds": 1, "BackoffRate": 1, "MaxAttempts": _DEATHS},
                *RETRIES,
            ],
            "End": True,
        },
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
                "round.$": "$.round",
                "reader.$": "$.reader",
                "origin.$": "$.origin",
                "beside.$": "$.beside",
                "together.$": "$.batch_items",
                "known.$": "$.known",
            },
        },
        "MaxConcurrencyPath": "$.concurrency",
        "ToleratedFailurePercentagePath": "$.tolerated_percent",
        "ToleratedFailureCountPath": "$.tolerated_count",
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": kind},
            "StartAt": "Work",
            "States": children,
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


def _caught(following: str, place: str | None) -> Json:
    return {"ErrorEquals": ["States.ALL"], "ResultPath": place, "Next": following}
