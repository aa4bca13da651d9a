"""Batch runs through planner, processors and finalizer: totals are exact and they always end."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.aws.batch.world import Killed, World, lines

import rota
from rota.connectors.verifying import verify_manifest
from rota.core.batch import BatchRun
from rota.core.tolerance import Tolerance

ITEMS = 500


def shop(place: Path, items: int = ITEMS, chunk: int = 10) -> rota.App:
    """Doubles numbers: 3 fails for good where it is a divisor's multiple of 50, some fail the first time."""
    app = rota.App("shop")
    tried: set[int] = set()

    @app.task(retry=rota.Retry(attempts=3, initial=30, jitter="none"))
    def double(item: dict[str, int]) -> dict[str, int]:
        number = item["number"]
        if number % 50 == 3:
            raise ValueError("it ends in 3")
        if number % 50 == 7 and number not in tried:
            tried.add(number)
            raise ConnectionError("not now")
        return {"number": number, "doubled": 2 * number}

    (place / "numbers.jsonl").write_bytes(b"".join(b'{"number":%d}\n' % number for number in range(items)))
    app.batch(
        "double",
        source="numbers.jsonl",
        task=double,
        sink="out/{run}/",
        chunk_items=chunk,
        concurrency=3,
        tolerated_failures="10%",
        notify=["queue:events"],
    )
    return app


def check(world: World, run: BatchRun, items: int = ITEMS, bad: int = 50) -> None:
    """All is there, once, and proven."""
    failed = len([number for number in range(items) if number % bad == 3])
    assert (run.state, run.error) == ("succeeded", "")
    assert (run.counts.items, run.counts.failed, run.counts.succeeded) == (items, failed, items - failed)
    out = world.place / "out" / run.id
    assert sorted(line["number"] for line in lines(out)) == [it for it in range(items) if it % bad != 3]
    assert verify_manifest(Path(run.manifest)) == []
    assert len({one.id for one in world.told}) == 1


def test_a_batch_run_ends_with_exact_totals_and_tells_once(tmp_path: Path) -> None:
    world = World(shop(tmp_path), tmp_path)
    run = world.until_ended(world.start("double"))
    check(world, run)
    world.drain()
    assert len(world.told) >= 1


@pytest.mark.parametrize("seed", range(4))
def test_duplicates_in_any_order_change_nothing(tmp_path: Path, seed: int) -> None:
    world = World(shop(tmp_path), tmp_path, seed)
    run = world.until_ended(world.start("double"), twice=0.3)
    world.drain()
    check(world, run)


def test_items_that_wait_long_leave_the_lane_and_come_back(tmp_path: Path) -> None:
    world = World(shop(tmp_path), tmp_path, patience=3.0)
    began = world.clock.now()
    run = world.until_ended(world.start("double"))
    assert world.clock.now() - began >= 60_000
    assert run.retries == 3 * ITEMS // 50
    check(world, run)


def test_too_many_failures_end_it(tmp_path: Path) -> None:
    world = World(shop(tmp_path), tmp_path)
    run = world.until_ended(world.start("double", tolerated=Tolerance(2)))
    world.drain()
    assert run.state == "failed"
    assert "more than the tolerated 2" in run.error
    assert len({one.id for one in world.told}) == 1
    assert b'"outcome":"failed"' in world.told[0].payload


def test_a_source_that_cannot_be_read_ends_it(tmp_path: Path) -> None:
    world = World(shop(tmp_path), tmp_path)
    (tmp_path / "numbers.jsonl").unlink()
    key = world.start("double")
    for _ in range(10):
        try:
            run = world.until_ended(key)
            break
        except rota.SourceError:
            continue
    assert run.state == "failed"
    assert "numbers.jsonl" in run.error


def test_nothing_to_do_is_done(tmp_path: Path) -> None:
    world = World(shop(tmp_path, items=0), tmp_path)
    run = world.until_ended(world.start("double"))
    assert (run.state, run.counts.items, run.sealed) == ("succeeded", 0, 0)


def test_it_is_paused_resumed_and_cancelled(tmp_path: Path) -> None:
    world = World(shop(tmp_path), tmp_path)
    key = world.start("double")
    for _ in range(20):
        world.step()
    assert world.client.ask(key, "pause")
    world.drain()
    paused = world.run(key)
    assert (paused.shown_state, paused.is_open) == ("paused", True)
    assert paused.done < 50
    assert world.client.ask(key, "run")
    run = world.until_ended(key)
    check(world, run)
    other = world.start("double")
    for _ in range(10):
        world.step()
    assert world.client.ask(other, "cancel")
    assert world.until_ended(other).state == "cancelled"


def test_dead_letters_are_redriven(tmp_path: Path) -> None:
    app = shop(tmp_path)
    world = World(app, tmp_path)
    key = world.start("double")
    assert world.until_ended(key).counts.failed == 10
    mended = rota.App("shop")

    @mended.task(name="double")
    def double(item: dict[str, int]) -> dict[str, int]:
        return {"number": item["number"], "doubled": 2 * item["number"]}

    mended.batch("double", source="numbers.jsonl", task=double, sink="out/{run}/")
    world.app = mended
    world.restart()
    keys = [group.signature.key for group in world.ledger.failures(key)]
    assert world.client.redrive(key, keys)
    world.step()
    assert world.client.ask(key, "pause")
    world.pass_by(1)
    world.drain()
    assert world.run(key).shown_state == "paused"
    assert world.client.ask(key, "run")
    run = world.until_ended(key)
    world.drain()
    assert (run.state, run.counts.failed, run.counts.succeeded, run.version) == ("succeeded", 0, ITEMS, 2)
    out = world.place / "out" / run.id
    assert sorted(line["number"] for line in lines(out)) == list(range(ITEMS))
    assert verify_manifest(Path(run.manifest)) == []


def test_an_item_that_kills_functions_is_found(tmp_path: Path) -> None:
    app = rota.App("shop")

    @app.task
    def fragile(item: dict[str, int]) -> int:
        if item["number"] in (17, 42):
            raise Killed
        return item["number"]

    (tmp_path / "numbers.jsonl").write_bytes(b"".join(b'{"number":%d}\n' % number for number in range(60)))
    app.batch(
        "fragile",
        source="numbers.jsonl",
        task=fragile,
        sink="out/",
        chunk_items=20,
        concurrency=2,
        tolerated_failures=2,
    )
    world = World(app, tmp_path)
    run = world.until_ended(world.start("fragile"))
    assert (run.state, run.counts.failed, run.counts.succeeded) == ("succeeded", 2, 58)
    assert lines(tmp_path / "out") == [it for it in range(60) if it not in (17, 42)]
    assert verify_manifest(Path(run.manifest)) == []
    [group] = world.ledger.failures(run.key)
    assert (group.signature.exception, group.count) == ("rota.WorkerDied", 2)
    assert msgspec.json.encode(world.told) == b"[]"
