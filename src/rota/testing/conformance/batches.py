"""BatchStore: a ledger whose totals are those of its marks, and an end that one caller decides."""

from __future__ import annotations

import random

import pytest

from rota.core.batch import BatchKey, BatchRun, BatchSpec, Wish
from rota.core.chunk import Chunk, ChunkSize, Extent, Origin
from rota.core.completion import FailureCount, Mark, Signature, Verdict
from rota.core.errors import NotFoundError
from rota.core.receipt import Counts, Part
from rota.core.run import Run, RunKey
from rota.core.target import QueueTarget
from rota.ports.batches import BatchQuery, Finished
from rota.testing.conformance.values import SPEC, T0
from rota.testing.stores import Stores

ORIGIN = Origin("orders/größe.jsonl", "1:2:3", 1000)
BATCH = BatchSpec(
    batch="orders",
    task="enrich",
    source={"type": "jsonl", "path": "/orders.jsonl"},
    sink={"type": "parts", "path": "/results/"},
    size=ChunkSize(items=10),
    concurrency=2,
    notify=(QueueTarget("events"),),
)
WRONG, MISSING = Signature("ValueError", "shop.py:1 in f"), Signature("msgspec.ValidationError", "", "price")


def accepted(stores: Stores, name: str = "orders", at: int = T0, cause: str = "") -> BatchKey:
    run = BatchRun(name=name, created=at, spec=BATCH, directory="/rota/orders", cause=cause)
    return stores.batches.accept([run])[0].key


def chunk(number: int, items: int | None = 10) -> Chunk:
    return Chunk(number, ORIGIN, number * 100, number * 100 + 100, items=items)


def mark(number: int, failed: int = 0, skipped: int = 0, revision: int = 0, signature: Signature = WRONG) -> Mark:
    failures = (FailureCount(signature, failed, f"wrong in {number}"),) if failed else ()
    parts = tuple(Part(f"part-{number}.r{n}", 10 - failed - skipped, 7, "ab") for n in range(revision + 1))
    counts = Counts(10, 10 - failed - skipped, failed, skipped)
    return Mark(chunk(number), Extent(number * 100, number * 100 + 100), counts, parts, failures, 1, revision)


def current(stores: Stores, key: BatchKey) -> BatchRun:
    [run] = stores.batches.get([key])
    return run


def ended(stores: Stores, key: BatchKey, at: int = T0 + 5) -> None:
    assert stores.batches.decide(key, Verdict("succeeded"))
    assert stores.batches.finish(key, Finished("succeeded", at), ())


class TestBatchRuns:
    def test_a_batch_run_is_kept_as_it_was_accepted(self, stores: Stores) -> None:
        key = accepted(stores)
        assert current(stores, key) == BatchRun(name="orders", created=T0, spec=BATCH, directory="/rota/orders")
        assert stores.batches.get([BatchKey("orders", 1), key, BatchKey("x", T0)]) == [current(stores, key)]

    def test_two_of_one_millisecond_get_two_ids(self, stores: Stores) -> None:
        assert [accepted(stores).created for _ in range(3)] == [T0, T0 + 1, T0 + 2]

    def test_one_cause_starts_one_batch_run(self, stores: Stores) -> None:
        first = accepted(stores, cause="nightly@2026-01-01T00:00:00Z")
        assert accepted(stores, at=T0 + 50, cause="nightly@2026-01-01T00:00:00Z") == first
        assert accepted(stores, at=T0 + 50, cause="nightly@2026-01-02T00:00:00Z") != first
        assert len(stores.batches.list(BatchQuery())) == 2

    def test_listing_is_newest_first_in_pages(self, stores: Stores) -> None:
        keys = [accepted(stores, name, at) for at in (T0, T0 + 1) for name in ("b", "a")]
        listed = [run.key for run in stores.batches.list(BatchQuery())]
        assert listed == [keys[3], keys[2], keys[1], keys[0]]
        assert [run.key for run in stores.batches.list(BatchQuery(after=listed[1], limit=1))] == [listed[2]]
        assert [run.key for run in stores.batches.list(BatchQuery(name="a"))] == [keys[3], keys[1]]
        stores.batches.begin(keys[0], T0)
        assert [run.key for run in stores.batches.list(BatchQuery(state="running"))] == [keys[0]]

    def test_open_ones_come_oldest_first(self, stores: Stores) -> None:
        second, first, over = accepted(stores, "b", T0 + 1), accepted(stores, "a"), accepted(stores, "c")
        ended(stores, over)
        assert [run.key for run in stores.batches.open(9)] == [first, second]
        assert [run.key for run in stores.batches.open(1)] == [first]

    def test_it_begins_once(self, stores: Stores) -> None:
        key = accepted(stores)
        assert [stores.batches.begin(key, T0 + n) for n in (1, 2)] == [True, False]
        assert (current(stores, key).state, current(stores, key).started) == ("running", T0 + 1)

    @pytest.mark.parametrize(("wishes", "left"), [(("pause", "run"), "run"), (("cancel", "run"), "cancel")])
    def test_wishes_are_noted_and_a_cancel_stays(self, stores: Stores, wishes: tuple[Wish, ...], left: str) -> None:
        key = accepted(stores)
        for wish in wishes:
            assert stores.batches.ask(key, wish) is not None
        assert current(stores, key).wish == left

    def test_nothing_can_be_asked_of_what_is_over(self, stores: Stores) -> None:
        key = accepted(stores)
        assert stores.batches.decide(key, Verdict("failed", "no"))
        assert stores.batches.ask(key, "pause") is None
        assert stores.batches.ask(BatchKey("nobody", T0), "pause") is None

    def test_the_end_is_decided_and_stored_once(self, stores: Stores) -> None:
        key = accepted(stores)
        finished = Finished("succeeded", T0 + 9, "", 1, "r00t", "/m")
        notice = Run("orders:succeeded:1", T0, T0, SPEC)
        assert stores.batches.finish(key, finished, [notice]) is False, "nothing was decided yet"
        assert [stores.batches.decide(key, Verdict("succeeded")) for _ in range(2)] == [True, False]
        assert [stores.batches.finish(key, finished, [notice]) for _ in range(2)] == [True, False]
        run = current(stores, key)
        assert (run.state, run.outcome, run.told, run.finished) == ("succeeded", "succeeded", "succeeded", T0 + 9)
        assert (run.version, run.root, run.manifest) == (1, "r00t", "/m")
        assert [it.key for it in stores.runs.due(T0, 9)] == [RunKey("orders:succeeded:1", T0)]

    def test_redriving_needs_an_end_and_keeps_what_was_done(self, stores: Stores) -> None:
        key = accepted(stores)
        assert stores.batches.redrive(key, [WRONG.key]) is None
        stores.batches.record(key, (), [mark(0, failed=2)], 1)
        ended(stores, key)
        again = stores.batches.redrive(key, [WRONG.key], 2)
        assert again is not None
        assert (again.state, again.revision, again.groups, again.done) == ("pending", 1, (WRONG.key,), 1)
        assert again.again == 2
        assert stores.batches.redrive(key, [WRONG.key]) is None

    def test_old_ones_are_forgotten_with_their_ledgers(self, stores: Stores) -> None:
        old, young, still = accepted(stores, "old"), accepted(stores, "young"), accepted(stores, "still")
        failed = accepted(stores, "failed")
        stores.batches.record(old, (), [mark(0)])
        stores.batches.record(failed, (), [mark(0, failed=1)])
        ended(stores, failed, T0 + 1)
        ended(stores, old, T0 + 1)
        ended(stores, young, T0 + 9)
        assert [run.key for run in stores.batches.forget(T0 + 5, 10)] == [old]
        assert stores.batches.get([old]) == []
        assert stores.batches.chunks(old, "all", -1, 9) == []
        assert {run.key for run in stores.batches.list(BatchQuery())} == {young, still, failed}, "dead letters are kept"

    def test_what_has_ended_is_purged_with_its_dead_letters(self, stores: Stores) -> None:
        key = accepted(stores)
        stores.batches.record(key, (), [mark(0, failed=1)])
        assert stores.batches.purge(key) is None
        assert current(stores, key).counts.failed == 1
        ended(stores, key)
        gone = stores.batches.purge(key)
        assert gone is not None
        assert (gone.key, gone.counts.failed) == (key, 1)
        assert stores.batches.get([key]) == []
        assert stores.batches.chunks(key, "all", -1, 9) == []


class TestBatchLedger:
    def test_what_is_planned_is_open_until_marked(self, stores: Stores) -> None:
        key = accepted(stores)
        run = stores.batches.record(key, [chunk(0), chunk(1), chunk(2, None)], [])
        assert (run.planned, run.expected, run.sealed, run.done) == (3, 20, None, 0)
        run = stores.batches.record(key, [chunk(1)], [mark(1, failed=2, skipped=1)], 3)
        assert (run.planned, run.expected, run.sealed, run.done) == (3, 20, 3, 1)
        assert (run.counts, run.results, run.result_bytes, run.retries) == (Counts(10, 7, 2, 1), 7, 7, 1)
        assert [row.chunk for row in stores.batches.chunks(key, "open", -1, 9)] == [chunk(0), chunk(2, None)]
        [row] = stores.batches.chunks(key, "done", -1, 9)
        assert row.mark is not None
        assert (row.mark.extent, row.mark.counts, row.mark.parts) == (
            Extent(100, 200),
            Counts(10, 7, 2, 1),
            mark(1, 2, 1).parts,
        )
        assert [row.chunk.number for row in stores.batches.chunks(key, "all", 0, 1)] == [1]

    def test_a_batch_run_that_is_not_there(self, stores: Stores) -> None:
        with pytest.raises(NotFoundError):
            stores.batches.record(BatchKey("nobody", T0), [chunk(0)], [])

    @pytest.mark.parametrize("seed", range(20))
    def test_marks_that_arrive_twice_and_in_any_order_change_no_total(self, stores: Stores, seed: int) -> None:
        dice = random.Random(seed)
        key = accepted(stores)
        failed = [dice.choice([0, 0, 3]) for _ in range(12)]
        marks = [mark(number, count) for number, count in enumerate(failed)]
        marks += [mark(number, count - 1, revision=1) for number, count in enumerate(failed) if count]
        delivered = [*marks, *(dice.choice(marks) for _ in range(12))]
        dice.shuffle(delivered)
        run = current(stores, key)
        while delivered:
            group = [delivered.pop() for _ in range(min(len(delivered), dice.randrange(1, 6)))]
            run = stores.batches.record(key, [chunk(one.chunk.number) for one in group], group, 12)
        left = sum(count - 1 for count in failed if count)
        assert (run.counts, run.done, run.planned) == (Counts(120, 120 - left, left), 12, 12)
        assert sum(group.count for group in stores.batches.failures(key)) == left
        assert run.results == sum(
            sum(p.items for p in mark(n, max(0, c - 1), revision=c > 0).parts) for n, c in enumerate(failed)
        )

    def test_a_chunk_that_was_cut_wrongly_is_open_again(self, stores: Stores) -> None:
        key = accepted(stores)
        stores.batches.record(key, (), [mark(0), mark(1, failed=4)], 2)
        again = Chunk(1, ORIGIN, 90, 200)
        run = stores.batches.recut(key, [again])
        assert (run.done, run.counts, run.planned) == (1, Counts(10, 10), 2)
        assert [row.chunk for row in stores.batches.chunks(key, "open", -1, 9)] == [again]
        assert stores.batches.failures(key) == []

    def test_failures_in_groups_the_largest_first(self, stores: Stores) -> None:
        key = accepted(stores)
        stores.batches.record(key, (), [mark(2, 3), mark(1, 4), mark(0, 9, signature=MISSING)])
        first, second = stores.batches.failures(key)
        assert (first.number, first.signature, first.count, first.message) == (1, MISSING, 9, "wrong in 0")
        assert (second.number, second.signature, second.count) == (2, WRONG, 7)
        assert (second.message, second.first_chunk) == ("wrong in 1", 1)

    def test_a_redrive_takes_the_chunks_of_its_groups_once(self, stores: Stores) -> None:
        key = accepted(stores)
        stores.batches.record(key, (), [mark(0, 1), mark(1), mark(2, 2, signature=MISSING), mark(3, 3)], 4)
        assert stores.batches.chunks(key, "redrive", -1, 9) == []
        ended(stores, key)
        stores.batches.redrive(key, [WRONG.key])
        assert [row.chunk.number for row in stores.batches.chunks(key, "redrive", -1, 9)] == [0, 3]
        run = stores.batches.record(key, (), [mark(0, 1, revision=1)])
        assert [row.chunk.number for row in stores.batches.chunks(key, "redrive", -1, 9)] == [3]
        assert run.counts == Counts(40, 34, 6)
