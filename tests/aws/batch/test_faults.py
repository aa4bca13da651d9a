"""Functions die at every call they make, and nothing is lost, doubled, or told twice under two ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.aws.batch.test_engine import check, shop
from tests.aws.batch.world import CHUNKS, Killed, World, out_of_reach

import rota
from rota.connectors.verifying import verify_manifest
from rota.core.batch import BatchKey
from rota.testing import Fuse

ITEMS = 60


class Fragile:
    """Wraps what a world uses with the fuse of the moment. Once it is burnt, new functions get one that holds, or one
    that dies again after `every` calls."""

    def __init__(self, dies_at: int, *, after: bool, every: int | None = None) -> None:
        self.fuse = Fuse(dies_at, after=after)
        self.every = every
        self.after = after

    def __call__(self, it: Any) -> Any:
        if self.fuse.burnt:
            self.fuse = Fuse(self.every, after=self.after)
        return self.fuse.wrap(it)


def world_of(place: Path, wrap: Any = None, seed: int = 0) -> tuple[World, BatchKey]:
    world = World(shop(place, ITEMS), place, seed)
    key = world.start("double")
    if wrap is not None:
        world.wrap = wrap
        world.restart()
    return world, key


def calls_of(place: Path) -> int:
    """How many calls an undisturbed batch run makes."""
    counting = Fragile(1_000_000, after=False)
    world, key = world_of(place, counting)
    world.until_ended(key)
    world.drain()
    return counting.fuse.calls


@pytest.mark.parametrize("after", [False, True])
def test_a_death_at_any_call_changes_nothing(tmp_path: Path, after: bool) -> None:
    (tmp_path / "whole").mkdir()
    calls = calls_of(tmp_path / "whole")
    assert calls > 40
    for at in range(1, calls + 1):
        place = tmp_path / str(at)
        place.mkdir()
        world, key = world_of(place, Fragile(at, after=after), seed=at)
        run = world.until_ended(key)
        world.drain()
        assert world.deaths <= 1
        check(world, run, ITEMS)


@pytest.mark.parametrize("seed", range(6))
def test_functions_that_die_again_and_again_come_to_an_end(tmp_path: Path, seed: int) -> None:
    world, key = world_of(tmp_path, Fragile(11 + seed, after=bool(seed % 2), every=12 + seed), seed)
    run = world.until_ended(key, twice=0.1)
    world.wrap = lambda it: it
    world.restart()
    world.drain()
    assert world.deaths >= 2
    assert run.counts.items == ITEMS
    assert run.counts.succeeded + run.counts.failed == ITEMS
    assert verify_manifest(Path(run.manifest)) == []
    assert len({one.id for one in world.told}) == 1


def test_messages_that_are_lost_are_sent_again_by_the_sweeper(tmp_path: Path) -> None:
    world, key = world_of(tmp_path)
    for _ in range(4):
        world.step()
    world.sqs.held[CHUNKS].clear()
    run = world.until_ended(key)
    check(world, run, ITEMS)


def test_what_is_received_too_often_is_a_dead_letter_of_its_chunk(tmp_path: Path) -> None:
    world, key = world_of(tmp_path)
    world.step()
    held = next(it for it in world.sqs.held[CHUNKS] if '"number":2,' in it.body)
    held.received = 10
    run = world.until_ended(key)
    assert (run.state, run.counts.items, run.counts.failed) == ("failed", ITEMS, 12)
    assert "more than the tolerated" in run.error
    [undelivered, _] = world.ledger.failures(key)
    assert (undelivered.count, undelivered.signature.exception) == (10, "rota.WorkerDied")
    keys = [undelivered.signature.key]
    assert world.client.redrive(key, keys)
    again = world.until_ended(key)
    assert (again.state, again.counts.failed, again.counts.succeeded) == ("succeeded", 2, ITEMS - 2)
    assert verify_manifest(Path(again.manifest)) == []


def test_cuts_that_were_guessed_wrongly_are_mended(tmp_path: Path) -> None:
    app = rota.App("shop")

    @app.task
    def length(item: dict[str, str]) -> int:
        return len(item["text"])

    rows = [f'{number},"line {number}\n3,x\n4,y\n5,z\n"\n' for number in range(40)]
    (tmp_path / "notes.csv").write_text("id,text\n" + "".join(rows))
    app.batch("notes", source="notes.csv", task=length, sink="out/", chunk_bytes=100, concurrency=2)
    world = World(app, tmp_path)
    run = world.until_ended(world.start("notes"))
    assert (run.state, run.error, run.counts.items) == ("succeeded", "", 40)
    assert verify_manifest(Path(run.manifest)) == []


def test_a_search_convicts_nobody_for_what_the_source_did(tmp_path: Path) -> None:
    app = rota.App("shop")

    @app.task
    def fragile(item: dict[str, int]) -> int:
        if item["number"] == 7:
            raise Killed
        return item["number"]

    (tmp_path / "numbers.jsonl").write_bytes(b"".join(b'{"number":%d}\n' % number for number in range(10)))
    app.batch("fragile", source="numbers.jsonl", task=fragile, sink="out/", chunk_items=10, tolerated_failures=1)
    world = World(app, tmp_path)
    key = world.start("fragile")
    while not any('"search":true' in body for body in world.sqs.bodies(CHUNKS)):
        world.step()
    with out_of_reach(tmp_path / "numbers.jsonl"):
        world.step()
    run = world.until_ended(key)
    assert (run.state, run.counts.failed, run.counts.succeeded) == ("succeeded", 1, 9)
