"""Bad days of batch runs on a deployed stack, in each topology: they always end, and their totals are exact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import boto3
import msgspec
import pytest
from tests.aws.batch.badday import WAYS, app
from tests.aws.deploy.test_running import Inbox, until

import rota
from rota.aws.deploy import deployer
from rota.aws.stacks import Stack
from rota.aws.synth import synthesize
from rota.client import Client
from rota.core.batch import BatchRun, Topology
from rota.core.receipt import Counts
from rota.testing.emulator import Emulator, Fault

ITEMS = 300
BAD = 30
PATIENCE = 300.0
MODULE = str(Path(__file__).with_name("badday.py"))
THROTTLED = "ProvisionedThroughputExceededException"
EXECUTE, RECEIVE = "internal.lambda.Execute", "internal.sqs.ReceiveMessage"
FAULTS: Mapping[str, Mapping[str, Fault]] = {
    "all is throttled": {
        "dynamodb.*": Fault(p=0.2, code=THROTTLED),
        "sqs.SendMessageBatch": Fault(p=0.3, code="RequestThrottled", status=403),
        "lambda.Invoke": Fault(p=0.2, code="TooManyRequestsException", status=429),
        "s3.PutObject": Fault(p=0.1, code="SlowDown", status=503),
    },
    "answers get lost": {
        "dynamodb.*": Fault(p=0.1, lost=True, code="InternalServerError", status=500),
        "sqs.SendMessageBatch": Fault(p=0.15, lost=True, code="InternalError", status=500),
        "s3.PutObject": Fault(p=0.1, lost=True, code="InternalError", status=500),
    },
    "batches are taken in part": {
        "dynamodb.BatchGetItem": Fault(p=0.4, unprocessed=True),
        "sqs.SendMessageBatch": Fault(p=0.5, partial=True),
    },
    "messages come twice and in any order": {
        "sqs.SendMessageBatch": Fault(p=0.5, twice=True),
        RECEIVE: Fault(shuffle=True),
        EXECUTE: Fault(p=0.3, twice=True),
    },
}
WORKING: Mapping[Topology, str] = {"queue": "-Processor-", "map": "-MapWorker-", "pipeline": "-PipeProcess"}
"""Whose functions attempt items."""


@pytest.fixture
def stack(aws: Emulator) -> Stack:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="badday-items")
    rows = (msgspec.json.encode({"number": it, "bad": it % 10 == 3}) for it in range(ITEMS))
    s3.put_object(Bucket="badday-items", Key="numbers.jsonl", Body=b"\n".join(rows))
    it = deployer(told=lambda _: None, noted=lambda _: None, poll=0.01)
    made = it.execute(it.plan("badday", synthesize(app, MODULE, None), {}))
    # Six timeouts of a function are longer than a test should wait for what died at once.
    for queue in ("BatchQueueUrl", "PipelineQueueUrl", "PlanQueueUrl", "FinalizeQueueUrl"):
        url = made.outputs.get(queue)
        if url is not None:
            boto3.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "5"})
    return made


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    with rota.connect("aws://badday", app) as made:
        yield made


def ended(client: Client, id: str, aws: Emulator) -> BatchRun:
    try:
        return client.batches.wait(id, PATIENCE)
    except rota.ConflictError:
        raise AssertionError(f"{client.batches.get(id)}\n{aws.log()[-6000:]}") from None


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_functions_that_are_killed_lose_nothing(client: Client, stack: Stack, aws: Emulator, way: Topology) -> None:
    run = client.batches.start(way)
    _check(client, stack, aws, run.id, {EXECUTE: Fault(p=0.4, times=5, match=WORKING[way], kill=True, within_ms=300)})
    assert executions(aws, WORKING[way]) > ITEMS / 25, "some died"


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("way", WAYS)
def test_totals_are_exact_and_it_always_ends(
    client: Client, stack: Stack, aws: Emulator, way: Topology, kind: str
) -> None:
    _check(client, stack, aws, client.batches.start(way).id, FAULTS[kind])


def executions(aws: Emulator, function: str) -> int:
    return sum(it.requests for name, it in aws.counts().items() if function in name and "Execute:" in name)


def _check(client: Client, stack: Stack, aws: Emulator, id: str, faults: Mapping[str, Fault]) -> None:
    aws.faults(faults)
    try:
        run = ended(client, id, aws)
    finally:
        aws.faults({})
    assert (run.state, run.error) == ("succeeded", ""), run
    assert run.counts == Counts(ITEMS, ITEMS - BAD, BAD), (run, client.batches.failures(run.id))
    assert client.batches.verify(run.id) == []
    assert results(run) == [it for it in range(ITEMS) if it % 10 != 3]
    [group] = client.batches.failures(run.id)
    assert (group.count, group.message) == (BAD, "it is bad")
    events = Inbox(f"{stack.outputs['QueuePrefix']}events")
    until(lambda: events.count() >= 1, "the notification", aws)
    assert {body["batch_run"] for body in events.bodies} == {id}


def results(run: BatchRun) -> list[int]:
    """The items whose results are in the parts that the manifest names."""
    s3, found = boto3.client("s3"), []
    bucket, _, prefix = run.manifest.removeprefix("s3://").partition("/")
    sink = str(run.spec.sink["path"]).replace("{run}", run.id).removeprefix(f"s3://{bucket}/").rstrip("/")
    for line in s3.get_object(Bucket=bucket, Key=f"{prefix}/manifest.jsonl")["Body"].read().splitlines():
        for part in msgspec.json.decode(line).get("parts", ()):
            body = s3.get_object(Bucket=bucket, Key=f"{sink}/{part['name']}")["Body"].read()
            found += [msgspec.json.decode(row)["number"] for row in body.splitlines()]
    return sorted(found)
