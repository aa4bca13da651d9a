"""Ticks decided ahead of their time: one of each schedule, and none whose overlap policy has to look first."""

from __future__ import annotations

from rota.core.outcome import Result
from rota.core.schedule import Overlap, Schedule, StoredSchedule, new_schedule
from rota.core.target import TaskTarget
from rota.core.triggers import Every
from rota.service.tick import decide_ahead, tick
from rota.service.work import no_task_policy, settle
from rota.testing import MemoryStores

NOW = 1_767_225_600_000
TICK = NOW + 1000


def stored(stores: MemoryStores, overlap: Overlap = "skip") -> StoredSchedule:
    row = new_schedule(Schedule(id="often", trigger=Every(1), target=TaskTarget("t"), overlap=overlap), NOW)
    stores.schedules.create([row])
    return row


def test_only_the_next_tick_is_decided_and_its_run_keeps_its_time() -> None:
    stores = MemoryStores()
    changes, waiting = decide_ahead(stores.schedules, [stored(stores)], NOW + 600)
    assert not waiting
    assert [(run.scheduled, run.due) for change in changes for run in change.runs] == [(TICK, TICK)]
    (row,) = stores.schedules.get(["often"])
    assert row.state.next_tick == TICK + 1000
    assert [(it.scheduled, it.decided) for it in stores.schedules.ticks("often", NOW, TICK, 9)] == [(TICK, NOW + 600)]


def test_a_schedule_with_an_open_run_waits_until_its_overlap_policy_can_tell() -> None:
    stores = MemoryStores()
    stored(stores)
    (fired,) = tick(stores.schedules, TICK)
    (row,) = stores.schedules.get(["often"])
    assert decide_ahead(stores.schedules, [row], TICK + 600) == ([], [row])
    settle(stores.runs, [(run, Result(TICK, TICK + 700)) for run in fired.runs], no_task_policy)
    (change,) = tick(stores.schedules, TICK + 1000)
    assert [it.outcome for it in change.ticks] == ["fired"]


def test_overlap_allow_has_nothing_to_wait_for() -> None:
    stores = MemoryStores()
    stored(stores, "allow")
    tick(stores.schedules, TICK)
    changes, waiting = decide_ahead(stores.schedules, stores.schedules.get(["often"]), TICK + 600)
    assert len(changes) == 1
    assert not waiting


def test_a_decision_that_lost_a_race_is_not_answered() -> None:
    stores = MemoryStores()
    row = stored(stores)
    tick(stores.schedules, TICK)
    stores.runs.cancel([run.key for run in stores.runs.due(TICK, 9)], TICK)
    assert decide_ahead(stores.schedules, [row], NOW + 600) == ([], [])
