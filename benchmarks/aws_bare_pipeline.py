"""A pipeline without rota, in the emulator: what this form costs in time, whoever fills it.

As the bare loop, it gets ranges of the file as messages and keeps no account of anything; but as in a pipeline of rota,
a message belongs to a lane of a FIFO queue, a function runs an Express workflow for it and waits, and in that one
function does the task, and another puts what came of it.
"""

from __future__ import annotations

import json
import time

import boto3
from benchmarks.aws_rows import AT_ONCE, ROLE, TASK, create_function, feed, put_times

_STARTER = """
import os
import boto3
states = boto3.client("stepfunctions")

def handler(event, context):
    for record in event["Records"]:
        answer = states.start_sync_execution(stateMachineArn=os.environ["MACHINE"], input=record["body"])
        assert answer["status"] == "SUCCEEDED", answer
"""
_DOER = (
    TASK
    + """
def handler(message, context):
    span = f"bytes={message['start']}-{message['end'] - 1}"
    lines = s3.get_object(Bucket=BUCKET, Key=KEY, Range=span)["Body"].read().splitlines()
    return {"made": json.dumps([double(json.loads(line)) for line in lines])}
"""
)
_PUTTER = (
    TASK
    + """
def handler(message, context):
    keep(f"{message['run']}/{message['start']}", json.loads(message["made"]))
"""
)
_QUEUE = "bare-pipeline.fifo"


class BarePipeline:
    """Queue, workflow and functions."""

    def __init__(self, bucket: str, key: str) -> None:
        self._bucket = bucket
        attributes = {"VisibilityTimeout": "900", "FifoQueue": "true"}
        self._queue: str = boto3.client("sqs").create_queue(QueueName=_QUEUE, Attributes=attributes)["QueueUrl"]
        for name, source in (("bare-doer", _DOER), ("bare-putter", _PUTTER)):
            create_function(name, source, {"BUCKET": bucket, "KEY": key})
        machine = boto3.client("stepfunctions").create_state_machine(
            name="bare-pipeline", definition=json.dumps(_states()), roleArn=ROLE, type="EXPRESS"
        )
        create_function("bare-starter", _STARTER, {"MACHINE": machine["stateMachineArn"]})
        feed(_QUEUE, "bare-starter")

    def run(self, run: str, spans: list[tuple[int, int]]) -> None:
        """Do these ranges of the file."""
        sqs = boto3.client("sqs")
        for number, (low, high) in enumerate(spans):
            sqs.send_message(
                QueueUrl=self._queue,
                MessageBody=json.dumps({"run": run, "start": low, "end": high}),
                MessageGroupId=str(number % AT_ONCE),
                MessageDeduplicationId=f"{run}/{low}",
            )
        while len(put_times(self._bucket, f"{run}/")) < len(spans):
            time.sleep(0.1)


def _states() -> dict[str, object]:
    def task(function: str, **payload: str) -> dict[str, object]:
        parameters = {"FunctionName": function, "Payload": payload}
        return {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": parameters}

    told = {"run.$": "$.run", "start.$": "$.start"}
    do = task("bare-doer", **told, **{"end.$": "$.end"})
    made = {"ResultSelector": {"made.$": "$.Payload.made"}, "ResultPath": "$.result", "Next": "Put"}
    put = task("bare-putter", **told, **{"made.$": "$.result.made"})
    return {"StartAt": "Do", "States": {"Do": {**do, **made}, "Put": {**put, "End": True}}}
