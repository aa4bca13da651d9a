"""The embedded engine fires targets on AWS: `rota serve` with a SQLite file, as one starts out with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import boto3
import pytest
from tests.aws.clouds import (
    ended,
    executions,
    make_bus,
    make_function,
    make_machine,
    make_queue,
    messages,
    value,
    wait_for,
)

from rota import wiring
from rota.client import Client
from rota.core.retry import Retry
from rota.core.target import EventTarget, LambdaTarget, SqsTarget, StepFunctionsTarget
from rota.core.triggers import Every
from rota.testing.emulator import Emulator, Fault

SOON = Retry(attempts=8, initial=0.02, maximum=0.1, jitter="none")
ECHO = """
def handler(event, context):
    return event
"""
FAIL = """
class NoPriceError(Exception):
    pass

def handler(event, context):
    print("looking for", event)
    raise NoPriceError("none for " + event)
"""


def run_time(run: str) -> datetime:
    """The nominal time of the run with this id."""
    return datetime.fromisoformat(run.partition("@")[2])


@pytest.fixture
def client(aws: Emulator, tmp_path: Path) -> Iterator[Client]:
    """A client of an engine that runs."""
    with wiring.engine(f"sqlite:///{tmp_path}/rota.db", durability="process") as client:
        yield client


def test_a_schedule_invokes_a_function(client: Client) -> None:
    make_function("echo", ECHO)
    payload = {"a": "ü", "key": "<rota-run-id>"}
    client.schedules.create("ticker", Every("1s"), "lambda:echo", payload=payload, max_executions=1)
    wait_for(lambda: client.runs.list(schedule="ticker"))
    run = client.runs.list(schedule="ticker")[0].id
    assert value(ended(client, run)) == {"a": "ü", "key": run}


def test_a_functions_own_error_is_told_apart(client: Client) -> None:
    make_function("fail", FAIL)
    given_up = Retry(attempts=5, initial=0.01, give_up_on=("NoPriceError",))
    record = ended(client, client.at(0, "lambda:fail", "nails", retry=given_up))
    assert record.failure is not None
    assert (record.state, record.attempt, record.failure.type) == ("failed", 1, "NoPriceError")
    assert record.failure.message == "none for nails; last log line: looking for nails"
    again = ended(client, client.at(0, "lambda:fail", "nails", retry=Retry(attempts=2, initial=0.01)))
    assert again.attempt == 2


def test_an_asynchronous_invocation_is_accepted(client: Client, aws: Emulator) -> None:
    make_function("echo", ECHO)
    record = ended(client, client.at(0, LambdaTarget("echo", asynchronous=True), "<rota-run-id>"))
    assert value(record)["accepted"] is True
    wait_for(lambda: aws.counts().get("internal.lambda.Execute:echo"))


def test_a_queue_is_sent_to(client: Client) -> None:
    url = make_queue("orders")
    for target in (f"sqs:{url}", "arn:aws:sqs:us-east-1:000000000000:orders"):
        run = client.at(0, target, {"id": 17})
        sent = value(ended(client, run))
        (message,) = messages(url)
        assert (message["MessageId"], json.loads(message["Body"])) == (sent["messageId"], {"id": 17})
        told = {name: it["StringValue"] for name, it in message["MessageAttributes"].items()}
        assert told == {"rota-run-id": run, "rota-scheduled": run.partition("@")[2]}


def test_a_fifo_queue_takes_a_repeated_send_once(client: Client, aws: Emulator) -> None:
    url = make_queue("orders.fifo")
    aws.faults({"sqs.SendMessage": Fault(times=2, lost=True, code="ServiceUnavailable", status=503)})
    value(ended(client, client.at(0, SqsTarget(url, "shop-7"), {"id": 17}, retry=SOON)))
    assert aws.counts()["sqs.SendMessage"].requests >= 2
    (message,) = messages(url)
    assert message["Attributes"]["MessageGroupId"] == "shop-7"


def test_an_execution_is_started_once(client: Client, aws: Emulator) -> None:
    machine = make_machine("Refund")
    aws.faults({"states.StartExecution": Fault(times=2, lost=True, code="InternalFailure", status=500)})
    record = ended(client, client.at(0, f"stepfunctions:{machine}", {"id": 17}, retry=SOON))
    (execution,) = executions(machine)
    assert value(record)["executionArn"] == execution["executionArn"]
    described = boto3.client("stepfunctions").describe_execution(executionArn=execution["executionArn"])
    assert json.loads(described["input"]) == {"id": 17}


def test_an_express_execution_is_waited_for(client: Client) -> None:
    machine = make_machine("Refund", type="EXPRESS")
    run = client.at(0, StepFunctionsTarget(machine, synchronous=True), {"id": 17})
    assert value(ended(client, run)) == {"id": 17}


def test_an_event_comes_by_its_rule(client: Client) -> None:
    url = make_queue("heard")
    make_bus("orders", url, {"detail": {"id": [17]}, "detail-type": ["order due"]})
    arn = "arn:aws:events:us-east-1:000000000000:event-bus/orders"
    for bus in ("orders", arn):
        client.at(0, EventTarget(bus, detail_type="order due"), {"id": 18})
        run = client.at(0, EventTarget(bus, detail_type="order due"), {"id": 17, "key": "<rota-run-id>"})
        put = value(ended(client, run))
        (message,) = messages(url)
        event = json.loads(message["Body"])
        assert (event["id"], event["source"], event["detail-type"]) == (put["eventId"], "rota", "order due")
        assert event["detail"] == {"id": 17, "key": run}
        assert event["resources"] == [run]
        assert datetime.fromisoformat(event["time"]) == run_time(run).replace(microsecond=0)


def test_an_event_for_the_default_bus_is_put_until_it_is_taken(client: Client, aws: Emulator) -> None:
    url = make_queue("heard")
    make_bus("default", url)
    aws.faults({"events.PutEvents": Fault(times=4, code="ThrottlingException")})
    value(ended(client, client.at(0, "events:default", retry=SOON)))
    (message,) = messages(url)
    assert json.loads(message["Body"])["detail"] == {}


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("lambda:nobody", "lambda:InvokeFunction on nobody: ResourceNotFoundException: "),
        ("arn:aws:sqs:us-east-1:000000000000:nobody", "sqs:SendMessage on arn:aws:sqs:us-east-1:000000000000:nobody: "),
        (
            "arn:aws:states:us-east-1:000000000000:stateMachine:Nobody",
            "states:StartExecution on arn:aws:states:us-east-1:000000000000:stateMachine:Nobody: StateMachineDoesNot",
        ),
        ("events:nobody", "events:DescribeEventBus on nobody: ResourceNotFoundException: "),
    ],
)
def test_what_is_not_there_is_not_tried_again(client: Client, target: str, said: str) -> None:
    record = ended(client, client.at(0, target, retry=SOON))
    assert record.failure is not None
    assert (record.state, record.attempt) == ("failed", 1)
    assert record.failure.message.startswith(said)
    assert [letter.id for letter in client.dead_letters.list()] == [record.id]


def test_throttled_calls_are_tried_until_they_succeed(client: Client, aws: Emulator) -> None:
    url = make_queue("orders")
    aws.faults({"sqs.SendMessage": Fault(p=0.5, code="ThrottlingException")})
    runs = [client.at(0, f"sqs:{url}", n, retry=SOON) for n in range(20)]
    for run in runs:
        value(ended(client, run))
    aws.faults({})
    assert sorted(int(it["Body"]) for it in messages(url)) == list(range(20))
