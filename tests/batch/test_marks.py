"""Marks that come twice, late, or of an earlier redrive: the totals are those of the chunks as they stand last."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tests.batch.test_decisions import run as batch_run

from rota import wiring
from rota.core.chunk import Chunk, Extent, Origin
from rota.core.completion import FailureCount, Mark, Signature
from rota.core.receipt import Counts, Part
from rota.core.tolerance import Tolerance
from rota.ports.batches import BatchStore
from rota.processing.ending import rows
from rota.testing import MemoryStores

CHUNKS = 6
ORIGIN = Origin("a.jsonl", "1", CHUNKS)
PLANNED = [Chunk(number, ORIGIN, number, number + 1, items=9, last=number == CHUNKS - 1) for number in range(CHUNKS)]


def mark(number: int, revision: int, failed: int, skipped: int) -> Mark:
    """Revisions only mend: what fails less is the same nine items."""
    counts = Counts(9, 9 - failed - skipped, failed, skipped)
    parts = (Part(f"part-{number}", counts.succeeded, 10 * counts.succeeded, ""),)
    failures = (FailureCount(Signature("ValueError"), failed, "no"),) if failed else ()
    return Mark(PLANNED[number], Extent(number, number + 1), counts, parts, failures, revision, revision)


MARKS = st.lists(
    st.builds(
        mark,
        st.integers(0, CHUNKS - 1),
        st.integers(0, 2),
        st.integers(0, 4),
        st.integers(0, 4),
    ),
    max_size=25,
)


@contextmanager
def memory() -> Iterator[BatchStore]:
    yield MemoryStores().batches


@contextmanager
def sqlite() -> Iterator[BatchStore]:
    with (
        tempfile.TemporaryDirectory() as place,
        closing(wiring.database(f"sqlite:///{Path(place) / 'rota.db'}", durability="process")) as file,
    ):
        yield file.batches


def standing(marks: Sequence[Mark]) -> dict[int, Mark]:
    """What each chunk comes to: of the highest revision, the mark that came last."""
    found: dict[int, Mark] = {}
    for one in marks:
        before = found.get(one.chunk.number)
        if before is None or one.revision >= before.revision:
            found[one.chunk.number] = one
    return found


@given(MARKS, st.lists(st.integers(1, 5), min_size=1), st.randoms(use_true_random=False))
def test_totals_are_those_of_what_stands(marks: list[Mark], groups: list[int], dice: object) -> None:
    twice = [*marks, *(one for one in marks if dice.random() < 0.5)]  # type: ignore[attr-defined]
    truth = standing(twice)
    for opened in (memory, sqlite):
        with opened() as store:
            [run] = store.accept([batch_run(Tolerance(0))])
            store.begin(run.key, 1)
            store.record(run.key, PLANNED, [], CHUNKS)
            left, turn = list(twice), 0
            while left:
                size = groups[turn % len(groups)]
                store.record(run.key, [], left[:size])
                left, turn = left[size:], turn + 1
            [now] = store.get([run.key])
            total = sum((one.counts for one in truth.values()), Counts(0, 0))
            assert (now.done, now.counts) == (len(truth), total)
            assert now.counts.items == now.counts.succeeded + now.counts.failed + now.counts.skipped
            assert now.results == total.succeeded
            assert now.result_bytes == 10 * total.succeeded
            assert now.retries == sum(one.retries for one in truth.values())
            rows = {row.chunk.number: row.mark for row in store.chunks(run.key, "done", -1, 100)}
            assert {number: one.counts for number, one in rows.items() if one} == {
                number: one.counts for number, one in truth.items()
            }
            assert sum(group.count for group in store.failures(run.key)) == total.failed
            assert len(store.chunks(run.key, "open", -1, 100)) == CHUNKS - len(truth)


def test_a_long_ledger_is_read_in_pages_that_fit_in_memory() -> None:
    planned = [Chunk(number, ORIGIN, number, number + 1) for number in range(1000)]
    with sqlite() as store:
        [run] = store.accept([batch_run(Tolerance(0))])
        store.record(run.key, planned, ())
        assert 0 < len(store.chunks(run.key, "all", -1, 1000)) <= 200
        assert [row.chunk for row in rows(store, run.key, "all")] == planned
