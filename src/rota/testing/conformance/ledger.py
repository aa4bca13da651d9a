"""ScheduleStore: decisions, which are carried out whole or not at all, and the tick ledger that they write."""

from __future__ import annotations

import msgspec
import pytest

from rota.core.errors import ExistsError
from rota.core.run import RunKey
from rota.core.schedule import Change, StoredSchedule
from rota.ports.runs import RunQuery
from rota.ports.schedules import ScheduleQuery
from rota.testing.conformance.values import (
    HOUR,
    LARGEST,
    T0,
    begun,
    change,
    deletion,
    ended,
    fired,
    recurring,
    skipped,
    stored,
)
from rota.testing.stores import Stores

ALWAYS = 2**60


def _redefined(before: StoredSchedule, **fields: object) -> Change:
    schedule = msgspec.structs.replace(before.schedule, **fields)
    state = msgspec.structs.replace(before.state, version=before.state.version + 1)
    return Change(before.id, before.state.version, StoredSchedule(schedule, state), redefined=True)


class TestChanges:
    def test_a_change_writes_state_ledger_and_runs(self, stores: Stores) -> None:
        before, run = stored("s"), recurring("s")
        stores.schedules.create([before])
        decision = change(before, ticks=(fired("s", T0),), runs=(run,), fired=1)
        assert stores.schedules.apply([decision]) == [True]
        assert stores.schedules.get(["s"]) == [decision.after]
        assert stores.schedules.ticks("s", 0, ALWAYS, 10) == [fired("s", T0)]
        assert stores.runs.due(T0, 10) == [run]

    def test_of_two_decisions_about_one_version_the_second_leaves_no_trace(self, stores: Stores) -> None:
        before, old = stored("s"), recurring("s", T0 - HOUR)
        stores.schedules.create([before])
        stores.runs.accept([old])
        first = change(before, ticks=(fired("s", T0),))
        late = change(
            before,
            T0 + 9 * HOUR,
            ticks=(skipped("s", T0, T0, 1), fired("s", T0 + 1)),
            runs=(recurring("s"),),
            cancel=(old.key,),
        )
        assert stores.schedules.apply([first]) == [True]
        assert stores.schedules.apply([late]) == [False]
        assert stores.schedules.get(["s"]) == [first.after]
        assert stores.schedules.ticks("s", 0, ALWAYS, 10) == [fired("s", T0)]
        assert stores.runs.due(ALWAYS, 10) == [old]

    def test_each_change_stands_alone_and_they_are_carried_out_in_order(self, stores: Stores) -> None:
        a, b = stored("a"), stored("b")
        stores.schedules.create([a, b])
        first = change(a, T0 + HOUR)
        assert first.after is not None
        second = change(first.after, T0 + 2 * HOUR)
        answers = stores.schedules.apply([first, change(stored("nobody")), second, first, change(b)])
        assert answers == [True, False, True, False, True]
        assert stores.schedules.get(["a"]) == [second.after]

    def test_a_plain_change_leaves_the_definition(self, stores: Stores) -> None:
        before = stored("s", tags=("red",))
        stores.schedules.create([before])
        stores.schedules.apply([change(before, T0 + 5, fired=4)])
        [after] = stores.schedules.get(["s"])
        assert after.schedule == before.schedule
        assert (after.state.next_tick, after.state.fired, after.state.version) == (T0 + 5, 4, 2)

    def test_a_redefinition_is_found_by_what_it_is_now(self, stores: Stores) -> None:
        before = stored("s", tags=("red", "blue"), owner="shop", description="old")
        stores.schedules.create([before])
        decision = _redefined(before, tags=("blue", "green"), owner="", description="new", payload=LARGEST)
        assert stores.schedules.apply([decision]) == [True]
        assert stores.schedules.get(["s"]) == [decision.after]
        for query in (ScheduleQuery(tag="green"), ScheduleQuery(tag="blue"), ScheduleQuery(search="new")):
            assert stores.schedules.list(query) == [decision.after]
        for query in (ScheduleQuery(tag="red"), ScheduleQuery(owner="shop"), ScheduleQuery(search="old")):
            assert stores.schedules.list(query) == []

    def test_deleting_leaves_ledger_and_history(self, stores: Stores) -> None:
        before, run = stored("s", tags=("red",)), recurring("s")
        stores.schedules.create([before])
        stores.schedules.apply([change(before, ticks=(fired("s", T0),), runs=(run,))])
        stores.runs.settle([ended(run)])
        [row] = stores.schedules.get(["s"])
        assert stores.schedules.apply([deletion(row)]) == [True]
        assert stores.schedules.get(["s"]) == []
        assert stores.schedules.list(ScheduleQuery(tag="red")) == []
        assert stores.schedules.next_due() is None
        assert stores.schedules.ticks("s", 0, ALWAYS, 10) == [fired("s", T0)]
        assert len(stores.runs.list(RunQuery(schedule_id="s"))) == 1
        assert stores.schedules.apply([deletion(row)]) == [False]

    def test_an_id_may_be_used_again_after_deletion(self, stores: Stores) -> None:
        before = stored("s", tags=("red",))
        stores.schedules.create([before])
        stores.schedules.apply([deletion(before)])
        fresh = stored("s", T0 + HOUR, tags=("blue",))
        stores.schedules.create([fresh])
        assert stores.schedules.list(ScheduleQuery()) == [fresh]
        assert stores.schedules.list(ScheduleQuery(tag="red")) == []
        with pytest.raises(ExistsError):
            stores.schedules.create([before])

    def test_cancelling_ends_what_waits_and_asks_what_runs(self, stores: Stores) -> None:
        before = stored("s")
        running, waiting, held = (recurring("s", T0 - 3), recurring("s", T0 - 2), recurring("s", T0 - 1, held=True))
        stores.schedules.create([before])
        stores.runs.accept([running, waiting, held])
        stores.runs.claim([begun(running)])
        mine, last = recurring("s", T0), recurring("s", T0 + 1)
        keys = (running.key, waiting.key, held.key, mine.key, RunKey("s", 1))
        stores.schedules.apply([change(before, runs=(mine, last), cancel=keys)])
        assert stores.runs.due(ALWAYS, 10) == [last]
        assert stores.runs.cancelled(keys) == [running.key]
        states = [record.state for record in stores.runs.list(RunQuery(schedule_id="s"))]
        assert states == ["pending", "cancelled", "cancelled", "cancelled", "running"]
        record = stores.runs.get(waiting.key)
        assert record is not None
        assert record.finished == T0 + 1, "the time of the decision"

    def test_a_run_that_is_open_already_stays_as_it_is(self, stores: Stores) -> None:
        before, run = stored("s"), recurring("s")
        stores.schedules.create([before])
        stores.runs.accept([run])
        stores.runs.claim([begun(run)])
        assert stores.schedules.apply([change(before, runs=(run, recurring("s", T0 + 1)))]) == [True]
        assert stores.runs.running() == [begun(run)]
        assert stores.runs.due(ALWAYS, 10) == [recurring("s", T0 + 1)]

    def test_a_run_that_waits_for_nobody_is_not_held(self, stores: Stores) -> None:
        before = stored("s")
        stores.schedules.create([before])
        runs = tuple(recurring("s", T0 + n, held=True) for n in range(2))
        stores.schedules.apply([change(before, runs=runs)])
        assert stores.runs.due(ALWAYS, 10) == [recurring("s", T0)]
        assert stores.schedules.open_runs(["s"])["s"].held == (runs[1].key,)

    def test_a_held_run_waits_while_another_is_open(self, stores: Stores) -> None:
        before = stored("s")
        stores.schedules.create([before])
        stores.runs.accept([recurring("s", T0 - HOUR)])
        stores.schedules.apply([change(before, runs=(recurring("s", T0, held=True),))])
        assert stores.runs.due(ALWAYS, 10) == [recurring("s", T0 - HOUR)]

    def test_a_change_of_a_thousand_rows(self, stores: Stores) -> None:
        before = stored("s")
        stores.schedules.create([before])
        rows = tuple(fired("s", T0 + n) for n in range(1000))
        runs = tuple(recurring("s", T0 + n) for n in range(1000))
        assert stores.schedules.apply([change(before, ticks=rows, runs=runs, fired=1000)]) == [True]
        assert stores.schedules.ticks("s", 0, ALWAYS, 2000) == list(rows)
        assert stores.runs.due(ALWAYS, 2000) == list(runs)


class TestTickLedger:
    def _write(self, stores: Stores, *rows: tuple[int, int, int]) -> None:
        """Rows of schedule "s": first, last (both relative to T0), count."""
        before = stored("s")
        stores.schedules.create([before])
        ticks = tuple(skipped("s", T0 + first, T0 + last, count) for first, last, count in rows)
        stores.schedules.apply([change(before, ticks=ticks)])

    def _firsts(
        self, stores: Stores, start: int, end: int, *, newest_first: bool = False, limit: int = 100
    ) -> list[int]:
        rows = stores.schedules.ticks("s", T0 + start, T0 + end, limit, newest_first=newest_first)
        return [row.scheduled - T0 for row in rows]

    def test_rows_come_back_as_they_were_written(self, stores: Stores) -> None:
        self._write(stores, (0, 50, 6), (60, 60, 1))
        assert stores.schedules.ticks("s", T0, T0 + 60, 10) == [
            skipped("s", T0, T0 + 50, 6),
            skipped("s", T0 + 60, T0 + 60, 1),
        ]
        assert stores.schedules.ticks("other", 0, ALWAYS, 10) == []

    def test_a_row_is_found_by_any_instant_that_it_covers(self, stores: Stores) -> None:
        self._write(stores, (0, 0, 1), (10, 30, 3), (40, 40, 1))
        assert self._firsts(stores, 20, 25) == [10]
        assert self._firsts(stores, 30, 40) == [10, 40]
        assert self._firsts(stores, -5, 10) == [0, 10]
        assert self._firsts(stores, 31, 39) == []
        assert self._firsts(stores, 41, 99) == []

    def test_order_and_limit(self, stores: Stores) -> None:
        self._write(stores, (30, 30, 1), (0, 5, 2), (10, 10, 1), (20, 20, 1))
        assert self._firsts(stores, 0, 99) == [0, 10, 20, 30]
        assert self._firsts(stores, 0, 99, limit=2) == [0, 10]
        assert self._firsts(stores, 0, 99, newest_first=True) == [30, 20, 10, 0]
        assert self._firsts(stores, 3, 25, newest_first=True, limit=2) == [20, 10]

    def test_a_row_whose_time_is_taken_replaces_the_one_there(self, stores: Stores) -> None:
        self._write(stores, (0, 50, 6))
        [row] = stores.schedules.get(["s"])
        stores.schedules.apply([change(row, ticks=(fired("s", T0),))])
        assert stores.schedules.ticks("s", 0, ALWAYS, 10) == [fired("s", T0)]
        assert stores.schedules.tick_at("s", T0 + 50) is None

    def test_tick_at_answers_the_row_that_covers_the_instant(self, stores: Stores) -> None:
        self._write(stores, (0, 0, 1), (10, 30, 3))
        at = stores.schedules.tick_at
        assert at("s", T0) == skipped("s", T0, T0, 1)
        assert at("s", T0 + 10) == at("s", T0 + 17) == at("s", T0 + 30) == skipped("s", T0 + 10, T0 + 30, 3)
        assert at("s", T0 + 5) is None
        assert at("s", T0 + 31) is None
        assert at("s", T0 - 1) is None
        assert at("other", T0) is None

    def test_forgetting_goes_in_steps_and_spares_what_is_not_wholly_past(self, stores: Stores) -> None:
        self._write(stores, *((n, n, 1) for n in range(7)), (7, 15, 3), (20, 20, 1))
        removed = []
        while step := stores.schedules.forget_ticks(T0 + 10, 3):
            removed.append(step)
        assert removed == [3, 3, 1]
        assert self._firsts(stores, 0, 99) == [7, 20]
        assert stores.schedules.forget_ticks(T0 + 20, 3) == 1
        assert self._firsts(stores, 0, 99) == [20]
