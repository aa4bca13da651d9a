"""What is said of a batch run before it starts on a stack: which topology it has, why, and what each would cost."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest
from tests.aws.deploy.factory import app
from tests.cli.command import Command

import rota
from rota.aws.deploy import deployer
from rota.aws.synth import synthesize
from rota.testing.emulator import Emulator

MODULE = str(Path(__file__).with_name("factory.py"))
START = ("batch", "start", "double", "--app", MODULE, "--url", "aws://factory")
NO_MACHINE = "the stack has no state machine"


@pytest.fixture
def command(aws: Emulator, tmp_path: Path) -> Command:
    del aws
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="factory-orders")
    body = b"".join(b'{"number":%d,"bad":false}\n' % number for number in range(100))
    s3.put_object(Bucket="factory-orders", Key="numbers.jsonl", Body=body)
    it = deployer(told=lambda _: None, noted=lambda _: None, poll=0.01)
    it.execute(it.plan("factory", synthesize(app, MODULE, None), {}))
    return Command(tmp_path)


def test_a_plan_and_a_sample_say_the_topology_and_leave_out_what_cannot_be(command: Command) -> None:
    plan = command.json(*START, "--dry-run")
    assert (plan["topology"]["way"], plan["topology"]["why"]) == ("queue", "queue, as asked for")
    assert plan["topology"]["refused"] == {"map": NO_MACHINE, "pipeline": "the stack has no pipeline"}
    assert list(plan["dollars"]) == ["queue"]
    text = command(*START, "--topology", "auto", "--dry-run")
    assert "queue is the cheapest, $" in text
    assert f"it cannot carry this out: {NO_MACHINE}" in text
    sample = command.json(*START, "--topology", "auto", "--sample", "5")
    assert (sample["topology"]["way"], list(sample["dollars"])) == ("queue", ["queue"])

    assert "chunks at once" in text
    shape = plan["run"]
    assert (shape["topology"], shape["max_cost"], shape["chunk_items"], shape["rate_limit"]) == (
        "queue",
        None,
        500,
        None,
    )
    for ahead in ("--dry-run", "--sample=5"):
        assert NO_MACHINE in command.refused([*START, "--topology", "map", ahead])
    with rota.connect("aws://factory", app) as client:
        with pytest.raises(rota.InvalidError, match=NO_MACHINE):
            client.batches.prepare("double", topology="map")
        assert client.batches.prepare("double", topology="auto").spec.topology == "queue"
        assert client.batches.list() == []

        def place(sink: str) -> str:
            return str(client.batches.prepare("double", sink=sink).spec.sink["path"]).partition("/batches/{run}/")[2]

        sinks = ("results/", "./results/", "results/out/", "out/", "results.jsonl")
        assert [place(it) for it in sinks] == [
            "results/",
            "results/",
            "results/out/",
            "results/out/",
            "results/results.jsonl",
        ]
