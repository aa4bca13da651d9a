"""A batch run that has used more than `max_cost` pauses, says why, and goes on when resumed; and what `auto` is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.aws.batch.test_engine import check, shop
from tests.aws.batch.world import World
from tests.aws.dynamo.batching import chunk, mark, started, store_of

from rota.aws.batch.benches import Benches
from rota.aws.batch.map_plan import reader_of
from rota.aws.batch.map_work import Answer, MapWorker
from rota.aws.batch_choice import choose, dollars_text, overspent, reason, work_of
from rota.aws.dynamo.schema import create_table
from rota.aws.sessions import client
from rota.core.batch import BatchRun, BatchSpec, Topology
from rota.core.chunk import ChunkSize
from rota.core.completion import Verdict
from rota.core.errors import InvalidError
from rota.core.receipt import Counts
from rota.testing.emulator import Emulator

SPEC = BatchSpec(
    batch="orders",
    task="enrich",
    source={"type": "jsonl", "path": "s3://shop/orders.jsonl"},
    sink={"type": "parts", "path": "s3://shop/out/"},
    size=ChunkSize(100),
    concurrency=10,
    max_cost=0.5,
)
RUN = BatchRun(
    name="orders",
    created=0,
    spec=SPEC,
    directory="s3://shop/x",
    state="running",
    started=0,
    planned=100_000,
    done=10_000,
    counts=Counts(1_000_000, 1_000_000),
)
HOUR = 3_600_000


def test_what_is_spent_is_told_once() -> None:
    assert overspent(RUN, 60_000) == ""
    assert "more than max_cost $0.5" in overspent(RUN, 2 * HOUR)
    told = msgspec.structs.replace(RUN, held=True)
    unlimited = msgspec.structs.replace(RUN, spec=msgspec.structs.replace(SPEC, max_cost=None))
    paused = msgspec.structs.replace(RUN, wish="pause")
    assert [overspent(it, 2 * HOUR) for it in (told, unlimited, paused)] == [""] * 3


def test_it_pauses_and_goes_on_when_it_is_resumed(tmp_path: Path) -> None:
    world = World(shop(tmp_path), tmp_path)
    key = world.start("double", max_cost=0.000_001)
    for _ in range(2000):
        if world.ledger.held or not world.step():
            break
        world.clock.advance(1000)
    world.drain()
    paused = world.run(key)
    assert paused.shown_state == "paused"
    assert 0 < paused.done < 50
    assert "max_cost" in world.ledger.held
    assert world.client.ask(key, "run")
    check(world, world.until_ended(key))


def test_a_map_pauses_by_what_its_children_have_told(tmp_path: Path) -> None:
    world = World(shop(tmp_path), tmp_path)
    key = world.start("double", max_cost=0.01, topology="map")
    world.ledger.begin(key, world.clock.now())
    worker = MapWorker(world.ledger, world.clock, Benches(world.app.tasks, world.app.batches))
    shared = {"run": key.id, "revision": 0, "round": "0.0.0", "reader": "lines", "origin": {"uri": "s3://shop/n.jsonl"}}

    def child(first: int) -> Answer:
        items = [{"i": first + number, "v": {"number": 0}} for number in range(10)]
        return msgspec.convert(worker.handle({"Items": items, "BatchInput": shared}, lambda: 60_000), Answer)

    at = 0
    while (answer := child(at)).marks:
        assert answer.marks[0].counts.items == 10
        world.clock.advance(10_000)
        at += 10
    assert (answer.left, at > 10) == (10, True)
    assert world.run(key).shown_state == "paused"
    assert "more than max_cost" in world.ledger.held
    world.clock.advance(2000)
    assert child(at).left == 10
    world.ledger.ask(key, "run")
    world.clock.advance(6000)
    assert child(at).marks[0].counts.items == 10


def test_the_reason_is_kept_until_it_goes_on(aws: Emulator) -> None:
    dynamodb = client("dynamodb")
    create_table(dynamodb, "spending")
    batches = store_of(dynamodb, "spending")
    key = started(batches)
    batches.begin(key, 1)
    assert batches.hold(key, "paused: it costs")
    [run] = batches.get([key])
    assert (run.shown_state, run.error) == ("paused", "paused: it costs")
    assert batches.ask(key, "run") is not None
    assert not batches.hold(key, "paused: it costs more"), "who resumed it knows"
    batches.ask(key, "pause")
    [run] = batches.get([key])
    assert (run.shown_state, run.error) == ("paused", ""), "by hand, for no reason that is known"
    batches.ask(key, "run")
    batches.record(key, [chunk(0)], [mark(0)], 1)
    assert batches.decide(key, Verdict("succeeded"))
    assert not batches.hold(key, "paused: it costs more")
    [run] = batches.get([key])
    assert (run.state, run.wish, run.error) == ("finishing", "run", "")


@pytest.mark.parametrize(("refused", "said"), [({}, "map $"), ({"map": "no S3"}, "map cannot do it (no S3)")])
def test_the_cheapest_is_chosen_and_the_reason_said(refused: Any, said: str) -> None:
    found = choose(SPEC, refused)
    assert found.way == "queue"
    assert found.why.startswith("queue is the cheapest, $")
    assert said in found.why


def test_a_cost_that_is_small_is_not_told_as_none() -> None:
    large = msgspec.structs.replace(SPEC, size=ChunkSize(10_000))
    assert "$0.00 " not in choose(large, {}).why
    assert [dollars_text(it) for it in (0.001234, 0.5, 1.005, 1234.5)] == ["$0.0012", "$0.5", "$1.00", "$1,234.50"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            {"type": "jsonl", "path": "s3://a/b.gz", "compression": "gzip"},
            "it needs a file that is not compressed",
        ),
        ({"type": "csv", "path": "s3://shop/a.csv", "delimiter": ";"}, "it needs a CSV file in UTF-8 with commas"),
        ({"type": "generator", "name": "orders"}, "it needs s3://bucket/key or a prefix"),
    ],
)
def test_a_refusal_is_told_in_a_few_words(source: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidError) as refused:
        reader_of(msgspec.structs.replace(SPEC, source=source))
    told = reason(refused.value)
    assert told.startswith(said)
    assert "topology" not in told


def test_auto_is_settled_before_it_is_stored(tmp_path: Path) -> None:
    world = World(shop(tmp_path), tmp_path)
    topology: Topology = "auto"
    run = msgspec.structs.replace(RUN, spec=msgspec.structs.replace(SPEC, topology=topology, max_cost=None))
    [stored] = world.client.accept([run])
    assert stored.spec.topology == "queue"
    said = "map cannot do it (the stack has no state machine)"
    assert said in world.client.choice(run).why


def test_sizes_in_bytes_and_in_items() -> None:
    def together(**size: int) -> float:
        return work_of(msgspec.structs.replace(SPEC, size=ChunkSize(**size)), 1000, size=100).chunk_items

    assert (together(items=50), together(bytes=1000), together(items=50, bytes=1000)) == (50, 10, 10)
    assert work_of(SPEC, 1000, chunks=4).chunk_items == 250
