"""Use case: why did this schedule fire, or not fire, at that time? Always answered in a sentence.

Asked in this order: the ledger, which is what happened; a run started by hand; the trigger, which knows what is a tick
at all; and the schedule's state, which knows what is still to come, or why nothing was decided.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from rota.core.errors import InvalidError, NotFoundError
from rota.core.ids import epoch_ms, when_ms
from rota.core.run import RunKey, RunRecord
from rota.core.schedule import StoredSchedule, TickRow
from rota.core.triggers import Tick
from rota.core.triggers.instants import to_datetime
from rota.core.triggers.zones import zone as zone_of
from rota.core.triggers.zones import zone_info
from rota.ports.runs import RunStore
from rota.ports.schedules import ScheduleStore
from rota.service.phrasing import late, shown, span
from rota.service.schedules import EVER, find

_SPECIAL = {
    "misfire": "skipped as a misfire",
    "overlap": "skipped because the previous run was still going",
    "paused": "skipped because the schedule was paused",
    "excluded": "skipped because it is an excluded date",
    "daylight_gap": "skipped because it fell into the daylight gap, when clocks were put forward",
    "max_executions": "skipped because max_executions was reached",
}


def why(schedules: ScheduleStore, runs: RunStore, schedule_id: str, when: object, now: int) -> str:
    """A sentence on what became, or will become, of the schedule at `when`: aware datetime, epoch seconds or ISO text,
    which is read in the schedule's zone if it has no offset. NotFoundError if neither the schedule nor a trace of it is
    there."""
    try:
        stored = find(schedules, schedule_id)
    except NotFoundError:
        remembered = _deleted(schedules, runs, schedule_id, when)
        if remembered is None:
            raise
        return remembered
    zone = stored.schedule.trigger.timezone
    found = _instants(when, zone)
    found = _skipped_in_gap(stored, when) or found
    for at in found:
        row = schedules.tick_at(schedule_id, at)
        if row is not None and _speaks_of(stored, row, at):
            return _from_ledger(runs, row, at, zone)
    for at in found:
        record = runs.get(RunKey(schedule_id, at))
        if record is not None:
            return f"{schedule_id} was started by hand at {shown(at, zone)}: {_course(record, zone)}."
    for at in found:
        if (tick := _tick(stored, at)) is not None:
            return _undecided(stored, tick, now)
    return _no_tick(stored, found[0])


def instants_in(field: str, when: object, zone: str) -> list[int]:
    """The instants, in epoch ms, that a user's time may mean: two where wall-clock text without offset comes twice in
    `zone`, and for one that does not exist there the reading with the offset before the change."""
    if isinstance(when, str):
        try:
            wall = datetime.fromisoformat(when)
        except ValueError:
            allowed = "an ISO 8601 time, with an offset or in the schedule's zone, such as 2026-03-29T02:30"
            raise InvalidError(field, when, allowed) from None
        if wall.tzinfo is None:
            info = ZoneInfo(zone)
            both = [when_ms(field, wall.replace(tzinfo=info, fold=fold).isoformat()) for fold in (0, 1)]
            return both if both[0] < both[1] else both[:1]
    return [when_ms(field, when)]


def _instants(when: object, zone: str) -> list[int]:
    return instants_in("when", when, zone)


def _skipped_in_gap(stored: StoredSchedule, when: object) -> list[int]:
    """The tick that a wall-clock time in the daylight gap means, where the trigger skips it: it stands at the gap's
    end."""
    if not isinstance(when, str) or (wall := datetime.fromisoformat(when)).tzinfo is not None:
        return []
    at = zone_of(stored.schedule.trigger.timezone).first_instant(epoch_ms(wall.replace(tzinfo=UTC)) // 1000) * 1000
    if to_datetime(at, zone_info(stored.schedule.trigger.timezone)).replace(tzinfo=None) == wall:
        return []
    tick = _tick(stored, at)
    return [at] if tick is not None and tick.skip == "daylight_gap" else []


def _tick(stored: StoredSchedule, at: int) -> Tick | None:
    tick = stored.schedule.trigger.next_tick(at - 1)
    return tick if tick is not None and tick.at == at else None


def _speaks_of(stored: StoredSchedule, row: TickRow, at: int) -> bool:
    """A row of a range covers instants between its ticks too, which are none."""
    return row.count == 1 or at in (row.scheduled, row.until) or _tick(stored, at) is not None


def _from_ledger(runs: RunStore, row: TickRow, at: int, zone: str) -> str:
    name, time = row.schedule_id, shown(at, zone)
    if row.outcome == "fired":
        record = runs.get(RunKey(name, row.scheduled))
        if record is None:
            return f"{name} fired at {time}; its run is older than what is kept of the history."
        return f"{name} fired at {time}: {_course(record, zone)}."
    reason = _SPECIAL.get(row.reason or "", "skipped")
    detail = f" ({row.detail})" if row.detail else ""
    if row.count == 1:
        return f"{name} at {time} was {reason}{detail}."
    several = f"it is one of {row.count:,} ticks from {shown(row.scheduled, zone)} to {shown(row.until, zone)}"
    outage = " of an outage" if row.reason == "misfire" else ""
    return f"{name} at {time} was {reason}{detail}; {several}{outage}."


def _course(record: RunRecord, zone: str) -> str:
    """What became of a run, from its start on."""
    if record.state == "held":
        return "the run is held until the previous one ends"
    if record.state == "pending":
        if record.attempt:
            return f"attempt {record.attempt} failed, the next one is due at {shown(record.due, zone)}"
        return f"the run waits for its start, due at {shown(record.due, zone)}"
    if record.started is None and record.state == "succeeded":
        return "it was handed to its queue, with no attempt and no time on record"
    if record.started is None:
        return f"the run was {record.state} before it started"
    first = f"attempt {record.attempt} started" if record.attempt > 1 else "it started"
    began = f"{first} {late(record.started - record.due)}"
    if record.state == "running" or record.finished is None:
        return f"{began} and is still running"
    took = f"after {span(record.finished - record.started)}"
    if record.state == "succeeded":
        return f"{began} and succeeded {took}"
    ended = {"failed": "failed", "interrupted": "was interrupted", "cancelled": "was cancelled"}[record.state]
    return f"{began} and {ended} {took}" + (f", with {record.failure}" if record.failure else "")


def _undecided(stored: StoredSchedule, tick: Tick, now: int) -> str:
    """A tick that the ledger does not hold."""
    state, zone = stored.state, stored.schedule.trigger.timezone
    head = f"{stored.id} at {shown(tick.at, zone)}"
    limit = stored.schedule.max_executions
    spent = limit is not None and state.fired >= limit
    if tick.at > now:
        ahead = f"is not yet due (in {span(tick.at - now)})"
        if spent:
            return f"{head} {ahead} and will not fire: max_executions={limit} is used up."
        if tick.skip is not None:
            reason = "an excluded date" if tick.skip == "excluded" else "in the daylight gap"
            return f"{head} {ahead} and will be skipped: it is {reason}."
        if state.paused is not None:
            return f"{head} {ahead}; the schedule is {state.paused}, so it will fire only if resumed before."
        return f"{head} {ahead}."
    if state.next_tick is not None and tick.at >= state.next_tick:
        if state.paused is not None:
            return f"{head} does not fire: the schedule is {state.paused}."
        return (
            f"{head} is due since {span(now - tick.at)}, but no engine has decided on it yet: is `rota serve` running?"
        )
    if tick.at <= state.created:
        return f"{head} did not fire: the schedule was made only at {shown(state.created, zone)}."
    if spent and state.next_tick is None:
        return f"{head} did not fire: max_executions={limit} was used up before."
    return (
        f"{head} has no row in the ledger: either it is older than what is kept, or the trigger was another one then "
        f"(the schedule last changed at {shown(state.updated, zone)})."
    )


def _no_tick(stored: StoredSchedule, at: int) -> str:
    trigger = stored.schedule.trigger
    zone = trigger.timezone
    reason = trigger.explain_absence(at)
    before, after = trigger.latest_tick(-EVER, at), trigger.next_tick(at)
    near = [shown(tick.at, zone) for tick in (before, after) if tick is not None]
    nearest = f"the nearest {'are' if len(near) > 1 else 'is'} {' and '.join(near)}" if near else "it has none at all"
    if reason is not None:
        return f"{stored.id} has no tick of its own at that time: {reason}; {nearest}."
    return f"{shown(at, zone)} is not a tick of {stored.id}; {nearest}."


def _deleted(schedules: ScheduleStore, runs: RunStore, schedule_id: str, when: object) -> str | None:
    """What ledger and history still say of a schedule that is gone, or of a one-off without a schedule."""
    for at in _instants(when, "UTC"):
        row = schedules.tick_at(schedule_id, at)
        if row is not None:
            return f"{_from_ledger(runs, row, at, 'UTC')[:-1]}; the schedule has been deleted since."
        record = runs.get(RunKey(schedule_id, at))
        if record is not None:
            return f"{schedule_id} is a run of its own, for {shown(at, 'UTC')}: {_course(record, 'UTC')}."
    return None
