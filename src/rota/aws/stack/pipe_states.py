"""The workflow of a pipeline, in Amazon States Language: attempt the items of a chunk, then write what came of it.

        ┌─────────┐ passed ┌───────┐
    ───▶│ Process │───────▶│ Write │──▶ Done      nothing to write: a pause, a cancel, items that are put off
        └────┬────┘        └───┬───┘
             └───── Bury ◀─────┘                  after all retries: to the dead-letter queue, and Done

A task's failure on an item is the item's alone and no error here. What is retried is a step as a whole: AWS that has no
capacity, a store that does not answer, a function that died. An item that kills functions is found by that: the third
death in a row begins the search (see `rota.aws.batch.search`). An Express workflow may take five minutes, so a chunk
should take seconds.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
PROCESS_SECONDS = 150
WRITE_SECONDS = 60
"""What a step may take; the functions' timeouts are the same."""
WHOLE_SECONDS = 290

_THROTTLED = ["Lambda.TooManyRequestsException"]
_PASSING = [
    "TransientError",
    "StoreError",
    "StoreBusyError",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
]
_ANY = ["States.ALL"]
"""What is left: functions that died or took too long, by whatever name."""


def pipeline_states(process: str, write: str, dead_queue: str) -> Json:
    """The definition. process, write: ARNs of functions. dead_queue: the URL of a FIFO queue."""
    message = {"message.$": "$.message", "received.$": "$.received", "retries.$": "$$.State.RetryCount"}
    return {
        "Comment": "One chunk of a batch run: its description and, where they are small, its results travel here",
        "StartAt": "Process",
        "TimeoutSeconds": WHOLE_SECONDS,
        "States": {
            "Process": {
                **_task(process, message, PROCESS_SECONDS),
                "ResultSelector": {"passed.$": "$.Payload.passed"},
                "ResultPath": "$.result",
                "Next": "AnythingPassed",
            },
            "AnythingPassed": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.result.passed", "StringEquals": "", "Next": "Done"}],
                "Default": "Write",
            },
            "Write": {
                **_task(write, {**message, "passed.$": "$.result.passed"}, WRITE_SECONDS),
                "ResultPath": None,
                "Next": "Done",
            },
            "Bury": {
                "Type": "Task",
                "Resource": "arn:aws:states:::sqs:sendMessage",
                "Parameters": {
                    "QueueUrl": dead_queue,
                    "MessageGroupId.$": "$.message.run",
                    "MessageDeduplicationId.$": "$$.Execution.Name",
                    "MessageBody": {
                        "message.$": "$.message",
                        "error.$": "$.error",
                        "execution.$": "$$.Execution.Name",
                    },
                },
                "Retry": [_retry(_ANY, 6, 1, 20)],
                "ResultPath": None,
                "Next": "Done",
            },
            "Done": {"Type": "Succeed"},
        },
    }


def _task(function: str, payload: Json, seconds: int) -> Json:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": function, "Payload": payload},
        "TimeoutSeconds": seconds,
        "Retry": [_retry(_THROTTLED, 8, 1, 20), _retry(_PASSING, 5, 1, 20), _retry(_ANY, 3, 1, 5)],
        "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Bury"}],
    }


def _retry(errors: list[str], attempts: int, first: int, longest: int) -> Json:
    return {
        "ErrorEquals": errors,
        "IntervalSeconds": first,
        "BackoffRate": 2,
        "MaxAttempts": attempts,
        "MaxDelaySeconds": longest,
        "JitterStrategy": "FULL",
    }
