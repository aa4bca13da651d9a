"""RunStore: `settle` is the last word about a run, and releases the one that was held for it."""

from __future__ import annotations

import pytest

from rota.core.run import AttemptRow, Run, RunRecord
from rota.ports.runs import RunQuery
from rota.testing.conformance.values import (
    FAILURE,
    HOUR,
    SPEC,
    T0,
    again,
    begun,
    change,
    died,
    ended,
    one_off,
    recurring,
    stored,
)
from rota.testing.stores import Stores

ALWAYS = 2**60


def _record(stores: Stores, run: Run) -> RunRecord:
    found = stores.runs.get(run.key)
    assert found is not None
    return found


class TestSettling:
    def test_success_is_recorded_whole(self, stores: Stores) -> None:
        run = Run("a", T0, T0 + 2, SPEC, b'{"n":1}')
        stores.runs.accept([run])
        stores.runs.claim([begun(run)])
        assert stores.runs.settle([ended(run, value=b'"ok"')]) == []
        expected = RunRecord("a", T0, T0 + 2, "succeeded", 1, SPEC, b'{"n":1}', T0 + 5, T0 + 15, b'"ok"')
        assert _record(stores, run) == expected
        assert stores.runs.list(RunQuery()) == [expected]
        assert stores.runs.running() == []

    def test_failure_is_recorded_with_its_attempt(self, stores: Stores) -> None:
        run = one_off("a")
        stores.runs.accept([run])
        stores.runs.settle([ended(run, "failed")], [begun(run)])
        record = _record(stores, run)
        assert (record.state, record.failure, record.finished) == ("failed", FAILURE, T0 + 15)
        assert record.attempts == (AttemptRow(1, T0 + 5, T0 + 15, FAILURE),)
        assert stores.runs.list(RunQuery())[0].attempts == ()
        assert stores.runs.dead_letter(run.key) is None

    def test_claims_are_recorded_first(self, stores: Stores) -> None:
        ran, runs, gone = one_off("ran"), one_off("runs"), one_off("gone")
        stores.runs.accept([ran, runs, gone])
        stores.runs.cancel([gone.key], T0)
        stores.runs.settle([ended(ran)], [begun(ran), begun(runs), begun(gone)])
        assert _record(stores, ran).state == "succeeded"
        assert stores.runs.running() == [begun(runs)]
        assert _record(stores, gone).state == "cancelled"

    def test_a_run_that_was_never_claimed_is_settled_too(self, stores: Stores) -> None:
        run = one_off("a")
        stores.runs.accept([run])
        stores.runs.settle([ended(run)])
        assert _record(stores, run).state == "succeeded"
        assert stores.runs.due(ALWAYS, 10) == []

    def test_a_run_that_was_cancelled_while_it_ran_unclaimed_keeps_what_it_came_to(self, stores: Stores) -> None:
        run = one_off("a")
        stores.runs.accept([run])
        stores.runs.cancel([run.key], T0 + 1)
        stores.runs.settle([ended(run, value=b"1")], [begun(run)])
        record = _record(stores, run)
        assert (record.state, record.value, record.finished) == ("succeeded", b"1", T0 + 15)
        assert len(stores.runs.list(RunQuery())) == 1

    def test_settling_again_replaces_the_record(self, stores: Stores) -> None:
        run = one_off("a")
        stores.runs.accept([run])
        for _ in range(2):
            stores.runs.settle([died(run)])
            record = _record(stores, run)
            assert (record.state, len(record.attempts)) == ("failed", 1)
            assert stores.runs.counts()["dead"] == 1
        stores.runs.settle([ended(run, value=b"2")])
        assert (_record(stores, run).state, _record(stores, run).value) == ("succeeded", b"2")
        assert len(stores.runs.list(RunQuery())) == 1
        assert stores.runs.dead_letters(None, 10) == []

    def test_another_attempt_keeps_the_run_with_the_same_id(self, stores: Stores) -> None:
        run = Run("a", T0, T0, SPEC, b"[1]", recurring=True)
        stores.runs.accept([run])
        stores.runs.claim([begun(run)])
        stores.runs.settle([again(run, T0 + HOUR)])
        [second] = stores.runs.due(ALWAYS, 10)
        assert second == Run("a", T0, T0 + HOUR, SPEC, b"[1]", 1, recurring=True)
        assert stores.runs.due(T0 + HOUR - 1, 10) == []
        assert stores.runs.next_due() == T0 + HOUR
        assert stores.runs.running() == []
        record = _record(stores, run)
        assert (record.state, record.attempt, record.due) == ("pending", 1, T0 + HOUR)
        stores.runs.settle([again(second, T0 + 2 * HOUR, started=T0 + HOUR)], [begun(second, T0 + HOUR)])
        [third] = stores.runs.due(ALWAYS, 10)
        stores.runs.settle([ended(third, started=T0 + 2 * HOUR)])
        record = _record(stores, run)
        assert (record.state, record.attempt, record.due) == ("succeeded", 3, T0 + 2 * HOUR)
        assert [row.attempt for row in record.attempts] == [1, 2]
        assert stores.runs.due(ALWAYS, 10) == []

    @pytest.mark.parametrize("claimed", [True, False])
    def test_asking_for_another_attempt_twice_is_as_good_as_once(self, stores: Stores, *, claimed: bool) -> None:
        run = one_off("a")
        stores.runs.accept([run])
        if claimed:
            stores.runs.claim([begun(run)])
        for _ in range(2):
            stores.runs.settle([again(run, T0 + HOUR)])
        assert [one.attempt for one in stores.runs.due(ALWAYS, 10)] == [1]
        assert len(_record(stores, run).attempts) == 1

    def test_a_run_asked_to_stop_is_not_tried_again(self, stores: Stores) -> None:
        run = one_off("a")
        stores.runs.accept([run])
        stores.runs.claim([begun(run)])
        stores.runs.cancel([run.key], T0 + 6)
        stores.runs.settle([again(run, T0 + HOUR)])
        record = _record(stores, run)
        assert (record.state, record.failure, record.finished) == ("cancelled", FAILURE, T0 + 15)
        assert len(record.attempts) == 1
        assert stores.runs.due(ALWAYS, 10) == []

    def test_a_finished_run_is_not_tried_again(self, stores: Stores) -> None:
        cancelled, done = one_off("cancelled"), one_off("done")
        stores.runs.accept([cancelled, done])
        stores.runs.cancel([cancelled.key], T0 + 1)
        stores.runs.settle([ended(done)])
        stores.runs.settle([again(cancelled, T0 + HOUR), again(done, T0 + HOUR)])
        assert _record(stores, cancelled).state == "cancelled"
        assert _record(stores, done).state == "succeeded"
        assert stores.runs.due(ALWAYS, 10) == []


class TestHeldRuns:
    def _queue(self, stores: Stores, name: str = "s", held: int = 3) -> list[Run]:
        runs = [recurring(name, T0 + n, held=n > 0) for n in range(held + 1)]
        stores.runs.accept(runs)
        return runs

    def _freed(self, run: Run) -> Run:
        return recurring(run.schedule_id, run.scheduled)

    def test_a_held_run_is_not_due(self, stores: Stores) -> None:
        first, second, *_ = self._queue(stores)
        assert stores.runs.due(ALWAYS, 10) == [first]
        assert _record(stores, second).state == "held"

    @pytest.mark.parametrize("claimed", [True, False])
    def test_settling_for_good_releases_the_earliest(self, stores: Stores, *, claimed: bool) -> None:
        first, second, third, _ = self._queue(stores)
        self._queue(stores, "other")
        if claimed:
            stores.runs.claim([begun(first)])
        assert stores.runs.settle([ended(first)]) == [self._freed(second)]
        assert self._freed(second) in stores.runs.due(ALWAYS, 10)
        assert _record(stores, third).state == "held"
        assert stores.runs.settle([died(self._freed(second))]) == [self._freed(third)]

    def test_a_release_for_each_schedule_of_one_call(self, stores: Stores) -> None:
        ends = [ended(self._queue(stores, name)[0]) for name in "abc"]
        released = stores.runs.settle(ends)
        assert sorted(run.key for run in released) == [(name, T0 + 1) for name in "abc"]

    def test_another_attempt_releases_nothing(self, stores: Stores) -> None:
        first, second, *_ = self._queue(stores)
        assert stores.runs.settle([again(first, T0 + HOUR)], [begun(first)]) == []
        assert _record(stores, second).state == "held"

    def test_a_run_asked_to_stop_that_is_not_tried_again_releases_the_next(self, stores: Stores) -> None:
        first, second, *_ = self._queue(stores)
        stores.runs.claim([begun(first)])
        stores.runs.cancel([first.key], T0 + 6)
        assert stores.runs.settle([again(first, T0 + HOUR)]) == [self._freed(second)]

    def test_settling_again_releases_nothing_more(self, stores: Stores) -> None:
        first, second, third, _ = self._queue(stores)
        assert stores.runs.settle([ended(first)]) == [self._freed(second)]
        assert stores.runs.settle([ended(first)]) == []
        assert _record(stores, third).state == "held"

    def test_a_run_that_is_not_the_schedules_own_releases_nothing(self, stores: Stores) -> None:
        _, second, *_ = self._queue(stores)
        stray = one_off("s", T0 - HOUR)
        stores.runs.accept([stray])
        assert stores.runs.settle([ended(stray)]) == []
        assert _record(stores, second).state == "held"

    def test_held_runs_wait_for_all_that_go_before(self, stores: Stores) -> None:
        first, second, *_ = self._queue(stores)
        other = recurring("s", T0 - HOUR)
        stores.runs.accept([other])
        assert stores.runs.settle([ended(other)]) == []
        assert stores.runs.settle([ended(first)]) == [self._freed(second)]

    def test_cancelling_the_first_releases_the_next(self, stores: Stores) -> None:
        first, second, third, _ = self._queue(stores)
        stores.runs.cancel([first.key], T0)
        assert stores.runs.due(ALWAYS, 10) == [self._freed(second)]
        assert _record(stores, third).state == "held"

    def test_cancelling_several_leaves_the_rest_its_turn(self, stores: Stores) -> None:
        first, second, third, fourth = self._queue(stores)
        assert stores.runs.cancel([first.key, second.key, third.key], T0) == [first.key, second.key, third.key]
        assert stores.runs.due(ALWAYS, 10) == [self._freed(fourth)]

    def test_a_decision_that_cancels_the_first_releases_the_next(self, stores: Stores) -> None:
        row = stored("s")
        stores.schedules.create([row])
        first, second, *_ = self._queue(stores)
        stores.schedules.apply([change(row, cancel=(first.key,))])
        assert stores.runs.due(ALWAYS, 10) == [self._freed(second)]
