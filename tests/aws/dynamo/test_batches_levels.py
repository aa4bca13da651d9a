"""Where the tree gets its third level: 40,000 chunks fill two, and one more needs another. What most chunks would have
left in the upper nodes is put there, the rest is marked, and functions die between any two requests of the end."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from tests.aws.dynamo.batching import chunk, mark, marks, started, store_of

from rota.aws.dynamo.batches import DynamoBatches
from rota.aws.dynamo.table import Table
from rota.aws.dynamo.tree import AT_ONCE, Trees
from rota.core.batch import BatchKey
from rota.core.ledger_tree import FAN_OUT, NOTHING, Addition, Node, Sums, sums_of, top
from rota.testing.crash import Crash, Fuse

TWO_LEVELS = FAN_OUT * FAN_OUT
FIRST = TWO_LEVELS - FAN_OUT
"""Of the chunks that are marked; those before it are in 199 leaves."""
EXPIRES = 4_000_000_000
MOST_REQUESTS = 40
_names = (f"orders-{number}" for number in itertools.count())


def said(numbers: range) -> Sums:
    """What marks of these chunks add up to."""
    one = mark(0)
    return sum((sums_of(one.counts, one.parts, one.retries) for _ in numbers), NOTHING)


def nearly_done(batches: DynamoBatches, table: Table, chunks: int, last: int) -> BatchKey:
    """A batch run that lacks one mark."""
    key = started(batches, next(_names))
    leaf = said(range(FAN_OUT))
    for low in range(0, FAN_OUT - 1, AT_ONCE):
        members = dict.fromkeys(range(low, min(low + AT_ONCE, FAN_OUT - 1)), leaf)
        assert not Trees(table).add(key, 0, [Addition(Node(1, 0), members)], EXPIRES)
    batches.plan(key, [chunk(number) for number in range(FIRST, chunks)])
    assert not batches.mark(key, marks(it for it in range(FIRST, chunks) if it != last)).completed
    return key


def check(batches: DynamoBatches, key: BatchKey, chunks: int, failed: int) -> None:
    [run] = batches.get([key])
    total = said(range(chunks))
    assert (run.done, run.counts.items, run.counts.failed) == (chunks, total.items, failed)
    assert batches.is_complete(key)


def test_the_levels_are_those_that_are_meant() -> None:
    assert [top(TWO_LEVELS), top(TWO_LEVELS + 1)] == [Node(1, 0), Node(2, 0)]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("chunks", "last"),
    [(TWO_LEVELS, TWO_LEVELS - 1), (TWO_LEVELS + 1, TWO_LEVELS - 1), (TWO_LEVELS + 1, TWO_LEVELS)],
)
def test_a_crash_at_every_request_of_the_last_mark_heals(
    dynamodb: Any, table: Table, chunks: int, last: int, after: bool
) -> None:
    batches = store_of(dynamodb, table.name)
    for dies_at in range(1, MOST_REQUESTS):
        key = nearly_done(batches, table, chunks, last)
        assert not batches.seal(key, chunks)
        fuse, reports = Fuse(dies_at, after=after), 0
        try:
            reports += store_of(fuse.wrap(dynamodb), table.name).mark(key, [mark(last, failed=3)]).completed
        except Crash:
            reports += batches.mark(key, [mark(last, failed=3)]).completed
        assert reports == 1
        check(batches, key, chunks, 3)
        if not fuse.burnt:
            return
    pytest.fail("the mark makes more requests than are tried")


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("chunks", [TWO_LEVELS, TWO_LEVELS + 1])
def test_a_crash_at_every_request_of_a_late_seal_heals(dynamodb: Any, table: Table, chunks: int, after: bool) -> None:
    batches = store_of(dynamodb, table.name)
    for dies_at in range(1, MOST_REQUESTS):
        key = nearly_done(batches, table, chunks, chunks - 1)
        assert not batches.mark(key, [mark(chunks - 1)]).completed
        fuse, reports = Fuse(dies_at, after=after), 0
        try:
            reports += store_of(fuse.wrap(dynamodb), table.name).seal(key, chunks)
        except Crash:
            reports += batches.seal(key, chunks)
        assert reports == 1
        check(batches, key, chunks, 0)
        if not fuse.burnt:
            return
    pytest.fail("the seal makes more requests than are tried")
