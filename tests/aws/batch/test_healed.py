"""Items that fail at first and succeed when they are redriven, over calls that fail and are made twice, and in a
pipeline in functions that die, on stacks that were deployed; a map's are in test_map_running."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import boto3
import msgspec
from tests.aws.batch import piped
from tests.aws.batch.test_pipe_running import make_table, totals
from tests.aws.deploy import factory

import rota
from rota.aws.deploy import deployer
from rota.aws.synth import synthesize
from rota.client import Client
from rota.core.batch import BatchRun
from rota.testing.emulator import Emulator, Fault

ITEMS, BAD = 400, 40
PATIENCE = 120.0
THROTTLED = Fault(p=0.1, code="ThrottlingException")


def deployed(app: rota.App, module: object) -> None:
    it = deployer(told=lambda _: None, noted=lambda _: None, poll=0.01)
    it.execute(it.plan(app.name, synthesize(app, str(module), None), {}))


def put(bucket: str, key: str, healed: Path) -> None:
    boto3.client("s3").create_bucket(Bucket=bucket)
    rows = ({"number": it, "bad": it % 10 == 3, "healed": str(healed)} for it in range(ITEMS))
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=b"\n".join(map(msgspec.json.encode, rows)))


def ended(client: Client, id: str, aws: Emulator) -> BatchRun:
    try:
        return client.batches.wait(id, PATIENCE)
    except rota.ConflictError:
        raise AssertionError(f"{client.batches.get(id)}\n{aws.log()[-6000:]}") from None


def fail_and_heal(client: Client, name: str, healed: Path, aws: Emulator, faults: Mapping[str, Fault]) -> BatchRun:
    """A batch run among faults, and its redrive when its items are whole."""
    aws.faults({**faults, "dynamodb.UpdateItem": THROTTLED, "sqs.SendMessageBatch": Fault(p=0.3, twice=True)})
    run = ended(client, client.batches.start(name, chunk_items=50).id, aws)
    assert (run.state, run.error) == ("succeeded", "")
    assert (run.counts.items, run.counts.succeeded, run.counts.failed) == (ITEMS, ITEMS - BAD, BAD)
    assert client.batches.verify(run.id) == []
    aws.faults({})
    healed.touch()
    again = ended(client, client.batches.redrive(run.id).id, aws)
    assert (again.state, again.error, again.version) == ("succeeded", "", 2)
    assert (again.counts.items, again.counts.succeeded, again.counts.failed) == (ITEMS, ITEMS, 0)
    assert client.batches.failures(run.id) == []
    assert client.batches.verify(run.id) == []
    return again


def test_items_of_a_queue_are_healed_and_redriven(aws: Emulator, tmp_path: Path) -> None:
    put("factory-orders", "numbers.jsonl", healed := tmp_path / "healed")
    deployed(factory.app, factory.__file__)
    with rota.connect("aws://factory", factory.app) as client:
        run = fail_and_heal(client, "double", healed, aws, {})
        assert run.results == ITEMS


def test_records_of_a_pipeline_are_healed_and_redriven(aws: Emulator, tmp_path: Path) -> None:
    put("piped-orders", "orders.jsonl", healed := tmp_path / "healed")
    make_table("piped-totals", "id")
    deployed(piped.app, piped.__file__)
    faults = {
        "internal.lambda.Execute": Fault(times=1, match="piped-PipeProcess", kill=True, within_ms=50),
        "dynamodb.BatchWriteItem": Fault(p=0.3, unprocessed=True),
    }
    with rota.connect("aws://piped", piped.app) as client:
        fail_and_heal(client, "orders", healed, aws, faults)
    assert {int(id): float(total) for id, total in totals().items()} == {it: it * 1.5 for it in range(ITEMS)}
