"""Pipelines on a stack that was deployed: from a schedule or a URL to the table, with what fails in between."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from tests.aws import clouds, queues
from tests.aws.batch.piped import app
from tests.aws.deploy.test_running import Inbox, until

import rota
from rota.aws.deploy import deployer
from rota.aws.stacks import Stack
from rota.aws.synth import synthesize
from rota.client import Client
from rota.core.batch import BatchRun
from rota.testing.emulator import Emulator, Fault

ITEMS = 10_000
PATIENCE = 300.0
MODULE = str(Path(__file__).with_name("piped.py"))


@pytest.fixture
def stack(aws: Emulator) -> Stack:
    boto3.client("s3").create_bucket(Bucket="piped-orders")
    make_table("piped-totals", "id")
    return deployed({})


def make_table(name: str, key: str) -> None:
    boto3.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def deployed(parameters: dict[str, str]) -> Stack:
    it = deployer(told=lambda _: None, noted=lambda _: None, poll=0.01)
    return it.execute(it.plan("piped", synthesize(app, MODULE, None), parameters))


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    with rota.connect("aws://piped", app) as made:
        yield made


def put_orders(bad: int, items: int = ITEMS, seconds: Sequence[float] = ()) -> None:
    """Items of which `bad` in a hundred fail. seconds: that the first ones take."""
    waits = [*seconds, *repeat(0, items - len(seconds))]
    rows = (msgspec.json.encode({"number": it, "bad": it % 100 < bad, "seconds": waits[it]}) for it in range(items))
    boto3.client("s3").put_object(Bucket="piped-orders", Key="orders.jsonl", Body=b"\n".join(rows))


def totals() -> dict[str, str]:
    """What the table holds."""
    pages = boto3.client("dynamodb").get_paginator("scan").paginate(TableName="piped-totals")
    return {item["id"]["S"]: item["total"]["N"] for page in pages for item in page["Items"]}


def ended(client: Client, id: str, aws: Emulator) -> BatchRun:
    try:
        return client.batches.wait(id, PATIENCE)
    except rota.ConflictError:
        raise AssertionError(f"{client.batches.get(id)}\n{aws.log()[-6000:]}") from None


def invoke(stack: Stack, event: Any) -> Any:
    name = stack.outputs["PipelineReaderName"]
    answer = boto3.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
    return json.loads(answer["Payload"].read())


def call_url(stack: Stack, body: str) -> tuple[int, Any]:
    """As a call of the function's URL comes to it."""
    event = {"requestContext": {"http": {"method": "POST"}}, "body": body, "isBase64Encoded": False}
    answer = invoke(stack, event)
    return answer["statusCode"], json.loads(answer["body"])


def test_ten_thousand_records_come_to_the_table(client: Client, stack: Stack, aws: Emulator) -> None:
    put_orders(bad=40)
    status, said = call_url(stack, '{"batch": "orders", "id": "today"}')
    assert (status, said["all"]) == (201, True)
    assert call_url(stack, '{"batch": "orders", "id": "today"}')[1]["run"] == said["run"], "asked twice, started once"
    run = ended(client, said["run"], aws)
    assert (run.state, run.error) == ("succeeded", "")
    assert (run.counts.items, run.counts.succeeded, run.counts.failed) == (ITEMS, 6000, 4000)
    good = [it for it in range(ITEMS) if it % 100 >= 40]
    assert {int(id): float(total) for id, total in totals().items()} == {it: it * 1.5 for it in good}
    assert client.batches.verify(run.id) == []
    [group] = client.batches.failures(run.id)
    assert (group.count, group.message) == (4000, "it is bad")
    events = Inbox(f"{stack.outputs['QueuePrefix']}events")
    until(lambda: events.count() == 1, "the notification", aws)

    again = ended(client, client.batches.redrive(run.id, [1]).id, aws)
    assert (again.state, again.counts, again.version) == ("succeeded", run.counts, 2)
    assert client.batches.verify(run.id) == []
    time.sleep(1)
    assert events.count() == 1, "the outcome is the same, so nobody is told again"


def test_failures_over_tolerance_and_what_cannot_work(client: Client, stack: Stack, aws: Emulator) -> None:
    status, said = call_url(stack, '{"batch": "orders"}')
    assert (status, "'s3://piped-orders/orders.jsonl' does not exist" in said["error"]) == (400, True)
    assert "'order'" in call_url(stack, '{"batch": "order"}')[1]["error"]
    assert call_url(stack, '{"batch": "orders", "colour": 1}')[0] == 400
    assert call_url(stack, '{"batch": "orders", "source": "s3://no-such-bucket/a.jsonl"}')[0] == 400
    put_orders(bad=60)
    clouds.make_bus("default", heard := clouds.make_queue("heard"))
    make_table("other", "number")
    with pytest.raises(rota.InvalidError, match=r"sink.key: 'id' .* the key of table 'other' is number"):
        client.batches.start("orders", sink=rota.DynamoTable("other", key="id"))
    assert client.batches.list() == []

    run = ended(client, client.batches.start("orders").id, aws)
    assert run.state == "failed"
    assert "more than the tolerated 50%" in run.error
    assert run.counts.items == run.counts.succeeded + run.counts.failed
    events = Inbox(f"{stack.outputs['QueuePrefix']}events")
    until(lambda: events.count() == 1, "the notification", aws)
    [message] = queues.receive(heard, 1)
    assert json.loads(message["Body"])["detail"] == events.bodies[0]


@pytest.mark.slow
def test_deaths_duplicates_and_throttled_tables_change_nothing(client: Client, stack: Stack, aws: Emulator) -> None:
    put_orders(bad=10, items=3000)
    aws.faults(
        {
            "internal.lambda.Execute": Fault(p=0.2, match="piped-PipeProcess", kill=True, within_ms=300),
            "sqs.SendMessageBatch": Fault(p=0.2, twice=True),
            "dynamodb.BatchWriteItem": Fault(p=0.3, unprocessed=True),
            "dynamodb.UpdateItem": Fault(p=0.1, code="ThrottlingException"),
        }
    )
    run = ended(client, client.batches.start("orders", chunk_items=200).id, aws)
    aws.faults({})
    assert run.state == "succeeded", run
    assert run.counts.items == run.counts.succeeded + run.counts.failed == 3000
    assert run.counts.failed == 300, client.batches.failures(run.id)
    assert len(totals()) == 2700
    assert client.batches.verify(run.id) == []
    events = Inbox(f"{stack.outputs['QueuePrefix']}events")
    until(lambda: events.count() == 1, "the notification", aws)


@pytest.mark.slow
def test_what_cannot_be_written_is_buried_kept_and_redriven(client: Client, stack: Stack, aws: Emulator) -> None:
    put_orders(bad=0, items=1000)
    aws.faults({"internal.lambda.Execute": Fault(match="piped-PipeWrite", kill=True, within_ms=5)})
    run = client.batches.start("orders", chunk_items=1000, tolerated_failures=1000)
    dead = Inbox(stack.outputs["DeadQueueUrl"])
    until(lambda: dead.count() == 1, "the dead letter", aws)
    aws.faults({})
    run = ended(client, run.id, aws)
    assert (run.state, run.counts.failed) == ("succeeded", 1000)
    [group] = client.batches.failures(run.id)
    again = ended(client, client.batches.redrive(run.id, [group.number]).id, aws)
    assert (again.state, again.counts.succeeded, again.counts.failed) == ("succeeded", 1000, 0)
    assert len(totals()) == 1000
    assert client.batches.verify(run.id) == []


@pytest.mark.slow
def test_a_starter_that_dies_does_not_hold_up_its_lane_for_as_long_as_a_workflow_may_take(
    client: Client, stack: Stack, aws: Emulator
) -> None:
    put_orders(bad=0, items=20, seconds=[4])
    aws.faults({"internal.lambda.Execute": Fault(times=1, match="piped-PipeStarter", kill=True, within_ms=3000)})
    run = ended(client, client.batches.start("orders", chunk_items=10, concurrency=1).id, aws)
    assert (run.state, run.counts.succeeded) == ("succeeded", 20)
    assert len(totals()) == 20
    started = [it.requests for name, it in aws.counts().items() if "Execute:piped-PipeStarter" in name]
    assert started == [3], "the first chunk's came twice"
    assert aws.counts()["sqs.ChangeMessageVisibility"].requests > 0


@pytest.mark.slow
def test_a_schedule_starts_it_once_for_each_of_its_times(aws: Emulator) -> None:
    boto3.client("s3").create_bucket(Bucket="piped-orders")
    make_table("piped-totals", "id")
    put_orders(bad=0, items=1000)
    stack = deployed({"PipelineSchedule": "rate(1 minute)"})
    with rota.connect("aws://piped", app) as client:
        until(lambda: bool(client.batches.list()), "the first start", aws)
        [run] = client.batches.list()
        assert run.cause.startswith("orders@")
        run = ended(client, run.id, aws)
        assert (run.state, run.counts.succeeded) == ("succeeded", 1000)
        scheduled = run.cause.partition("@")[2]
        assert invoke(stack, {"batch": "orders", "scheduled": scheduled})["run"] == run.id


@pytest.mark.slow
def test_a_schedule_of_rota_starts_it_and_knows_what_it_started(client: Client, aws: Emulator) -> None:
    put_orders(bad=0, items=1000)
    client.schedules.create("often", rota.Every("3s"), "batch:orders", max_executions=2)
    until(lambda: len(client.batches.list(name="orders")) == 2, "the second start", aws)
    runs = client.batches.list(name="orders")
    for run in runs:
        found = ended(client, run.id, aws)
        assert (found.state, found.counts.succeeded, found.spec.topology) == ("succeeded", 1000, "pipeline")
        assert client.batches.verify(run.id) == []
    assert {run.cause.partition("@")[0] for run in runs} == {"often"}
    until(lambda: {it.state for it in client.runs.list(schedule="often")} == {"succeeded"}, "both runs to end", aws)
    assert len(totals()) == 1000


@pytest.mark.slow
def test_what_costs_too_much_pauses_and_goes_on_when_it_is_resumed(client: Client, aws: Emulator) -> None:
    put_orders(bad=0, items=400, seconds=[0.05] * 400)
    run = client.batches.start("orders", chunk_items=10, concurrency=1, max_cost=0.000_001)
    until(lambda: client.batches.get(run.id).shown_state == "paused", "the pause", aws)
    paused = client.batches.get(run.id)
    assert "more than max_cost $1e-06" in paused.error
    assert 0 < paused.done < 40
    client.batches.resume(run.id)
    assert ended(client, run.id, aws).counts.succeeded == 400
    assert client.batches.verify(run.id) == []
    assert len(totals()) == 400
