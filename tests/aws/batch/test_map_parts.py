"""The beginning, the work and the end of a map by themselves, with batches as Step Functions might make them."""

from __future__ import annotations

import json
import math
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.aws.batch import map_shop
from tests.aws.batch.map_stack import BUCKET, MapStack

from rota.aws.batch.benches import Benches, places_of
from rota.aws.batch.map_finish import MapEnds
from rota.aws.batch.map_known import Known, Stretch
from rota.aws.batch.map_start import read_turn
from rota.aws.batch.map_work import Given, MapWorker, stretches
from rota.core.batch import BatchRun
from rota.core.receipt import Counts
from rota.service.progress import progress
from rota.system import SystemClock
from rota.testing.emulator import Emulator

Json = dict[str, Any]
AGES = 900_000


class Map:
    """Step Functions in the hands of a test. It makes no execution."""

    def __init__(
        self, stack: MapStack, items: list[Json], source: object = None, *, express: bool = False, **more: Any
    ) -> None:
        map_shop.declare(source or stack.put("in/items.json", json.dumps(items).encode()), **more)
        self.stack = stack
        self.items = items
        self.ledger = stack.batches.ledger
        self.ends = MapEnds(
            self.ledger,
            stack.batches.post,
            SystemClock(),
            stack.batches.finalizer(),
            "EXPRESS" if express else "STANDARD",
        )
        self.worker = self.started()
        self.run = stack.client.start("prices")
        self.state: Json = {}
        self.prepare()

    def started(self) -> MapWorker:
        """A function that knows nothing yet."""
        return MapWorker(self.ledger, SystemClock(), Benches(map_shop.app.tasks, map_shop.app.batches, math.inf))

    def prepare(self, revision: int = 0, turn: int = 0) -> None:
        self.state = self.ends.handle(
            {"step": "prepare", "run": self.run.id, "revision": revision, "turn": turn}, lambda: AGES
        )

    def jobs(self) -> None:
        """The items are what a redrive is to do again."""
        assert self.state["reader"] == "jobs"
        text = self.stack.s3.get_object(Bucket=self.state["bucket"], Key=self.state["key"])["Body"].read()
        self.items = [msgspec.json.decode(line) for line in text.splitlines()]

    def event(self, numbers: list[int]) -> Json:
        """What a child is given that gets these items."""
        shared = {
            name: self.state[name] for name in ("run", "revision", "round", "reader", "origin", "beside", "known")
        }
        shared["together"] = self.state["batch_items"]
        return {"Items": [{"i": at, "v": self.items[at]} for at in numbers], "BatchInput": shared}

    def work(
        self, *batches: list[int], failing: list[list[int]] | None = None, error: str = "Sandbox.Timedout"
    ) -> None:
        """Have these batches worked on, in this order, and write what ResultWriter writes."""
        done = [{"Output": json.dumps(self.worker.handle(self.event(batch), lambda: AGES))} for batch in batches]
        failed = [
            {"Input": json.dumps(self.event(batch)), "Error": error, "Cause": "too slow"} for batch in failing or []
        ]
        self._write({"SUCCEEDED": done, "FAILED": failed})

    def worked(self, *batches: list[int]) -> list[Json]:
        """What children answer that get these batches."""
        return [self.worker.handle(self.event(batch), lambda: AGES) for batch in batches]

    def write(self, *answers: list[Json]) -> None:
        self._write({"SUCCEEDED": [{"Output": json.dumps(it)} for some in answers for it in some], "FAILED": []})

    def _write(self, files: dict[str, list[Json]]) -> None:
        place = f"{self.state['results_prefix']}/1f3a"
        named: dict[str, list[Json]] = {"PENDING": []}
        for status, rows in files.items():
            named[status] = [{"Key": f"{place}/{status}_0.json"}] if rows else []
            self.put(f"{place}/{status}_0.json", rows)
        self.put(f"{place}/manifest.json", {"ResultFiles": named})

    def put(self, key: str, value: object) -> None:
        self.stack.s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(value).encode())

    def finish(self, left: int = AGES, **more: Any) -> Json:
        return self.ends.handle({"step": "finish", "state": {**self.state, **more}}, lambda: left)

    def ended(self) -> BatchRun:
        return self.stack.client.get(self.run.id)


@pytest.fixture
def stack(aws: Emulator) -> MapStack:
    return MapStack(map_shop.app, "map_shop", Path(map_shop.__file__))


def items(number: int, failing: tuple[int, ...] = ()) -> list[Json]:
    return [{"id": at, "price": at / 3, "fails": at in failing} for at in range(number)]


@given(st.sets(st.integers(0, 60)), st.randoms())
def test_stretches_hold_every_item_once_and_are_as_long_as_can_be(places: set[int], rng: Any) -> None:
    shuffled = [Given(at, at * 7) for at in places]
    rng.shuffle(shuffled)
    found = list(stretches(shuffled, Known()))
    assert [first + at for first, values in found for at in range(len(values))] == sorted(places)
    assert [value for _, values in found for value in values] == [at * 7 for at in sorted(places)]
    assert all(before[0] + len(before[1]) < after[0] for before, after in pairwise(found))


def test_batches_of_any_size_and_order_are_chunks_in_the_order_of_the_source(stack: MapStack) -> None:
    it = Map(stack, items(23, failing=(0, 9, 22)), chunk_items=10, tolerated_failures=3)
    it.work([20, 21, 22], [4, 5, 6, 7, 8, 9], [0, 1, 2, 3], [10, 11, 19, 18, 12, 13], [14, 15, 16, 17])
    assert it.finish()["outcome"] == "succeeded"
    ended = it.ended()
    assert (ended.counts, ended.sealed) == (Counts(23, 20, 3), 6), "one batch had a hole"
    rows = it.ledger.chunks(ended.key, "all", -1, 100)
    assert [(row.chunk.start, row.chunk.end) for row in rows] == [
        (0, 4),
        (4, 10),
        (10, 14),
        (14, 18),
        (18, 20),
        (20, 23),
    ]
    assert [row.chunk.last for row in rows] == [False] * 5 + [True]
    dead = list(stack.client.dead_letters(it.run.id))
    assert [(one.chunk, one.position) for one in dead] == [(0, 0), (1, 9), (5, 22)]
    assert stack.client.verify(it.run.id) == []


def test_the_end_goes_on_where_the_function_before_had_no_time_left(stack: MapStack) -> None:
    it = Map(stack, items(250), chunk_items=1)
    it.work(*([at] for at in range(250)))
    again = it.finish(left=1000)
    assert (again["next"], again["marked"]) == ("finish", 100)
    again = it.finish(left=1000, marked=100)
    assert again["marked"] == 200
    told = it.finish(marked=200)
    assert (told["next"], told["outcome"], told["items"]) == ("done", "succeeded", 250)
    assert stack.client.verify(it.run.id) == []
    assert it.finish() == told, "a repetition changes nothing"


def test_what_a_child_was_given_that_failed_is_dead_letters_that_can_be_redriven(stack: MapStack) -> None:
    it = Map(stack, items(20), chunk_items=10, tolerated_failures="50%")
    it.work([*range(10)], failing=[[*range(10, 20)]])
    assert it.finish()["outcome"] == "succeeded"
    [group] = stack.client.failures(it.run.id)
    assert (group.signature.exception, group.message, group.count) == ("Sandbox.Timedout", "too slow", 10)
    stack.client.redrive(it.run.id)
    it.prepare(revision=1)
    it.jobs()
    assert len(it.items) == 1
    it.work([0])
    assert it.ended().counts == Counts(20, 20), "it is marked at once"
    assert it.finish()["outcome"] == "succeeded"
    assert it.ended().counts == Counts(20, 20)
    assert stack.client.verify(it.run.id) == []


def test_a_redrive_that_fails_leaves_the_dead_letters(stack: MapStack) -> None:
    it = Map(stack, items(20, failing=(3, 4)), chunk_items=10, tolerated_failures="50%")
    it.work([*range(10)], [*range(10, 20)])
    it.finish()
    stack.client.redrive(it.run.id)
    it.prepare(revision=1)
    it.jobs()
    it.work(failing=[[0]])
    assert it.finish()["outcome"] == "succeeded"
    assert it.ended().counts == Counts(20, 18, 2)
    assert [one.position for one in stack.client.dead_letters(it.run.id)] == [3, 4]
    assert stack.client.verify(it.run.id) == []


def test_what_a_pause_left_is_another_execution_when_it_is_resumed(stack: MapStack) -> None:
    it = Map(stack, items(40, failing=(12, 33)), chunk_items=10, tolerated_failures=2)
    done = it.worked([*range(10, 20)])
    stack.client.pause(it.run.id)
    it.worker = it.started()
    left = [it.worker.handle(it.event([*range(at, at + 10)]), lambda: AGES) for at in (0, 20, 30)]
    assert left == [{"marks": [], "left": 10}] * 3
    it.write(left, done)
    told = it.finish()
    assert (told["next"], told["outcome"]) == ("done", "paused")
    assert it.ended().counts == Counts(10, 9, 1)
    folder = places_of(it.run).folder
    assert read_turn(folder, it.run) == 1
    stack.client.resume(it.run.id)
    it.prepare(turn=1)
    it.worker = it.started()
    it.work(*([*range(at, at + 10)] for at in range(0, 40, 10)))
    assert it.finish()["outcome"] == "succeeded"
    ended = it.ended()
    assert (ended.counts, ended.sealed) == (Counts(40, 38, 2), 4)
    assert [one.position for one in stack.client.dead_letters(it.run.id)] == [12, 33]
    assert stack.client.verify(it.run.id) == []


def test_a_batch_run_resumed_while_its_map_was_not_through_goes_on_in_the_same_execution(stack: MapStack) -> None:
    it = Map(stack, items(30), chunk_items=10)
    stack.client.pause(it.run.id)
    left = [it.started().handle(it.event([*range(10)]), lambda: AGES)]
    stack.client.resume(it.run.id)
    it.worker = it.started()
    it.write(left, it.worked([*range(10, 20)], [*range(20, 30)]))
    again = it.finish()
    assert (again["next"], again["nth"], again["each"]) == ("read", 1, "EachOfJson")
    assert it.finish() == again, "a repetition changes nothing"
    it.state = again
    it.work([*range(10)], [*range(10, 20)], [*range(20, 30)])
    assert it.finish()["outcome"] == "succeeded"
    rows = it.ledger.chunks(it.run.key, "all", -1, 100)
    assert [(row.chunk.start, row.chunk.end) for row in rows] == [(0, 10), (10, 20), (20, 30), (30, 30)]
    assert stack.client.verify(it.run.id) == []


def test_what_express_children_had_no_time_for_is_done_by_standard_ones(stack: MapStack) -> None:
    it = Map(stack, items(30), chunk_items=10, express=True)
    assert it.state["each"] == "EachOfJsonExpress"
    it.work([*range(10)], failing=[[*range(10, 20)], [*range(20, 30)]], error="States.Timeout")
    again = it.finish()
    assert (again["next"], again["each"]) == ("read", "EachOfJson")
    it.state = again
    it.work([*range(10)], [*range(10, 20)], [*range(20, 30)])
    assert it.finish()["outcome"] == "succeeded"
    assert it.ended().counts == Counts(30, 30)
    assert stack.client.verify(it.run.id) == []


def test_a_cancelled_batch_run_keeps_what_was_done_and_a_redrive_does_the_rest(stack: MapStack) -> None:
    it = Map(stack, items(50, failing=(1,)), chunk_items=10, tolerated_failures=1)
    done = it.worked([*range(20, 30)])
    stack.client.cancel(it.run.id)
    it.worker = it.started()
    left = [it.worker.handle(it.event([*range(at, at + 10)]), lambda: AGES) for at in (0, 10, 30, 40)]
    it.write(left, done)
    told = it.finish()
    assert (told["outcome"], told["next"], told["items"]) == ("cancelled", "done", 10)
    assert it.ended().sealed is None
    stack.client.redrive(it.run.id)
    it.prepare(revision=1)
    it.worker = it.started()
    it.work([*range(13)], [*range(13, 33)], [*range(33, 50)])
    assert it.finish()["outcome"] == "succeeded"
    ended = it.ended()
    assert (ended.counts, ended.sealed) == (Counts(50, 49, 1), 5)
    rows = it.ledger.chunks(it.run.key, "all", -1, 100)
    assert [(row.chunk.start, row.chunk.end) for row in rows] == [(0, 10), (10, 20), (20, 30), (30, 33), (33, 50)]
    [dead] = stack.client.dead_letters(it.run.id)
    assert (dead.chunk, dead.index, dead.position) == (0, 1, 1)
    assert stack.client.verify(it.run.id) == []


def test_a_map_that_ended_early_is_redriven_with_its_dead_letters(stack: MapStack, tmp_path: Path) -> None:
    cured = tmp_path / "cured"
    given = [{**it, "cured": str(cured)} for it in items(40, failing=(3, 35))]
    it = Map(stack, given, chunk_items=10)
    it.work([*range(10)])
    told = it.finish(problem={"Error": "States.DataLimitExceeded", "Cause": "an item is too large"})
    assert (told["outcome"], told["next"]) == ("failed", "tell")
    assert "States.DataLimitExceeded: an item is too large" in told["error"]
    cured.touch()
    stack.client.redrive(it.run.id)
    it.prepare(revision=1)
    it.worker = it.started()
    it.work(*([*range(at, at + 10)] for at in range(0, 40, 10)))
    again = it.finish()
    assert (again["next"], again["each"], again["nth"]) == ("read", "EachOfJobs", 1)
    it.state = again
    it.jobs()
    assert len(it.items) == 1
    it.work([0])
    assert it.finish()["outcome"] == "succeeded"
    assert it.ended().counts == Counts(40, 40)
    assert list(stack.client.dead_letters(it.run.id)) == []
    assert stack.client.verify(it.run.id) == []


def test_objects_that_are_done_are_left_out_of_another_round(stack: MapStack) -> None:
    rows = [b"".join(json.dumps(it).encode() + b"\n" for it in items(5)) for _ in range(4)]
    for number, body in enumerate(rows):
        stack.put(f"in/{number}.jsonl", body)
    it = Map(stack, [], f"s3://{BUCKET}/in/*.jsonl")
    listed = stack.s3.list_objects_v2(Bucket=BUCKET, Prefix="in/")["Contents"]
    it.items = [{"Key": one["Key"], "Etag": one["ETag"]} for one in listed]
    done = it.worked([2], [0])
    stack.client.cancel(it.run.id)
    it.worker = it.started()
    it.write([it.worker.handle(it.event([at]), lambda: AGES) for at in (1, 3)], done)
    assert it.finish()["outcome"] == "cancelled"
    stack.put("in/00.jsonl", rows[0])
    listed = stack.s3.list_objects_v2(Bucket=BUCKET, Prefix="in/")["Contents"]
    it.items = [{"Key": one["Key"], "Etag": one["ETag"]} for one in listed]
    stack.client.redrive(it.run.id)
    it.prepare(revision=1)
    it.worker = it.started()
    it.work(*([at] for at in range(5)))
    assert it.finish()["outcome"] == "succeeded"
    ended = it.ended()
    assert (ended.counts, ended.sealed) == (Counts(25, 25), 5)
    assert stack.client.verify(it.run.id) == []


def test_what_is_done_shows_while_the_map_runs(stack: MapStack) -> None:
    it = Map(stack, items(1000, failing=(5,)), chunk_items=10, tolerated_failures=3)
    assert it.ended().about == pytest.approx(1000, rel=0.1)
    it.worked([*range(30, 40)], [*range(10)], [*range(500, 510)])
    shown = it.ended()
    assert (shown.counts, shown.done) == (Counts(30, 29, 1), 3)
    it.worked([*range(10)], [*range(30, 40)])
    assert it.ended() == shown, "a repetition counts once"
    seen = progress(shown, shown.started + 1000 if shown.started else 0)
    assert seen.total == shown.about
    assert seen.eta is not None


def test_too_many_failures_stop_it_before_its_end(stack: MapStack) -> None:
    it = Map(stack, items(100, failing=tuple(range(20))), chunk_items=10, tolerated_failures=5)
    done = it.worked([*range(10)])
    it.worker = it.started()
    left = [it.worker.handle(it.event([*range(at, at + 10)]), lambda: AGES) for at in range(10, 100, 10)]
    assert left == [{"marks": [], "left": 10}] * 9
    it.write(left, done)
    told = it.finish()
    assert (told["outcome"], told["error"]) == ("failed", "10 of 10 items failed, more than the tolerated 5")


def test_a_percentage_is_of_all_items_though_they_are_known_only_about(stack: MapStack) -> None:
    it = Map(stack, items(3000, failing=tuple(range(1200))), chunk_items=500, tolerated_failures="50%")
    done = it.worked([*range(500)], [*range(500, 1000)], [*range(1000, 1500)])
    it.worker = it.started()
    rest = it.worked(*([*range(at, at + 500)] for at in range(1500, 3000, 500)))
    it.write(done, rest)
    assert it.finish()["outcome"] == "succeeded"
    assert it.ended().counts == Counts(3000, 1800, 1200)


@given(
    chunks=st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=8),
    first=st.integers(0, 60),
    length=st.integers(0, 40),
)
def test_what_is_left_is_what_no_chunk_has_done(chunks: list[tuple[int, bool]], first: int, length: int) -> None:
    ends = [*accumulate(size for size, _ in chunks)]
    known = Known([Stretch(end - size, end, done) for end, (size, done) in zip(ends, chunks, strict=True)])
    found = list(known.left(first, first + length))
    done = {at for one in known.chunks if one.done for at in range(one.start, one.end)}
    assert [at for low, high in found for at in range(low, high)] == [
        at for at in range(first, first + length) if at not in done
    ]
    assert all(known.number(low) == known.number(high - 1) for low, high in found)


def test_a_timeout_ends_it_and_what_is_done_is_on_record(stack: MapStack) -> None:
    it = Map(stack, items(30), chunk_items=10, timeout=0.001)
    it.work([*range(10)], [*range(10, 20)], [*range(20, 30)])
    told = it.finish()
    assert (told["outcome"], told["error"]) == ("failed", "longer than the timeout of 0.001 s")
    assert any("ended early" in it for it in stack.client.verify(it.run.id))


def test_a_hole_is_no_success(stack: MapStack) -> None:
    it = Map(stack, items(30), chunk_items=10)
    it.work([*range(10)], [*range(20, 30)])
    told = it.finish(problem={"Error": "States.ExceedToleratedFailureThreshold", "Cause": "too many"})
    assert told["outcome"] == "failed"
    assert told["error"] == "the map run ended early: States.ExceedToleratedFailureThreshold: too many"
    rows = it.ledger.chunks(it.run.key, "all", -1, 100)
    assert [(row.chunk.start, row.mark is not None) for row in rows] == [(0, True), (10, False), (20, True)]
    assert it.ended().counts == Counts(20, 20)


def test_a_task_that_the_app_does_not_have_any_more_fails_the_child(stack: MapStack) -> None:
    it = Map(stack, items(10))
    it.worker = MapWorker(it.ledger, SystemClock(), Benches({}, {}, math.inf))
    with pytest.raises(LookupError, match="deploy it anew"):
        it.worker.handle(it.event([0]), lambda: AGES)
