"""What the model says that batch runs use, against what the emulator counts on a stack that was deployed; and what the
command line makes of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import msgspec
import pytest
from tests.aws.batch.counted import WAYS, app
from typer.testing import CliRunner

import rota
from rota.aws.batch_cost import Way, Work, usage
from rota.aws.bill import Usage
from rota.aws.deploy import deployer
from rota.aws.synth import synthesize
from rota.cli.main import app as command
from rota.client import Client
from rota.core.batch import BatchRun
from rota.testing.emulator import Emulator

pytestmark = pytest.mark.slow
CHUNKS = 60
EACH = 10
PATIENCE = 120.0
MODULE = str(Path(__file__).with_name("counted.py"))


@pytest.fixture
def client(aws: Emulator) -> Iterator[Client]:
    boto3.client("s3").create_bucket(Bucket="counted-items")
    it = deployer(told=lambda _: None, noted=lambda _: None, poll=0.01)
    it.execute(it.plan("counted", synthesize(app, MODULE, None), {}))
    put_numbers(CHUNKS * EACH)
    with rota.connect("aws://counted", app) as made:
        yield made


def put_numbers(items: int) -> None:
    body = b"\n".join(b'{"number":%d}' % number for number in range(items))
    boto3.client("s3").put_object(Bucket="counted-items", Key="numbers.jsonl", Body=body)


def test_model_and_command_line_say_what_is_counted(client: Client, aws: Emulator) -> None:
    for way in WAYS:
        assert way != "auto"
        compare(way, counted(client, aws, way), usage(way, Work(items=CHUNKS * EACH, chunk_items=EACH, concurrency=4)))
    check_command_line(client)


def counted(client: Client, aws: Emulator, way: Way) -> Usage:
    """Of a whole batch run, which nobody looks at meanwhile."""
    aws.reset_counts()
    started = client.batches.start(way)
    finalizer = "-Mapper-" if way == "map" else "-Finalizer-"
    until = time.monotonic() + PATIENCE
    while executions(aws, finalizer) < (2 if way == "map" else 1) and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(0.5)
    billed = aws.billed()
    run = client.batches.wait(started.id, PATIENCE)
    assert (run.state, run.counts.items) == ("succeeded", CHUNKS * EACH), (run, aws.log()[-3000:])
    # Who made the last mark told one function, and nobody asked before.
    assert executions(aws, finalizer) == (2 if way == "map" else 1)
    return Usage(**billed)


def executions(aws: Emulator, function: str) -> int:
    return sum(it.requests for name, it in aws.counts().items() if function in name)


def compare(way: Way, found: Usage, said: Usage) -> None:
    """Within a tenth, and what each function does when it starts."""
    starts = 30
    assert found.write_units == pytest.approx(said.write_units, abs=starts, rel=0.1)
    assert found.fifo_requests == pytest.approx(said.fifo_requests, abs=5, rel=0.1)
    assert found.object_writes == pytest.approx(said.object_writes, abs=starts, rel=0.1)
    assert found.invocations == pytest.approx(said.invocations, abs=5, rel=0.1)
    assert found.express_requests == pytest.approx(said.express_requests, abs=2)
    # A source so small is cut without a request for each cut; every function reads the state when it starts.
    assert found.object_reads <= said.object_reads + starts
    assert found.read_units <= said.read_units + 4 * CHUNKS
    assert found.transitions == pytest.approx(said.transitions, abs=1)


def check_command_line(client: Client) -> None:
    def said(*more: str) -> str:
        answer = CliRunner().invoke(
            command, ["batch", "start", "queue", "--app", MODULE, "--url", "aws://counted", *more]
        )
        assert answer.exit_code == 0, answer.output
        return answer.output

    plan = msgspec.json.decode(said("--dry-run", "--json").encode())
    assert list(plan["dollars"]) == ["queue", "pipeline", "map"]
    text = said("--sample", "20")
    assert "cost, queue" in text
    assert " to $" in text
    started = said("--topology", "auto", "--detach", "--json")
    assert "queue is the cheapest, $" in started
    [run, *_] = client.batches.list(name="queue")
    assert run.spec.topology == "queue"
    assert isinstance(client.batches.wait(run.id, PATIENCE), BatchRun)
