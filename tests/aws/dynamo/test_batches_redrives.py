"""Redrives of batch runs in DynamoDB: they complete exactly, also where the batch run had ended early."""

from __future__ import annotations

from typing import Any

import pytest
from tests.aws.dynamo.batching import SIGNATURES, chunk, mark, marks, started, store_of

from rota.aws.dynamo.batches import DynamoBatches, Progress
from rota.aws.dynamo.table import Table
from rota.core.batch import BatchKey, BatchOutcome
from rota.core.completion import Verdict
from rota.ports.batches import Finished
from rota.testing.conformance.values import T0
from rota.testing.crash import Crash, Fuse

VALUE_ERRORS, MISSING = SIGNATURES


@pytest.fixture
def batches(dynamodb: Any, table: Table) -> DynamoBatches:
    return store_of(dynamodb, table.name)


def ended(batches: DynamoBatches, key: BatchKey, outcome: BatchOutcome = "succeeded") -> None:
    assert batches.decide(key, Verdict(outcome))
    assert batches.finish(key, Finished(outcome, T0 + 9), ())


def with_failures(batches: DynamoBatches, chunks: int, failed: tuple[int, ...], name: str = "orders") -> BatchKey:
    key = started(batches, name)
    batches.plan(key, [chunk(number) for number in range(chunks)])
    batches.mark(key, [mark(number, failed=2 if number in failed else 0) for number in range(chunks)])
    assert batches.seal(key, chunks)
    ended(batches, key)
    return key


def to_redrive(batches: DynamoBatches, key: BatchKey) -> list[int]:
    return [row.chunk.number for row in batches.chunks(key, "redrive", -1, 1000)]


def failed(batches: DynamoBatches, key: BatchKey) -> int:
    [run] = batches.get([key])
    assert sum(group.count for group in batches.failures(key)) == run.counts.failed
    return run.counts.failed


def test_it_is_complete_when_what_it_does_again_is_done(batches: DynamoBatches) -> None:
    key = started(batches)
    wrong = {3: 0, 250: 0, 251: 0, 420: 1}
    batches.plan(key, [chunk(number) for number in range(500)])
    batches.mark(key, [mark(n, failed=2 if n in wrong else 0, wrong=wrong.get(n, 0)) for n in range(500)])
    assert batches.seal(key, 500)
    ended(batches, key)
    assert batches.redrive(key, [VALUE_ERRORS.key]) is not None
    assert not batches.is_complete(key)
    assert to_redrive(batches, key) == [3, 250, 251]
    assert not batches.expect(key, to_redrive(batches, key))
    done = [batches.mark(key, [mark(number, revision=1)]).completed for number in (251, 3, 250)]
    assert done == [False, False, True]
    assert failed(batches, key) == 2
    assert batches.mark(key, [mark(250, revision=1)]) == Progress(completed=True, changed=0)


def test_of_nothing_it_is_complete_at_once(batches: DynamoBatches) -> None:
    key = with_failures(batches, 1, ())
    batches.redrive(key, ["nothing"])
    assert batches.expect(key, [])


def test_one_after_the_other(batches: DynamoBatches) -> None:
    key = with_failures(batches, 300, (1, 2, 250))
    for revision, left in ((1, 2), (2, 1), (3, 0)):
        assert batches.redrive(key, [VALUE_ERRORS.key]) is not None
        again = to_redrive(batches, key)
        assert again == [1, 2, 250]
        assert not batches.expect(key, again)
        done = [batches.mark(key, [mark(number, failed=left, revision=revision)]).completed for number in again]
        assert done == [False, False, True]
        assert failed(batches, key) == 3 * left
        ended(batches, key)


def test_what_an_early_end_left_open_is_done_as_well(batches: DynamoBatches) -> None:
    key = started(batches)
    batches.plan(key, [chunk(number) for number in range(4)])
    batches.mark(key, [mark(0, failed=1), mark(1)])
    ended(batches, key, "cancelled")
    batches.redrive(key, [VALUE_ERRORS.key])
    assert not batches.expect(key, to_redrive(batches, key))
    assert not batches.mark(key, [mark(0, revision=1)]).completed
    assert not batches.seal(key, 4)
    # A chunk that is done for the first time, in whatever revision, is what the batch run itself waits for.
    assert not batches.mark(key, [mark(2, revision=1)]).completed
    assert batches.mark(key, [mark(3, revision=1)]).completed
    [run] = batches.get([key])
    assert (run.done, run.counts.items, run.counts.failed) == (4, 400, 0)


def test_what_is_cut_anew_meanwhile_is_waited_for(batches: DynamoBatches) -> None:
    key = with_failures(batches, 3, (1,))
    batches.redrive(key, [VALUE_ERRORS.key])
    batches.expect(key, [1])
    batches.recut(key, [chunk(1, start=990)])
    assert not batches.is_complete(key)
    assert batches.mark(key, [mark(1, revision=1)]).completed
    assert failed(batches, key) == 0


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_every_request_heals(dynamodb: Any, table: Table, after: bool) -> None:
    """Of saying what is done again, and of the mark that does it."""
    batches = store_of(dynamodb, table.name)
    for dies_at in range(1, 20):
        key = with_failures(batches, 3, (1,), f"orders-{dies_at}")
        batches.redrive(key, [VALUE_ERRORS.key])
        fuse = Fuse(dies_at, after=after)
        reports = 0
        for store in (store_of(fuse.wrap(dynamodb), table.name), batches):
            try:
                store.expect(key, [1])
                reports += store.mark(key, [mark(1, failed=1, revision=1)]).completed
                break
            except Crash:
                continue
        assert reports == 1
        assert failed(batches, key) == 1
        if not fuse.burnt:
            return
    pytest.fail("it makes more requests than are tried")


def test_marks_of_the_first_time_that_come_late_change_nothing(batches: DynamoBatches) -> None:
    key = with_failures(batches, 3, (1,))
    batches.redrive(key, [VALUE_ERRORS.key])
    batches.expect(key, [1])
    batches.mark(key, [mark(1, revision=1)])
    assert batches.mark(key, [mark(1, failed=2), *marks([0, 2])]).changed == 0
    assert failed(batches, key) == 0
    assert MISSING.key not in {group.signature.key for group in batches.failures(key)}
