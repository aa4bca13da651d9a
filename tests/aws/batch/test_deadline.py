"""No batch run outlives its ledger: it ends the day before that expires, whatever it was doing, and says why."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.aws.batch.test_engine import shop
from tests.aws.batch.world import CHUNKS, World

from rota.aws.batch.benches import Benches
from rota.aws.batch.map_work import MapWorker
from rota.aws.dynamo.batches import LIFETIME
from rota.aws.dynamo.lifetimes import DAY
from rota.connectors.verifying import verify_manifest
from rota.core.batch import BatchKey, BatchRun
from rota.core.errors import ConflictError


def check_end(world: World, run: BatchRun) -> None:
    assert (run.state, run.outcome) == ("failed", "failed")
    assert "a day before its ledger expires; its results so far stay" in run.error
    assert run.finished is not None
    assert run.created + LIFETIME - DAY <= run.finished < run.created + LIFETIME - DAY // 2
    [said] = verify_manifest(Path(run.manifest))
    assert "ended early (failed)" in said
    assert len({one.id for one in world.told}) == 1


def begun(place: Path) -> tuple[World, BatchKey]:
    world = World(shop(place, 100), place)
    key = world.start("double")
    while world.run(key).done < 3:
        world.step()
    return world, key


def until_last_day(world: World, key: BatchKey) -> None:
    world.clock.set(key.created + LIFETIME - DAY)


def test_a_chunk_that_comes_too_late_ends_the_batch_run(tmp_path: Path) -> None:
    world, key = begun(tmp_path)
    until_last_day(world, key)
    run = world.until_ended(key)
    check_end(world, run)
    assert 0 < run.counts.items < 100


def test_one_whose_messages_are_lost_is_ended_by_the_sweeper(tmp_path: Path) -> None:
    world, key = begun(tmp_path)
    world.sqs.held[CHUNKS].clear()
    until_last_day(world, key)
    check_end(world, world.until_ended(key))


def test_a_paused_one_is_ended_by_the_sweeper(tmp_path: Path) -> None:
    world, key = begun(tmp_path)
    world.client.ask(key, "pause")
    world.drain()
    world.clock.set(key.created + LIFETIME - DAY - 1)
    assert world.sweeper.sweep() == []
    until_last_day(world, key)
    assert world.sweeper.sweep() == [key.id]
    check_end(world, world.until_ended(key))


def test_one_that_was_paused_before_it_began_is_ended_too(tmp_path: Path) -> None:
    world = World(shop(tmp_path, 100), tmp_path)
    key = world.start("double")
    world.client.ask(key, "pause")
    world.drain()
    until_last_day(world, key)
    run = world.until_ended(key)
    assert (run.state, run.counts.items) == ("failed", 0)
    assert "a day before its ledger expires" in run.error


def test_children_of_a_map_leave_their_items_on_the_last_day(tmp_path: Path) -> None:
    world = World(shop(tmp_path, 100), tmp_path)
    key = world.start("double", topology="map")
    world.ledger.begin(key, world.clock.now())
    worker = MapWorker(world.ledger, world.clock, Benches(world.app.tasks, world.app.batches))
    shared = {"run": key.id, "revision": 0, "round": "0.0.0", "reader": "lines", "origin": {"uri": "s3://shop/n.jsonl"}}
    event = {"Items": [{"i": 0, "v": {"number": 0}}], "BatchInput": shared}
    assert len(worker.handle(event, lambda: 60_000)["marks"]) == 1
    until_last_day(world, key)
    assert worker.handle(event, lambda: 60_000) == {"marks": [], "left": 1}


def test_a_map_of_a_stack_that_has_none_any_more_has_failed(tmp_path: Path) -> None:
    world = World(shop(tmp_path, 100), tmp_path)
    run = world.until_ended(world.start("double", topology="map"))
    assert (run.state, run.error) == ("failed", "the stack has no state machine for maps any more")


def test_a_redrive_on_the_last_day_is_refused(tmp_path: Path) -> None:
    world, key = begun(tmp_path)
    run = world.until_ended(key)
    assert run.counts.failed
    until_last_day(world, key)
    groups = [one.signature.key for one in world.ledger.failures(key)]
    with pytest.raises(ConflictError, match="about to expire; start a new one"):
        world.client.redrive(key, groups)
    assert world.run(key) == run
