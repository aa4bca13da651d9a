"""Many ticks of one instant: decided ahead of it, begun at it, each once."""

from __future__ import annotations

from rota.core.run import Run
from rota.core.schedule import Schedule, StoredSchedule, new_schedule
from rota.core.target import TaskTarget
from rota.core.triggers import Every
from rota.embedded.near import PAGE, NearSchedules
from rota.service.tick import decide, decide_ahead
from rota.testing import MemoryStores

NOW = 1_767_225_600_000
TICK = NOW + 1000


def near_with(count: int, limit: int = 10_000) -> tuple[MemoryStores, NearSchedules]:
    stores = MemoryStores()
    stores.schedules.create(
        [new_schedule(Schedule(id=f"s{n:04}", trigger=Every(1), target=TaskTarget("t")), NOW) for n in range(count)]
    )
    near = NearSchedules(stores.schedules, limit)
    while near.load(TICK):
        pass
    return stores, near


def names(rows: list[StoredSchedule]) -> list[str]:
    return [row.id for row in rows]


def test_the_crowd_is_counted_from_its_first_tick() -> None:
    _, near = near_with(PAGE + 5)
    assert near.crowd(400) == (TICK, PAGE + 5)
    assert len(near.take_ahead(TICK, 7)) == 7
    assert near.crowd(400) == (TICK, PAGE - 2)


def test_what_is_put_off_is_not_offered_ahead_again_but_in_time() -> None:
    _, near = near_with(3)
    rows = near.take_ahead(TICK, 10)
    near.put_off(rows[1:])
    assert near.take_ahead(TICK, 10) == []
    assert near.crowd(400) is None
    assert near.next_put_off() == TICK
    assert near.take(TICK - 1, 10) == []
    assert names(near.take(TICK, 1)) == ["s0001"]
    assert names(near.take(TICK, 10)) == ["s0002"]
    assert near.next_put_off() is None


def test_a_rescan_forgets_what_was_put_off_and_finds_it_in_the_store() -> None:
    _, near = near_with(2)
    near.put_off(near.take_ahead(TICK, 10))
    near.rescan()
    assert near.next_put_off() is None
    assert near.crowd(400) == (TICK, 2)
    assert names(near.take(TICK, 10)) == ["s0000", "s0001"]


def test_ahead_and_in_time_decide_each_tick_once() -> None:
    stores, near = near_with(50)
    runs: list[Run] = []
    changes, waiting = decide_ahead(stores.schedules, near.take_ahead(TICK, 20), TICK - 300)
    assert not waiting
    changes += decide(stores.schedules, near.take(TICK, 100), TICK, 4)
    for change in changes:
        runs += change.runs
    assert sorted((run.schedule_id, run.due) for run in runs) == [(f"s{n:04}", TICK) for n in range(50)]
    assert near.take(TICK, 100) == []
