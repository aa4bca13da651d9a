"""Things on AWS for a target to act on, made through boto3 and the environment that the fixture `aws` sets; and the
runs that act on them."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from typing import Any

import boto3

from rota.client import Client
from rota.core.run import RunRecord

PATIENCE = 180.0
ROLE = "arn:aws:iam::000000000000:role/test"


def make_function(name: str, source: str) -> None:
    """A Python function whose handler is `handler` in `source`."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.py", source)
    boto3.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.12",
        Role=ROLE,
        Handler="index.handler",
        Code={"ZipFile": packed.getvalue()},
        Timeout=60,
    )


def make_queue(name: str) -> str:
    """A queue, FIFO if its name says so; its URL."""
    fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    url: str = boto3.client("sqs").create_queue(QueueName=name, Attributes=fifo)["QueueUrl"]
    return url


def messages(url: str) -> list[dict[str, Any]]:
    """What is on the queue, taken from it."""
    found: list[dict[str, Any]] = []
    while True:
        got = boto3.client("sqs").receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"]
        )
        if not got.get("Messages"):
            return found
        for message in got["Messages"]:
            boto3.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        found += got["Messages"]


def make_bus(name: str, url: str, pattern: object = None) -> None:
    """An event bus; `default` is there already. What is of rota on it, or fits the pattern, goes to this queue."""
    events, queue = boto3.client("events"), url.rpartition("/")[2]
    if name != "default":
        events.create_event_bus(Name=name)
    events.put_rule(Name=queue, EventBusName=name, EventPattern=json.dumps(pattern or {"source": ["rota"]}))
    arn = f"arn:aws:sqs:us-east-1:000000000000:{queue}"
    events.put_targets(Rule=queue, EventBusName=name, Targets=[{"Id": "queue", "Arn": arn}])


def make_machine(name: str, **kind: str) -> str:
    """A state machine that passes its input on; its ARN."""
    definition = {"StartAt": "Pass", "States": {"Pass": {"Type": "Pass", "End": True}}}
    made = boto3.client("stepfunctions").create_state_machine(
        name=name, definition=json.dumps(definition), roleArn=ROLE, **kind
    )
    arn: str = made["stateMachineArn"]
    return arn


def executions(machine: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = boto3.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"]
    return found


def ended(client: Client, run: str) -> RunRecord:
    """The record of `run` once it has come to an end."""
    deadline = time.monotonic() + PATIENCE
    while True:
        record = client.runs.get(run)
        if record.state not in ("pending", "held", "running"):
            return record
        assert time.monotonic() < deadline, f"{run} is {record.state} still"
        time.sleep(0.01)


def value(record: RunRecord) -> Any:
    """What a run that succeeded keeps."""
    assert (record.state, record.failure) == ("succeeded", None)
    assert record.value is not None
    return json.loads(record.value)


def wait_for(condition: Callable[[], object]) -> None:
    """Until `condition` holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
