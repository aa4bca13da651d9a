"""The beginning, the work and the end of a map by themselves, with batches as Step Functions might make them."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.aws.batch import map_shop
from tests.aws.batch.map_stack import BUCKET, MapStack

from rota.aws.batch.benches import Benches
from rota.aws.batch.map_finish import MapEnds
from rota.aws.batch.map_work import Given, MapWorker, PausedError, stretches
from rota.core.batch import BatchRun
from rota.core.receipt import Counts
from rota.system import SystemClock
from rota.testing.emulator import Emulator

Json = dict[str, Any]
AGES = 900_000


class Map:
    """Step Functions in the hands of a test. It makes no execution."""

    def __init__(self, stack: MapStack, items: list[Json], source: object = None, **more: Any) -> None:
        map_shop.declare(source or stack.put("in/items.json", json.dumps(items).encode()), **more)
        self.stack = stack
        self.items = items
        self.ledger = stack.batches.ledger
        self.worker = MapWorker(self.ledger, SystemClock(), Benches(map_shop.app.tasks, map_shop.app.batches, math.inf))
        self.ends = MapEnds(self.ledger, SystemClock(), stack.batches.finalizer())
        self.run = stack.client.start("prices")
        self.state: Json = self.ends.handle({"step": "prepare", "run": self.run.id, "revision": 0}, lambda: AGES)

    def event(self, numbers: list[int]) -> Json:
        """What a child is given that gets these items."""
        shared = {name: self.state[name] for name in ("run", "revision", "reader", "origin")}
        return {"Items": [{"i": at, "v": self.items[at]} for at in numbers], "BatchInput": shared}

    def work(self, *batches: list[int], failing: list[list[int]] | None = None) -> None:
        """Have these batches worked on, in this order, and write what ResultWriter writes."""
        done = [{"Output": json.dumps(self.worker.handle(self.event(batch)))} for batch in batches]
        failed = [
            {"Input": json.dumps(self.event(batch)), "Error": "Sandbox.Timedout", "Cause": "too slow"}
            for batch in failing or []
        ]
        self._write({"SUCCEEDED": done, "FAILED": failed})

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
    found = list(stretches(shuffled))
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
    assert (again["again"], again["marked"]) == (True, 100)
    again = it.finish(left=1000, marked=100)
    assert again["marked"] == 200
    told = it.finish(marked=200)
    assert (told["again"], told["outcome"], told["items"]) == (False, "succeeded", 250)
    assert stack.client.verify(it.run.id) == []
    assert it.finish() == told, "a repetition changes nothing"


def test_what_a_child_was_given_that_failed_is_dead_letters_that_can_be_redriven(stack: MapStack) -> None:
    it = Map(stack, items(20), chunk_items=10, tolerated_failures="50%")
    it.work([*range(10)], failing=[[*range(10, 20)]])
    assert it.finish()["outcome"] == "succeeded"
    [group] = stack.client.failures(it.run.id)
    assert (group.signature.exception, group.message, group.count) == ("Sandbox.Timedout", "too slow", 10)
    stack.client.redrive(it.run.id)
    it.state = it.ends.handle({"step": "prepare", "run": it.run.id, "revision": 1}, lambda: AGES)
    jobs = stack.s3.get_object(Bucket=it.state["bucket"], Key=it.state["key"])["Body"].read().splitlines()
    assert (it.state["reader"], len(jobs)) == ("jobs", 1)
    it.items = [msgspec.json.decode(job) for job in jobs]
    it.work([0])
    assert it.finish()["outcome"] == "succeeded"
    assert it.ended().counts == Counts(20, 20)
    assert stack.client.verify(it.run.id) == []


def test_a_redrive_that_fails_leaves_the_dead_letters(stack: MapStack) -> None:
    it = Map(stack, items(20, failing=(3, 4)), chunk_items=10, tolerated_failures="50%")
    it.work([*range(10)], [*range(10, 20)])
    it.finish()
    stack.client.redrive(it.run.id)
    it.state = it.ends.handle({"step": "prepare", "run": it.run.id, "revision": 1}, lambda: AGES)
    job = stack.s3.get_object(Bucket=it.state["bucket"], Key=it.state["key"])["Body"].read()
    it.items = [msgspec.json.decode(job)]
    it.work(failing=[[0]])
    assert it.finish()["outcome"] == "succeeded"
    assert it.ended().counts == Counts(20, 18, 2)
    assert [one.position for one in stack.client.dead_letters(it.run.id)] == [3, 4]
    assert stack.client.verify(it.run.id) == []


def test_a_child_of_a_paused_batch_run_asks_to_be_asked_again(stack: MapStack) -> None:
    it = Map(stack, items(10))
    stack.client.pause(it.run.id)
    with pytest.raises(PausedError, match="is paused"):
        it.worker.handle(it.event([*range(10)]))
    stack.client.resume(it.run.id)
    it.worker = MapWorker(it.ledger, SystemClock(), Benches(map_shop.app.tasks, map_shop.app.batches, math.inf))
    it.work([*range(10)])
    assert it.finish()["outcome"] == "succeeded"


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
        it.worker.handle(it.event([0]))
