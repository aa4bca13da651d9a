"""RunStore: acceptance, what is due, claims, looking up, and cancelling."""

from __future__ import annotations

import pytest

from rota.core.errors import ExistsError
from rota.core.run import Run, RunKey, RunRecord
from rota.ports.runs import RunQuery
from rota.testing.conformance.values import (
    HOUR,
    LARGEST,
    SPEC,
    T0,
    again,
    begun,
    died,
    ended,
    one_off,
    recurring,
)
from rota.testing.stores import Stores

ALWAYS = 2**60


def _keys(records: list[RunRecord]) -> list[RunKey]:
    return [RunKey(record.schedule_id, record.scheduled) for record in records]


class TestRunStore:
    def test_an_accepted_run_is_pending(self, stores: Stores) -> None:
        run = Run("one:off/1", T0, T0 + 70, SPEC, '{"größe":"日本"}'.encode())
        stores.runs.accept([run])
        assert stores.runs.due(T0 + 70, 10) == [run]
        assert stores.runs.get(run.key) == RunRecord(
            run.schedule_id, T0, T0 + 70, "pending", 0, SPEC, '{"größe":"日本"}'.encode()
        )

    def test_the_largest_payload_fits(self, stores: Stores) -> None:
        run = one_off("large", payload=LARGEST)
        stores.runs.accept([run])
        assert stores.runs.due(T0, 1) == [run]
        stores.runs.settle([ended(run, value=LARGEST)], [begun(run)])
        record = stores.runs.get(run.key)
        assert record is not None
        assert (record.payload, record.value) == (LARGEST, LARGEST)

    def test_nothing_to_do_is_no_error(self, stores: Stores) -> None:
        stores.runs.accept([])
        assert stores.runs.claim([]) == []
        assert stores.runs.settle([]) == []
        assert stores.runs.cancel([], T0) == []
        assert stores.runs.cancelled([]) == []
        assert stores.runs.redrive([], T0) == []
        assert stores.runs.purge([]) == []
        assert stores.runs.due(ALWAYS, 10) == []
        assert stores.runs.next_due() is None
        assert stores.runs.running() == []
        assert stores.runs.get(RunKey("nobody", T0)) is None

    @pytest.mark.parametrize("state", ["pending", "held", "running"])
    def test_the_id_of_an_open_run_is_taken_and_stops_the_whole_call(self, stores: Stores, state: str) -> None:
        stores.runs.accept([recurring("s", T0 - 1), recurring("s", T0, held=state == "held")])
        if state == "running":
            stores.runs.claim([begun(recurring("s", T0))])
        with pytest.raises(ExistsError) as caught:
            stores.runs.accept([one_off("new"), recurring("s", T0), one_off("newer")])
        assert caught.value.ids == {"run": recurring("s", T0).id}
        assert stores.runs.get(RunKey("new", T0)) is None
        assert stores.runs.get(RunKey("newer", T0)) is None

    def test_an_id_twice_in_one_call_stops_it(self, stores: Stores) -> None:
        with pytest.raises(ExistsError):
            stores.runs.accept([one_off("twin"), one_off("twin")])
        assert stores.runs.due(ALWAYS, 10) == []

    def test_the_id_of_an_open_run_is_taken_whenever_it_is_due(self, stores: Stores) -> None:
        stores.runs.accept([Run("s", T0, T0 + 5, SPEC)])
        with pytest.raises(ExistsError):
            stores.runs.accept([Run("s", T0, T0 + 9, SPEC)])

    def test_the_id_of_a_run_that_was_tried_is_taken(self, stores: Stores) -> None:
        run = one_off("tried")
        stores.runs.accept([run])
        stores.runs.settle([again(run, T0 + HOUR)], [begun(run)])
        with pytest.raises(ExistsError):
            stores.runs.accept([run])

    def test_a_run_whose_id_finished_earlier_takes_its_place(self, stores: Stores) -> None:
        run = one_off("phoenix")
        stores.runs.accept([run])
        stores.runs.settle([died(run)], [begun(run)])
        stores.runs.accept([run])
        assert stores.runs.list(RunQuery()) == [RunRecord("phoenix", T0, T0, "pending", 0, SPEC, run.payload)]
        assert stores.runs.get(run.key) == stores.runs.list(RunQuery())[0]
        assert stores.runs.dead_letter(run.key) is None
        stores.runs.settle([ended(run)], [begun(run)])
        assert [record.state for record in stores.runs.list(RunQuery())] == ["succeeded"]

    def test_due_runs_come_in_order_and_pages_tile(self, stores: Stores) -> None:
        runs = [
            Run(name, T0 + n, T0 + due, SPEC) for due in (3, 1, 2) for name in "cab" for n in (10 * due, 10 * due + 1)
        ]
        runs.append(one_off("later", T0 + 4))
        stores.runs.accept(runs)
        expected = sorted(runs[:-1], key=lambda run: (run.due, run.schedule_id, run.scheduled))
        assert stores.runs.due(T0 + 3, 100) == expected
        seen: list[Run] = []
        while page := stores.runs.due(T0 + 3, 5, seen[-1] if seen else None):
            assert len(page) <= 5
            seen += page
        assert seen == expected

    def test_paging_goes_on_where_the_last_run_was_though_it_is_gone(self, stores: Stores) -> None:
        runs = [one_off(name) for name in "abc"]
        stores.runs.accept(runs)
        stores.runs.claim([begun(runs[0]), begun(runs[1])])
        assert stores.runs.due(T0, 10, runs[1]) == [runs[2]]

    def test_next_due_is_the_earliest_pending(self, stores: Stores) -> None:
        first, second = one_off("first", T0 + 1), one_off("second", T0 + 2)
        stores.runs.accept([second, first, recurring("s", T0 + 9), recurring("s", T0, held=True)])
        assert stores.runs.next_due() == T0 + 1
        stores.runs.claim([begun(first)])
        assert stores.runs.next_due() == T0 + 2

    def test_a_claimed_run_is_running_and_not_due(self, stores: Stores) -> None:
        run = one_off("a")
        stores.runs.accept([run])
        assert stores.runs.claim([begun(run, T0 + 7)]) == [True]
        assert stores.runs.due(ALWAYS, 10) == []
        assert stores.runs.running() == [begun(run, T0 + 7)]
        record = stores.runs.get(run.key)
        assert record is not None
        assert (record.state, record.attempt, record.started, record.lateness) == ("running", 1, T0 + 7, 7)

    def test_only_a_pending_run_can_be_claimed(self, stores: Stores) -> None:
        pending, running, done = one_off("pending"), one_off("running"), one_off("done")
        cancelled = one_off("cancelled")
        stores.runs.accept([pending, running, done, cancelled, recurring("s"), recurring("s", T0 + 1, held=True)])
        stores.runs.claim([begun(running), begun(done)])
        stores.runs.settle([ended(done)])
        stores.runs.cancel([cancelled.key], T0)
        runs = [running, pending, pending, done, cancelled, recurring("s", T0 + 1), one_off("nobody")]
        claims = [begun(run) for run in runs]
        assert stores.runs.claim(claims) == [False, True, False, False, False, False, False]

    def test_list_is_newest_first_and_pages_tile(self, stores: Stores) -> None:
        runs = [recurring(name, T0 + n) for name in "ab" for n in range(10)]
        stores.runs.accept(runs)
        stores.runs.settle([ended(run) for run in runs[::3]])
        stores.runs.claim([begun(run) for run in runs[1::3]])
        seen: list[RunKey] = []
        while page := stores.runs.list(RunQuery(after=seen[-1] if seen else None, limit=3)):
            assert len(page) <= 3
            seen += _keys(page)
        assert sorted(seen) == sorted(run.key for run in runs)
        times = [key.scheduled for key in seen]
        assert times == sorted(times, reverse=True)

    def test_list_finds_by_schedule_state_and_time(self, stores: Stores) -> None:
        runs = [recurring("a", T0 + n) for n in range(6)]
        stores.runs.accept([*runs, recurring("b", T0), recurring("a", T0 + 6, held=True)])
        stores.runs.claim([begun(runs[1])])
        stores.runs.settle([ended(runs[2]), ended(runs[3], "failed"), ended(runs[4], "interrupted")])
        stores.runs.cancel([runs[5].key], T0)

        def found(**filters: object) -> list[int]:
            records = stores.runs.list(RunQuery(schedule_id="a", **filters))  # type: ignore[arg-type]
            return [record.scheduled - T0 for record in records]

        assert found() == [6, 5, 4, 3, 2, 1, 0]
        states = {"pending": 0, "running": 1, "succeeded": 2, "failed": 3, "interrupted": 4, "cancelled": 5, "held": 6}
        assert {state: found(state=state) for state in states} == {state: [n] for state, n in states.items()}
        assert found(start=T0 + 1, end=T0 + 4) == [4, 3, 2, 1]
        assert found(start=T0 + 2, end=T0 + 4, after=RunKey("a", T0 + 4), limit=1) == [3]
        assert sorted(_keys(stores.runs.list(RunQuery(state="pending")))) == [RunKey("a", T0), RunKey("b", T0)]

    def test_counts(self, stores: Stores) -> None:
        runs = [one_off(f"r{n}") for n in range(6)]
        stores.runs.accept([*runs, recurring("s"), recurring("s", T0 + 1, held=True)])
        stores.runs.claim([begun(run) for run in runs[:2]])
        stores.runs.settle([ended(runs[2]), died(runs[3])])
        counts = stores.runs.counts()
        assert {state: counts.get(state, 0) for state in ("pending", "held", "running", "dead")} == {
            "pending": 3,
            "held": 1,
            "running": 2,
            "dead": 1,
        }

    def test_thousands_in_one_call(self, stores: Stores) -> None:
        runs = [one_off(f"r{n:05}", payload=b'{"n":%d}' % n) for n in range(3000)]
        stores.runs.accept(runs)
        assert stores.runs.due(T0, 5000) == runs
        assert all(stores.runs.claim([begun(run) for run in runs]))
        assert len(stores.runs.running()) == 3000
        stores.runs.settle([ended(run, value=run.payload) for run in runs])
        assert len(stores.runs.list(RunQuery(state="succeeded", limit=5000))) == 3000

    def test_forgetting_goes_in_steps_and_spares_open_runs_and_dead_letters(self, stores: Stores) -> None:
        runs = [recurring("s", T0 + n) for n in range(9)]
        stores.runs.accept(runs)
        stores.runs.settle([ended(run) for run in runs[2:5]])
        stores.runs.settle([ended(runs[5], "failed"), died(runs[6]), ended(runs[7]), ended(runs[8])])
        stores.runs.claim([begun(runs[0])])
        removed = []
        while step := stores.runs.forget_runs(T0 + 8, 2):
            removed.append(step)
        assert removed == [2, 2, 1]
        assert _keys(stores.runs.list(RunQuery())) == [runs[n].key for n in (8, 6, 1, 0)]
        assert stores.runs.get(runs[5].key) is None
        assert stores.runs.dead_letter(runs[6].key) is not None
        stores.runs.purge([runs[6].key])
        assert stores.runs.forget_runs(T0 + 8, 2) == 1


class TestCancelling:
    def test_a_pending_run_ends_as_cancelled(self, stores: Stores) -> None:
        run = one_off("a")
        stores.runs.accept([run])
        assert stores.runs.cancel([run.key], T0 + 3) == [run.key]
        assert stores.runs.due(ALWAYS, 10) == []
        record = stores.runs.get(run.key)
        assert record is not None
        assert (record.state, record.started, record.finished) == ("cancelled", None, T0 + 3)
        assert stores.runs.cancel([run.key], T0 + 4) == []

    def test_a_run_that_waits_to_be_tried_again_keeps_its_attempts(self, stores: Stores) -> None:
        run = one_off("a")
        stores.runs.accept([run])
        stores.runs.settle([again(run, T0 + HOUR)], [begun(run)])
        assert stores.runs.cancel([run.key], T0 + 30) == [run.key]
        record = stores.runs.get(run.key)
        assert record is not None
        assert (record.state, record.attempt, len(record.attempts)) == ("cancelled", 1, 1)

    def test_a_held_run_ends_as_cancelled(self, stores: Stores) -> None:
        first, held = recurring("s"), recurring("s", T0 + 1, held=True)
        stores.runs.accept([first, held])
        assert stores.runs.cancel([held.key], T0) == [held.key]
        record = stores.runs.get(held.key)
        assert record is not None
        assert record.state == "cancelled"
        assert stores.runs.settle([ended(first)]) == []

    def test_a_running_run_is_asked_to_stop(self, stores: Stores) -> None:
        run, other = one_off("a"), one_off("b")
        stores.runs.accept([run, other])
        stores.runs.claim([begun(run), begun(other)])
        assert stores.runs.cancelled([run.key, other.key]) == []
        assert stores.runs.cancel([run.key, run.key], T0) in ([run.key], [run.key, run.key])
        assert stores.runs.cancelled([run.key, other.key, RunKey("nobody", T0)]) == [run.key]
        assert stores.runs.running() in ([begun(run), begun(other)], [begun(other), begun(run)])
        stores.runs.settle([ended(run, "cancelled")])
        assert stores.runs.cancelled([run.key]) == []
        record = stores.runs.get(run.key)
        assert record is not None
        assert record.state == "cancelled"

    def test_what_is_finished_or_unknown_is_not_answered(self, stores: Stores) -> None:
        run = one_off("a")
        stores.runs.accept([run])
        stores.runs.settle([ended(run)])
        assert stores.runs.cancel([run.key, RunKey("nobody", T0)], T0) == []
        record = stores.runs.get(run.key)
        assert record is not None
        assert record.state == "succeeded"
