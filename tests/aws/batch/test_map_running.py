"""Maps on a stack that was deployed: ten thousand items of a JSON file, under and over the tolerance."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from tests.aws import clouds
from tests.aws.batch.mapped import app

import rota
from rota.aws.deploy import deployer
from rota.aws.stacks import Stack
from rota.aws.synth import synthesize
from rota.client import Client
from rota.core.batch import BatchRun
from rota.core.receipt import Counts
from rota.testing.emulator import Emulator

ITEMS = 10_000
PATIENCE = 200.0
BUCKET = "mapped-orders"
MODULE = str(Path(__file__).with_name("mapped.py"))


@pytest.fixture
def stack(aws: Emulator) -> Stack:
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    it = deployer(told=lambda _: None, noted=lambda _: None, poll=0.01)
    return it.execute(it.plan("mapped", synthesize(app, MODULE, None), {}))


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    with rota.connect("aws://mapped", app) as made:
        yield made


def put_orders(bad: int, healed: Path) -> None:
    """Items of which `bad` in a hundred fail."""
    rows = [{"number": it, "bad": it % 100 < bad, "healed": str(healed)} for it in range(ITEMS)]
    boto3.client("s3").put_object(Bucket=BUCKET, Key="orders.json", Body=msgspec.json.encode(rows))


def ended(client: Client, id: str, aws: Emulator) -> BatchRun:
    try:
        return client.batches.wait(id, PATIENCE)
    except rota.ConflictError:
        raise AssertionError(f"{client.batches.get(id)}\n{aws.log()[-6000:]}") from None


def results(id: str) -> list[int]:
    """The numbers of what is in the parts, in their order."""
    s3 = boto3.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"out/{id}/part-")
    keys = [it["Key"] for page in pages for it in page.get("Contents", ())]
    bodies = [s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys]
    return [msgspec.json.decode(line)["number"] for body in bodies for line in body.splitlines()]


def received(url: str, count: int) -> list[Any]:
    """What came to a queue: `count` messages, and what else comes within a second."""
    sqs, found, end = boto3.client("sqs"), [], time.monotonic() + PATIENCE
    while time.monotonic() < end:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", ())
        for it in messages:
            found.append(msgspec.json.decode(it["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=it["ReceiptHandle"])
        if len(found) >= count and not messages:
            break
    return found


def test_four_thousand_failures_of_ten_thousand_are_tolerated_and_redriven(
    client: Client, stack: Stack, aws: Emulator, tmp_path: Path
) -> None:
    healed = tmp_path / "healed"
    put_orders(40, healed)
    run = ended(client, client.batches.start("orders").id, aws)
    assert (run.state, run.error, run.counts) == ("succeeded", "", Counts(ITEMS, 6_000, 4_000))
    assert (run.sealed, run.done) == (50, 50)
    assert results(run.id) == [it for it in range(ITEMS) if it % 100 >= 40]
    assert client.batches.verify(run.id) == []
    [group] = client.batches.failures(run.id)
    assert group.count == 4_000
    events = stack.outputs["QueuePrefix"] + "events"
    [told] = received(events, 1)
    assert (told["outcome"], told["failed"]) == ("succeeded", 4_000)
    assert received(stack.outputs["MapFailureQueueUrl"], 0) == []
    healed.touch()
    client.batches.redrive(run.id, [group.number])
    again = ended(client, run.id, aws)
    assert (again.state, again.error, again.counts) == ("succeeded", "", Counts(ITEMS, ITEMS))
    assert sorted(results(run.id)) == list(range(ITEMS))
    assert client.batches.failures(run.id) == []
    assert client.batches.verify(run.id) == []


def test_six_thousand_failures_of_ten_thousand_are_an_error_that_is_told_once(
    client: Client, stack: Stack, aws: Emulator, tmp_path: Path
) -> None:
    put_orders(60, tmp_path / "healed")
    clouds.make_bus("default", heard := clouds.make_queue("heard"))
    run = ended(client, client.batches.start("orders").id, aws)
    counts = run.counts
    assert (run.state, counts.items) == ("failed", counts.succeeded + counts.failed)
    assert run.error == f"{counts.failed} of {counts.items} items failed, more than the tolerated 50%"
    # It stops once half of about so many have failed, so what others had in hand then is done, or is not.
    assert 0.9 * ITEMS / 2 < counts.failed <= 6_000
    assert counts.failed == 1.5 * counts.succeeded
    found = results(run.id)
    assert (len(found), all(it % 100 >= 60 for it in found)) == (counts.succeeded, True)
    assert [it for it in client.batches.verify(run.id) if "ended early" not in it] == []
    [told] = received(stack.outputs["MapFailureQueueUrl"], 1)
    assert (told["batch_run"], told["error"], told["failed"]) == (run.id, run.error, counts.failed)
    [notice] = received(stack.outputs["QueuePrefix"] + "events", 1)
    assert notice["outcome"] == "failed"
    [event] = received(heard, 1)
    assert (event["source"], event["detail"]) == ("rota", notice)
    [machine] = boto3.client("stepfunctions").list_state_machines()["stateMachines"]
    [execution] = boto3.client("stepfunctions").list_executions(stateMachineArn=machine["stateMachineArn"])[
        "executions"
    ]
    assert execution["status"] == "FAILED"


def test_an_execution_that_somebody_stops_ends_its_batch_run_and_is_told(
    client: Client, stack: Stack, aws: Emulator, tmp_path: Path
) -> None:
    put_orders(0, tmp_path / "healed")
    run = client.batches.start("orders")
    states, end = boto3.client("stepfunctions"), time.monotonic() + PATIENCE
    while not (found := states.list_executions(stateMachineArn=stack.outputs["MapMachineArn"])["executions"]):
        assert time.monotonic() < end
        time.sleep(0.05)
    states.stop_execution(executionArn=found[0]["executionArn"], cause="by hand")
    failed = ended(client, run.id, aws)
    error = "its execution ended as ABORTED and left it unfinished: by hand"
    assert (failed.state, failed.error) == ("failed", error)
    [told] = received(stack.outputs["MapFailureQueueUrl"], 1)
    assert (told["batch_run"], told["error"]) == (run.id, error)
