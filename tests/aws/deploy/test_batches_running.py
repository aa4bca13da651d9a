"""Batch runs on a stack that was deployed: planner, processors, finalizer, notification, redrive and proof."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import msgspec
import pytest
from tests.aws import clouds, queues
from tests.aws.deploy.factory import app
from tests.aws.deploy.test_running import Inbox, until

import rota
from rota.aws.deploy import deployer
from rota.aws.stacks import Stack
from rota.aws.synth import synthesize
from rota.client import Client
from rota.core.batch import BatchRun
from rota.testing.emulator import Emulator

ITEMS = 10_000
PATIENCE = 300.0


@pytest.fixture
def stack(aws: Emulator) -> Stack:
    boto3.client("s3").create_bucket(Bucket="factory-orders")
    it = deployer(told=lambda _: None, noted=lambda _: None, poll=0.01)
    made = it.execute(it.plan("factory", synthesize(app, str(Path(__file__).with_name("factory.py")), None), {}))
    it.feed(made)
    return made


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    with rota.connect("aws://factory", app) as made:
        made.sync(app)
        yield made


def put_numbers(bad: int) -> None:
    """Items of which `bad` in a hundred fail."""
    rows = (msgspec.json.encode({"number": it, "bad": it % 100 < bad}) for it in range(ITEMS))
    boto3.client("s3").put_object(Bucket="factory-orders", Key="numbers.jsonl", Body=b"\n".join(rows))


def results(client: Client, run: BatchRun) -> list[object]:
    """What the parts hold that the manifest names, in order."""
    found: list[object] = []
    bucket, _, prefix = client.batches.receipt(run.id).removeprefix("s3://").partition("/")
    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/results/out/")
    for page in pages:
        for entry in page["Contents"]:
            if "/part-" in entry["Key"]:
                body = boto3.client("s3").get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
                found += [msgspec.json.decode(line) for line in body.splitlines()]
    return found


def ended(client: Client, id: str, aws: Emulator) -> BatchRun:
    try:
        return client.batches.wait(id, PATIENCE)
    except rota.ConflictError:
        raise AssertionError(f"{client.batches.get(id)}\n{aws.log()[-4000:]}") from None


def test_ten_thousand_items_with_failures_under_tolerance(client: Client, stack: Stack, aws: Emulator) -> None:
    put_numbers(bad=40)
    run = ended(client, client.batches.start("double").id, aws)
    assert (run.state, run.error) == ("succeeded", "")
    assert (run.counts.items, run.counts.succeeded, run.counts.failed) == (ITEMS, 6000, 4000)
    assert results(client, run) == [{"number": it, "doubled": 2 * it} for it in range(ITEMS) if it % 100 >= 40]
    assert client.batches.verify(run.id) == []
    [group] = client.batches.failures(run.id)
    assert (group.count, group.message) == (4000, "it is bad")
    assert [it.item for it in client.batches.dead_letters(run.id)] == [
        {"number": it, "bad": True} for it in range(ITEMS) if it % 100 < 40
    ]
    events = Inbox(f"{stack.outputs['QueuePrefix']}events")
    until(lambda: events.count() == 1, "the notification", aws)

    again = ended(client, client.batches.redrive(run.id, [1]).id, aws)
    assert (again.state, again.counts, again.version) == ("succeeded", run.counts, 2)
    assert client.batches.verify(run.id) == []
    time.sleep(1)
    assert events.count() == 1, "the outcome is the same, so nobody is told again"


def test_failures_over_tolerance_and_a_source_that_is_not_there(client: Client, stack: Stack, aws: Emulator) -> None:
    with pytest.raises(rota.SourceError, match=r"numbers\.jsonl"):
        client.batches.start("double")
    with pytest.raises(rota.InvalidError, match="s3://"):
        client.batches.start("double", source="numbers.jsonl")
    put_numbers(bad=60)
    clouds.make_bus("default", heard := clouds.make_queue("heard"))
    run = ended(client, client.batches.start("double").id, aws)
    assert run.state == "failed"
    assert "more than the tolerated 50%" in run.error
    assert run.counts.items == run.counts.succeeded + run.counts.failed
    events = Inbox(f"{stack.outputs['QueuePrefix']}events")
    until(lambda: events.count() == 1, "the notification", aws)
    [message] = queues.receive(heard, 1)
    assert json.loads(message["Body"])["detail"] == events.bodies[0]


def test_a_schedule_starts_a_generator_s_batch(client: Client, stack: Stack, aws: Emulator) -> None:
    client.schedules.trigger("halving")
    until(lambda: bool(client.batches.list(name="half")), "the start", aws)
    [run] = client.batches.list(name="half")
    run = ended(client, run.id, aws)
    assert (run.state, run.counts.items, run.error) == ("succeeded", 70, "")
    assert run.cause.startswith("halving@")
    assert results(client, run) == [it / 2 for it in range(70)]
    assert client.batches.verify(run.id) == []


def test_an_ad_hoc_schedule_starts_a_batch(client: Client, stack: Stack, aws: Emulator) -> None:
    event = json.dumps({"timestamp": time.time() + 1, "target": "batch:half", "data": {"items": 30}})
    answer = boto3.client("lambda").invoke(FunctionName=stack.outputs["AdHocName"], Payload=event)
    said = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, said
    until(lambda: bool(client.batches.list(name="half")), "the start", aws)
    [run] = client.batches.list(name="half")
    assert run.cause == said["id"]
    run = ended(client, run.id, aws)
    assert (run.state, run.counts.items, run.error) == ("succeeded", 30, "")


@pytest.mark.slow
def test_an_item_that_kills_its_function_is_found(client: Client, stack: Stack, aws: Emulator) -> None:
    url = stack.outputs["BatchQueueUrl"]
    # Six timeouts are longer than a test should wait for the first death.
    boto3.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "2"})
    run = ended(client, client.batches.start("fragile", payload={"items": 5}).id, aws)
    assert (run.state, run.counts.items, run.counts.failed, run.error) == ("succeeded", 5, 1, "")
    assert results(client, run) == [0, 1, 2, 4]
    [dead] = client.batches.dead_letters(run.id)
    assert (dead.item, dead.failure.type) == ({"number": 3}, "rota.WorkerDied")
    assert client.batches.verify(run.id) == []
