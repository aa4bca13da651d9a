"""Batch runs through a pipeline: what one step passes on the other writes, once, and they always end."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests.aws.batch.pipe_world import PipeWorld
from tests.aws.batch.test_engine import check, shop
from tests.aws.batch.test_faults import Fragile
from tests.aws.batch.world import Killed

import rota
from rota.aws.batch_cost import LARGEST_INLINE
from rota.connectors.verifying import verify_manifest
from rota.core.batch import BatchKey
from rota.core.tolerance import Tolerance

ITEMS = 60
ROOMS = {"all by the state": LARGEST_INLINE, "results by the folder": 800, "all by the folder": 0}


def world_of(
    place: Path, wrap: Fragile | None = None, seed: int = 0, items: int = ITEMS, inline: int = LARGEST_INLINE
) -> tuple[PipeWorld, BatchKey]:
    world = PipeWorld(shop(place, items), place, seed, inline=inline)
    key = world.start("double")
    if wrap is not None:
        world.wrap = wrap
        world.restart()
    return world, key


@pytest.mark.parametrize("twice", [0.0, 0.3])
@pytest.mark.parametrize("way", ROOMS)
def test_a_batch_run_ends_with_exact_totals_and_tells_once(tmp_path: Path, twice: float, way: str) -> None:
    world, key = world_of(tmp_path, items=500, inline=ROOMS[way])
    run = world.until_ended(key, twice=twice)
    world.drain()
    check(world, run)
    assert not world.buried
    assert not list((world.place / run.id).glob("apart/**/*.json*")), "what was passed on is removed at the end"


def test_what_is_small_travels_in_the_state_and_the_rest_by_the_folder(tmp_path: Path) -> None:
    found = {}
    # The mark takes some hundreds of bytes, more the longer the path is; its results, some thousands.
    for way, inline in {**ROOMS, "results by the folder": 3000}.items():
        (tmp_path / way).mkdir()
        world = PipeWorld(long_results(tmp_path / way), tmp_path / way, inline=inline)
        key = world.start("double")
        while not any(it.done for it in world.ledger.get([key])):
            world.step()
        passing = list((world.place / key.id / "apart/passing").glob("*"))
        found[way] = {path.suffix for path in passing}, max(world.states)
    suffixes = {way: it for way, (it, _) in found.items()}
    assert suffixes == {
        "all by the state": set(),
        "results by the folder": {".jsonl"},
        "all by the folder": {".jsonl", ".json"},
    }
    assert found["all by the folder"][1] < found["results by the folder"][1] < 3000 < found["all by the state"][1]


def long_results(place: Path) -> rota.App:
    """Ten items whose results are of 640 letters each that nobody can guess."""
    app = rota.App("shop")

    @app.task
    def double(item: dict[str, int]) -> str:
        return "".join(hashlib.sha256(f"{item['number']}.{at}".encode()).hexdigest() for at in range(10))

    (place / "numbers.jsonl").write_bytes(b"".join(b'{"number":%d}\n' % number for number in range(10)))
    app.batch("double", source="numbers.jsonl", task=double, sink="out/{run}/", chunk_items=10, concurrency=3)
    return app


def test_items_that_wait_long_leave_the_lane_and_come_back(tmp_path: Path) -> None:
    world, key = world_of(tmp_path, items=500)
    began = world.clock.now()
    run = world.until_ended(key)
    assert world.clock.now() - began >= 60_000
    assert run.retries == 30
    check(world, run)


def test_too_many_failures_end_it(tmp_path: Path) -> None:
    world = PipeWorld(shop(tmp_path), tmp_path)
    run = world.until_ended(world.start("double", tolerated=Tolerance(2)))
    world.drain()
    assert run.state == "failed"
    assert "more than the tolerated 2" in run.error
    assert len({one.id for one in world.told}) == 1


def test_dead_letters_are_redriven(tmp_path: Path) -> None:
    world, key = world_of(tmp_path, items=500)
    assert world.until_ended(key).counts.failed == 10
    mended = rota.App("shop")

    @mended.task(name="double")
    def double(item: dict[str, int]) -> dict[str, int]:
        return {"number": item["number"], "doubled": 2 * item["number"]}

    mended.batch("double", source="numbers.jsonl", task=double, sink="out/{run}/")
    world.app = mended
    world.restart()
    assert world.client.redrive(key, [group.signature.key for group in world.ledger.failures(key)])
    run = world.until_ended(key)
    assert (run.state, run.counts.failed, run.counts.succeeded, run.version) == ("succeeded", 0, 500, 2)
    assert verify_manifest(Path(run.manifest)) == []


def test_it_is_paused_resumed_and_cancelled(tmp_path: Path) -> None:
    world, key = world_of(tmp_path, items=500)
    for _ in range(15):
        world.step()
    assert world.client.ask(key, "pause")
    world.drain()
    assert world.run(key).shown_state == "paused"
    assert world.client.ask(key, "run")
    check(world, world.until_ended(key))
    other = world.start("double")
    for _ in range(10):
        world.step()
    assert world.client.ask(other, "cancel")
    assert world.until_ended(other).state == "cancelled"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("way", ROOMS)
def test_a_death_at_any_call_changes_nothing(tmp_path: Path, after: bool, way: str) -> None:
    counting = Fragile(1_000_000, after=False)
    (tmp_path / "whole").mkdir()
    inline = ROOMS[way]
    world, key = world_of(tmp_path / "whole", counting, inline=inline)
    world.until_ended(key)
    world.drain()
    assert counting.fuse.calls > 40
    for at in range(1, counting.fuse.calls + 1):
        place = tmp_path / str(at)
        place.mkdir()
        world, key = world_of(place, Fragile(at, after=after), seed=at, inline=inline)
        run = world.until_ended(key)
        world.drain()
        check(world, run, ITEMS)


def test_an_item_that_kills_functions_is_found(tmp_path: Path) -> None:
    app = rota.App("shop")

    @app.task
    def fragile(item: dict[str, int]) -> int:
        if item["number"] == 37:
            raise Killed
        return item["number"]

    (tmp_path / "numbers.jsonl").write_bytes(b"".join(b'{"number":%d}\n' % number for number in range(100)))
    app.batch(
        "fragile",
        source="numbers.jsonl",
        task=fragile,
        sink="out/{run}/",
        chunk_items=20,
        concurrency=2,
        tolerated_failures=1,
    )
    world = PipeWorld(app, tmp_path)
    key = world.start("fragile")
    run = world.until_ended(key)
    assert (run.state, run.counts.failed, run.counts.succeeded) == ("succeeded", 1, 99)
    [group] = world.ledger.failures(key)
    assert group.signature.exception == "rota.WorkerDied"
    assert not world.buried


def test_a_result_that_cannot_be_written_is_a_dead_letter_with_its_position(tmp_path: Path) -> None:
    app = rota.App("shop")

    @app.task
    def odd(item: dict[str, int]) -> object:
        return object() if item["number"] == 5 else item

    (tmp_path / "numbers.jsonl").write_bytes(b"".join(b'{"number":%d}\n' % number for number in range(10)))
    app.batch("odd", source="numbers.jsonl", task=odd, sink="out/{run}/", chunk_items=4, tolerated_failures=1)
    world = PipeWorld(app, tmp_path)
    key = world.start("odd")
    run = world.until_ended(key)
    assert (run.state, run.counts.failed, run.counts.succeeded) == ("succeeded", 1, 9)
    [group] = world.ledger.failures(key)
    assert (group.signature.exception, group.first_chunk) == ("rota.RefusedResult", 1)


def test_a_sink_that_cannot_be_written_ends_it(tmp_path: Path) -> None:
    world, key = world_of(tmp_path)
    while not world.run(key).done:
        world.step()
    out = tmp_path / "out" / world.run(key).id
    out.rename(tmp_path / "moved")
    out.write_text("in the way")
    run = world.until_ended(key)
    assert run.state == "failed"
