"""Two functions work on one chunk, and the task does not do the same twice: the part that the standing mark names is
there, whole, and no other, whoever wrote or marked last."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from tests.aws.batch.world import CHUNKS, LEFT, Killed, World

import rota
from rota.aws.batch.benches import Benches
from rota.aws.batch.processor import Processor, Visit
from rota.connectors.verifying import verify_manifest
from rota.core.batch import BatchKey, BatchRun
from rota.testing.emulator import Emulator

ITEMS, CHUNK = 20, 10
PART = "part-000000000"


class Meddled:
    """A ledger. before, after: what happens then to the next mark."""

    def __init__(self, ledger: Any, before: Callable[[], object], after: Callable[[], object]) -> None:
        self._ledger = ledger
        self._meddling = iter([(before, after)])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def mark(self, *arguments: Any) -> Any:
        before, after = next(self._meddling, (nothing, nothing))
        before()
        answer = self._ledger.mark(*arguments)
        after()
        return answer


def nothing() -> None:
    """Nobody meddles."""


def die() -> None:
    raise Killed


@pytest.fixture
def world(aws: Emulator, tmp_path: Path) -> World:
    del aws
    boto3.client("s3").create_bucket(Bucket="results")
    app = rota.App("shop")
    calls = itertools.count()

    @app.task
    def draw(item: dict[str, int]) -> list[int]:
        return [item["number"], next(calls)]

    (tmp_path / "numbers.jsonl").write_bytes(b"".join(b'{"number":%d}\n' % number for number in range(ITEMS)))
    sink = "s3://results/out/"
    app.batch("draw", source="numbers.jsonl", task=draw, sink=sink, chunk_items=CHUNK, concurrency=1)
    return World(app, tmp_path)


def chunk_message(world: World) -> tuple[BatchKey, str]:
    """The message of the first chunk."""
    key = world.start("draw")
    while not world.sqs.held[CHUNKS]:
        world.step()
    return key, world.sqs.bodies(CHUNKS)[0]


def function(world: World, before: Callable[[], object] = nothing, after: Callable[[], object] = nothing) -> Processor:
    ledger = Meddled(world.ledger, before, after)
    return Processor(ledger, world.post, world.clock, Benches(world.app.tasks, world.app.batches))


def visit() -> Visit:
    return Visit(1, lambda: LEFT, lambda _: None, lambda _: None)


def objects() -> Iterator[str]:
    found = boto3.client("s3").list_objects_v2(Bucket="results", Prefix="out/part-").get("Contents", ())
    return (entry["Key"].removeprefix("out/") for entry in found)


def check(world: World, run: BatchRun, key: BatchKey) -> None:
    assert (run.state, run.counts.items, run.counts.succeeded) == ("succeeded", ITEMS, ITEMS)
    assert verify_manifest(Path(run.manifest)) == []
    named = {part.name for row in world.ledger.chunks(key, "done", -1, 9) if row.mark for part in row.mark.parts}
    assert set(objects()) == named
    assert len(named) == 2
    body = b"".join(boto3.client("s3").get_object(Bucket="results", Key=f"out/{it}")["Body"].read() for it in named)
    assert sorted(msgspec.json.decode(line)[0] for line in body.splitlines()) == list(range(ITEMS))


def test_the_one_that_writes_first_marks_last(world: World) -> None:
    key, body = chunk_message(world)
    rival = function(world)
    function(world, before=lambda: rival.handle(body, visit())).handle(body, visit())
    assert sum(name.startswith(PART) for name in objects()) == 2
    check(world, world.until_ended(key), key)


def test_the_one_that_writes_last_marks_last(world: World) -> None:
    key, body = chunk_message(world)
    function(world).handle(body, visit())
    function(world).handle(body, visit())
    check(world, world.until_ended(key), key)


def test_the_one_that_writes_last_dies_before_its_mark(world: World) -> None:
    key, body = chunk_message(world)
    function(world).handle(body, visit())
    with pytest.raises(Killed):
        function(world, before=die).handle(body, visit())
    check(world, world.until_ended(key), key)


def test_the_one_that_writes_first_dies_before_its_mark(world: World) -> None:
    key, body = chunk_message(world)
    with pytest.raises(Killed):
        function(world, before=die).handle(body, visit())
    check(world, world.until_ended(key), key)


def test_one_that_dies_after_its_mark_leaves_nothing_to_mend(world: World) -> None:
    key, body = chunk_message(world)
    with pytest.raises(Killed):
        function(world, after=die).handle(body, visit())
    world.sqs.held[CHUNKS][0].received = 1
    [name] = objects()
    run = world.until_ended(key)
    check(world, run, key)
    assert name in set(objects())
