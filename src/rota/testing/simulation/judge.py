"""The checker of the simulation, in the manner of Jepsen's for Chronos: it reads what is left and compares it with what
had to be."""

from __future__ import annotations

from itertools import pairwise

from rota.core.run import RunKey
from rota.core.schedule import StoredSchedule, TickRow
from rota.core.triggers import AnyTrigger
from rota.testing.simulation.world import Life, World

_EVER = 1 << 50


def judge(world: World) -> None:
    """Raise AssertionError if an invariant does not hold in the world, which has come to rest."""
    for name, life in world.lives.items():
        rows = world.stores.schedules.ticks(name, -_EVER, _EVER, 10**6)
        _judge_ledger(name, life, rows)
        _judge_firings(world, life, [row for row in rows if row.outcome == "fired"])
        _judge_overlap(world, life)
    for key in world.promised:
        _judge_run(world, key)
    for key, begun in world.engine.begun.items():
        record = world.stores.runs.get(key)
        assert record is not None, f"{key.id} was attempted, but nobody accepted it"
        if record.spec.delivery == "at_most_once" and key not in world.touched:
            assert len(begun) == 1, f"{key.id} is delivered at most once, but was attempted {len(begun)} times"


def _judge_ledger(name: str, life: Life, rows: list[TickRow]) -> None:
    """Invariant 1: each tick has exactly one row."""
    for before, after in pairwise(rows):
        assert before.until < after.scheduled, f"two rows of {name} cover {after.scheduled}"
    for reign in life.reigns:
        last = reign.last if reign.last is not None else _decided(life.row, rows)
        for at in _ticks(reign.trigger, reign.first, last):
            assert any(row.scheduled <= at <= row.until for row in rows), f"tick {at} of {name} has no row"
    if len(life.reigns) == 1:
        trigger = life.reigns[0].trigger
        for row in rows:
            found = _ticks(trigger, row.scheduled, row.until)
            assert found, f"a row of {name} at {row.scheduled} covers no tick"
            assert (found[0], found[-1], len(found)) == (row.scheduled, row.until, row.count)


def _decided(row: StoredSchedule, rows: list[TickRow]) -> int:
    if row.state.next_tick is not None:
        return row.state.next_tick - 1
    return max((one.until for one in rows), default=0)


def _ticks(trigger: AnyTrigger, first: int, last: int) -> list[int]:
    ticks = []
    tick = trigger.next_tick(first - 1)
    while tick is not None and tick.at <= last:
        ticks.append(tick.at)
        tick = trigger.next_tick(tick.at)
    return ticks


def _judge_firings(world: World, life: Life, fired: list[TickRow]) -> None:
    """Invariants 2 and 7: what fired was attempted, and no more fired than allowed."""
    limit = life.row.schedule.max_executions
    assert limit is None or len(fired) <= limit, f"{life.row.id} fired {len(fired)} times of {limit}"
    [*now] = world.stores.schedules.get([life.row.id])
    if now:
        assert now[0].state.fired == len(fired), f"{life.row.id} counts {now[0].state.fired} of {len(fired)} firings"
    for row in fired:
        _judge_run(world, RunKey(row.schedule_id, row.scheduled))


def _judge_run(world: World, key: RunKey) -> None:
    """A run accepted is in the history, and was attempted unless it was cancelled."""
    record = world.stores.runs.get(key)
    assert record is not None, f"{key.id} is lost"
    assert record.state not in ("pending", "held", "running"), f"{key.id} is still {record.state}"
    # At most once, an engine may die between the claim and the beginning.
    never = record.state == "cancelled" or (record.spec.delivery == "at_most_once" and record.state == "interrupted")
    assert never or world.engine.begun.get(key), f"{key.id} {record.state} but was never attempted"


def _judge_overlap(world: World, life: Life) -> None:
    """Unless a user ran, cancelled or redrove one by hand, no two runs of a schedule that forbids it go on at once."""
    if life.meddled or life.row.schedule.overlap not in ("skip", "queue_one", "queue_all"):
        return
    for first, second in world.engine.overlaps:
        assert first.schedule_id != life.row.id, f"{second.id} began while {first.id} was going on"
