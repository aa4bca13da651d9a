"""The ledger in DynamoDB when messages come twice, in any order, and functions die between any two requests."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.aws.dynamo.batching import chunk, mark, marks, started, store_of

from rota.aws.dynamo.batches import DynamoBatches
from rota.aws.dynamo.table import Table
from rota.core.batch import BatchKey, BatchRun
from rota.core.completion import Mark, Verdict
from rota.core.ledger_tree import FAN_OUT, NOTHING, Sums, sums_of
from rota.core.run import Run
from rota.ports.batches import Finished
from rota.testing import MemoryStores
from rota.testing.conformance.values import SPEC, T0
from rota.testing.crash import Crash, Fuse
from rota.testing.emulator import Emulator, Fault

SLOWLY = settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
LAST = 6
_names = (f"orders-{number}" for number in itertools.count())


@pytest.fixture
def batches(dynamodb: Any, table: Table) -> DynamoBatches:
    return store_of(dynamodb, table.name)


def sums(run: BatchRun) -> Sums:
    it = run.counts
    return Sums(run.done, it.items, it.succeeded, it.failed, it.skipped, run.results, run.result_bytes, run.retries)


def agrees(batches: DynamoBatches, key: BatchKey) -> BatchRun:
    """The totals are those of the marks that stand, and so are the failures."""
    [run] = batches.get([key])
    stand = [row.mark for row in batches.chunks(key, "all", -1, 1000) if row.mark is not None]
    assert sums(run) == sum((sums_of(it.counts, it.parts, it.retries) for it in stand), NOTHING)
    assert sum(group.count for group in batches.failures(key)) == run.counts.failed
    assert len(batches.chunks(key, "open", -1, 1000)) == run.planned - run.done
    return run


def nearly_done(batches: DynamoBatches, chunks: int) -> BatchKey:
    """A batch run that lacks the mark of its last chunk alone."""
    key = started(batches, next(_names))
    batches.plan(key, [chunk(number) for number in range(chunks)])
    assert not batches.mark(key, marks(range(chunks - 1))).completed
    return key


@pytest.mark.parametrize("chunks", [1, 2, FAN_OUT, FAN_OUT + 1])
@pytest.mark.parametrize("seals", ["early", "late"])
def test_every_size_completes_once(batches: DynamoBatches, chunks: int, seals: str) -> None:
    key = nearly_done(batches, chunks)
    if seals == "early":
        assert not batches.seal(key, chunks)
        assert batches.mark(key, [mark(chunks - 1)]).completed
    else:
        assert not batches.mark(key, [mark(chunks - 1)]).completed
        assert batches.seal(key, chunks)
    assert agrees(batches, key).done == chunks


def test_nothing_at_all_completes(batches: DynamoBatches) -> None:
    key = started(batches)
    assert batches.seal(key, 0)
    assert batches.is_complete(key)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("chunks", [1, FAN_OUT + 1])
def test_a_crash_at_every_request_of_the_last_mark_heals(dynamodb: Any, table: Table, chunks: int, after: bool) -> None:
    batches = store_of(dynamodb, table.name)
    for dies_at in range(1, 9):
        key = nearly_done(batches, chunks)
        batches.seal(key, chunks)
        fuse = Fuse(dies_at, after=after)
        reports = 0
        try:
            reports += store_of(fuse.wrap(dynamodb), table.name).mark(key, [mark(chunks - 1, failed=3)]).completed
        except Crash:
            reports += batches.mark(key, [mark(chunks - 1, failed=3)]).completed
        assert reports == 1
        assert agrees(batches, key).counts.failed == 3
        if not fuse.burnt:
            return
    pytest.fail("the mark makes more requests than are tried")


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_every_request_of_the_seal_heals(dynamodb: Any, table: Table, after: bool) -> None:
    batches = store_of(dynamodb, table.name)
    for dies_at in range(1, 10):
        key = nearly_done(batches, FAN_OUT + 1)
        batches.mark(key, [mark(FAN_OUT)])
        fuse = Fuse(dies_at, after=after)
        reports = 0
        try:
            reports += store_of(fuse.wrap(dynamodb), table.name).seal(key, FAN_OUT + 1)
        except Crash:
            reports += batches.seal(key, FAN_OUT + 1)
        assert reports == 1
        if not fuse.burnt:
            return
    pytest.fail("the seal makes more requests than are tried")


class Delivery:
    """Messages that come again until they are acknowledged."""

    def __init__(self, client: Any, name: str) -> None:
        self.client = client
        self.name = name
        self.batches = store_of(client, name)
        self.key = started(self.batches, next(_names))
        self.batches.plan(self.key, [chunk(number) for number in range(LAST)])
        self.again: list[tuple[Any, ...]] = []
        self.reports = 0

    def do(self, step: tuple[Any, ...], dies_at: int | None = None, *, after: bool = False) -> None:
        client = self.client if dies_at is None else Fuse(dies_at, after=after).wrap(self.client)
        try:
            self._do(store_of(client, self.name), *step)
        except Crash:
            self.again.append(step)

    def _do(self, batches: DynamoBatches, what: str, value: Any) -> None:
        if what == "mark":
            self.reports += batches.mark(self.key, value).completed
        elif what == "seal":
            self.reports += batches.seal(self.key, value)
        else:
            batches.recut(self.key, value)


A_MARK = st.builds(
    mark,
    st.integers(0, LAST - 1),
    failed=st.integers(0, 2),
    revision=st.integers(0, 2),
    retries=st.integers(0, 2),
    wrong=st.integers(0, 1),
)
STEPS = st.one_of(
    st.tuples(st.just("mark"), st.lists(A_MARK, min_size=1, max_size=3)),
    st.tuples(st.just("recut"), st.tuples(st.builds(chunk, st.integers(0, LAST - 1), start=st.integers(1, 9)))),
    st.tuples(st.just("seal"), st.just(LAST)),
)


@SLOWLY
@given(steps=st.lists(st.tuples(STEPS, st.none() | st.integers(1, 6), st.booleans()), min_size=4, max_size=14))
def test_totals_are_those_of_the_marks_that_stand_whatever_crashes(dynamodb: Any, table: Table, steps: Any) -> None:
    it = Delivery(dynamodb, table.name)
    for step, dies_at, after in steps:
        it.do(step, dies_at, after=after)
    for step in it.again:
        it.do(step)
    run = agrees(it.batches, it.key)
    if run.sealed is None:
        it.do(("seal", LAST))
    # What is open is done at last, and that is noticed.
    reported, left = it.reports, it.batches.chunks(it.key, "open", -1, LAST)
    for row in left:
        assert not it.batches.is_complete(it.key)
        it.do(("mark", [mark(row.chunk.number)]))
    assert it.reports > reported or not left
    assert it.reports
    assert it.batches.is_complete(it.key)
    assert agrees(it.batches, it.key).done == LAST


@SLOWLY
@given(
    groups=st.lists(st.lists(A_MARK, max_size=4), min_size=1, max_size=6),
    wrong=st.lists(st.integers(0, LAST - 1), max_size=2),
)
def test_it_says_what_the_reference_says(batches: DynamoBatches, groups: list[list[Mark]], wrong: list[int]) -> None:
    """The same calls, here and in memory."""
    key, model = started(batches, next(_names)), MemoryStores().batches
    [run] = batches.get([key])
    model.accept([run])
    for turn, group in enumerate(groups):
        stored = [store.record(key, [chunk(turn)], group) for store in (batches, model)]
        assert stored[0] == stored[1]
        if turn < len(wrong) and wrong[turn] <= turn:
            again = [chunk(wrong[turn], start=7)]
            assert batches.recut(key, again) == model.recut(key, again)
    for which in ("all", "open", "done"):
        assert batches.chunks(key, which, 0, 100) == model.chunks(key, which, 0, 100)
    assert batches.failures(key) == model.failures(key)


def test_a_chunk_cut_wrongly_is_missed_until_it_is_done_again(batches: DynamoBatches) -> None:
    key = nearly_done(batches, 3)
    batches.seal(key, 3)
    assert batches.mark(key, [mark(2)]).completed
    batches.recut(key, [chunk(1, start=990)])
    assert not batches.is_complete(key)
    assert not batches.mark(key, [mark(2)]).completed
    assert batches.mark(key, [mark(1)]).completed
    assert agrees(batches, key).done == 3


def test_many_machines_at_once_and_one_end(batches: DynamoBatches, dynamodb: Any, table: Table) -> None:
    chunks = FAN_OUT + 20
    key = started(batches)
    batches.plan(key, [chunk(number) for number in range(chunks)])

    def work(machine: int) -> int:
        mine = store_of(dynamodb, table.name)
        return sum(
            mine.mark(key, marks(group)).completed and mine.decide(key, Verdict("succeeded"))
            for group in groups(chunks, 4 + machine)
        ) + (mine.seal(key, chunks) and mine.decide(key, Verdict("succeeded")))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == 1
    assert agrees(batches, key).done == chunks


def groups(chunks: int, size: int) -> Iterable[range]:
    return (range(start, min(chunks, start + size)) for start in range(0, chunks, size))


def test_answers_that_get_lost_change_no_total_and_no_decision(batches: DynamoBatches, aws: Emulator) -> None:
    key = started(batches)
    batches.plan(key, [chunk(number) for number in range(12)])
    lost = Fault(p=0.2, code="InternalServerError", status=500, lost=True)
    aws.faults({"dynamodb.PutItem": lost, "dynamodb.UpdateItem": lost, "dynamodb.TransactWriteItems": lost})
    assert batches.begin(key, T0 + 1)
    reports = sum(batches.mark(key, [mark(number, failed=number % 3)]).completed for number in range(12))
    assert reports + batches.seal(key, 12) == 1
    assert batches.decide(key, Verdict("succeeded"))
    assert batches.finish(key, Finished("succeeded", T0 + 9), [Run("orders:succeeded:0.1", T0, T0, SPEC)])
    aws.faults({})
    assert agrees(batches, key).told == "succeeded"


@pytest.mark.parametrize("after", [False, True])
def test_the_end_and_who_is_told_are_stored_together(dynamodb: Any, table: Table, after: bool) -> None:
    batches, notice = store_of(dynamodb, table.name), Run("orders:succeeded:0.1", T0, T0, SPEC)
    for dies_at in range(1, 9):
        key = started(batches, next(_names))
        told = Run(f"{key.name}:succeeded:0.1", notice.scheduled, notice.due, notice.spec)
        batches.decide(key, Verdict("succeeded"))
        fuse = Fuse(dies_at, after=after)
        finished = Finished("succeeded", T0 + 9, "", 1, "r00t", "/m")
        try:
            assert store_of(fuse.wrap(dynamodb), table.name).finish(key, finished, [told])
        except Crash:
            [run] = batches.get([key])
            assert batches.finish(key, finished, [told]) is (run.state == "finishing")
        [run] = batches.get([key])
        assert (run.state, run.told) == ("succeeded", "succeeded")
        assert batches.open(100) == []
        if not fuse.burnt:
            return
    pytest.fail("finish makes more requests than are tried")
