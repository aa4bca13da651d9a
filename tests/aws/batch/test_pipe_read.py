"""The reader of pipelines: starts a batch run once, and leaves to the planner what it has no time for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.aws.batch.pipe_world import PipeWorld
from tests.aws.batch.world import PLAN, SETTINGS

import rota
from rota.aws.batch.pipe_read import BACKUP, Reader
from rota.aws.batch.planner import RESERVE
from rota.aws.near import NearTier
from rota.service.batches import Surroundings, batch_key

ITEMS = 1000


def counting() -> Iterator[int]:
    yield from range(ITEMS)


@pytest.fixture
def world(tmp_path: Path) -> PipeWorld:
    app = rota.App("shop")

    @app.task
    def nothing(item: int) -> int:
        return item

    app.batch("count", source=counting, task=nothing, sink=None, chunk_items=4, concurrency=3, topology="pipeline")
    return PipeWorld(app, tmp_path)


@pytest.fixture
def reader(world: PipeWorld) -> Reader:
    around = Surroundings(f"{world.place}/{{run}}", str(world.place), 4)
    near = NearTier(world.sqs, world.clock, threads=1)
    return Reader(world.ledger, near, SETTINGS, world.clock, world.planner, world.app.batches, around)


def test_it_plans_all_if_there_is_time_and_the_planner_looks_after_it(world: PipeWorld, reader: Reader) -> None:
    said = reader.start({"batch": "count"}, lambda: 100_000)
    assert (said["chunks"], said["all"], said["state"]) == (ITEMS // 4, True, "running")
    [backup] = world.sqs.held[PLAN]
    assert backup.visible >= world.clock.now() + BACKUP
    run = world.until_ended(batch_key(said["run"]))
    assert (run.state, run.counts.succeeded) == ("succeeded", ITEMS)
    assert run.spec.topology == "pipeline"
    world.drain()
    assert len({one.id for one in world.told}) == 0


def test_what_it_has_no_time_for_others_go_on_with(world: PipeWorld, reader: Reader) -> None:
    said = reader.start({"batch": "count"}, lambda: RESERVE - 1)
    assert not said["all"]
    assert 0 < said["chunks"] < ITEMS // 4
    run = world.until_ended(batch_key(said["run"]))
    assert (run.state, run.counts.succeeded) == ("succeeded", ITEMS)


@pytest.mark.parametrize("twice", [{"id": "today"}, {"scheduled": "2026-11-21T09:00:00Z"}])
def test_what_comes_twice_starts_once(world: PipeWorld, reader: Reader, twice: dict[str, str]) -> None:
    first, second = (reader.start({"batch": "count", **twice}, lambda: 100_000)["run"] for _ in range(2))
    world.clock.advance(1)
    assert first == second
    assert reader.start({"batch": "count"}, lambda: 100_000)["run"] != first
    assert world.until_ended(batch_key(first)).counts.succeeded == ITEMS


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({}, "an object such as"),
        ({"batch": "count", "colour": 1}, "unknown field `colour`"),
        ({"batch": "counts"}, "the app declares count"),
        ({"batch": "count", "source": "s3:///x"}, "is not allowed"),
        ({"batch": "count", "tolerated_failures": "101%"}, "101%"),
        ({"batch": "count", "chunk_items": 0}, "chunk_items"),
        ({"batch": "count", "id": "a b/c"}, "id"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_stored(
    world: PipeWorld, reader: Reader, event: object, said: str
) -> None:
    with pytest.raises((rota.InvalidError, rota.NotFoundError), match=said):
        reader.start(event, lambda: 100_000)
    assert world.ledger.open(10) == []
    assert not world.sqs.held[PLAN]
