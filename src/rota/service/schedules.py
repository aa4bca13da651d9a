"""Use cases: make, find, change and remove schedules, and run one by hand.

A change first decides on the ticks that are due already, by the definition that was in force when they came due, and is
stored together with those decisions, in one transaction and only if nobody changed the schedule in between. Who loses
that race reads again and tries again, a few times. So no tick is lost or fired twice by an update, a pause or a
deletion.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Container, Mapping, Sequence
from typing import NamedTuple

import msgspec

from rota.core.errors import ConflictError, ExistsError, InvalidError, NotFoundError
from rota.core.firing import NO_RUNS, paused_row, plan
from rota.core.limits import check_text
from rota.core.run import Run, RunKey
from rota.core.schedule import Change, Pause, Schedule, StoredSchedule, TickRow, check_fires, first_tick, new_schedule
from rota.core.target import AnyTarget, TaskTarget
from rota.core.triggers import At, Tick
from rota.ports.runs import RunQuery, RunStore
from rota.ports.schedules import ScheduleQuery, ScheduleStore

TRIES = 8
"""How often a change that lost a race is made again before the caller hears of it."""
EVER = 1 << 50
_HINTED = 1000
_PAGE = 1000


class Edit(NamedTuple):
    """What one caller wants of a schedule. after: the new value, None to delete it; its version is set by `edit`."""

    after: StoredSchedule | None
    ticks: tuple[TickRow, ...] = ()
    cancel: tuple[RunKey, ...] = ()
    redefined: bool = False


def check_task(target: AnyTarget, tasks: Container[str] | None, field: str = "target", **ids: str) -> None:
    """InvalidError for `field` if `target` is a task that the app does not have. tasks: None where no app is known."""
    if tasks is None or not isinstance(target, TaskTarget) or target.name in tasks:
        return
    known = ", ".join(sorted(tasks)) if isinstance(tasks, Mapping) else ""
    raise InvalidError(field, str(target), f"a task of the app, which has: {known or 'none'}", **ids)


def find(store: ScheduleStore, schedule_id: str) -> StoredSchedule:
    """The schedule; NotFoundError with the nearest names."""
    found = store.get([check_text("id", schedule_id)])
    if found:
        return found[0]
    names = [row.id for row in store.list(ScheduleQuery(limit=_HINTED))]
    near = difflib.get_close_matches(schedule_id, names, 3, 0.6)
    hint = f"is it {' or '.join(near)}?" if near else ("there are no schedules yet" if not names else "")
    raise NotFoundError("schedule", schedule_id, hint)


def create(
    store: ScheduleStore, schedules: Sequence[Schedule], now: int, tasks: Container[str] | None = None
) -> list[StoredSchedule]:
    """Store new schedules, all or none. Raises InvalidError, NeverFiresError, ExistsError."""
    names = [schedule.id for schedule in schedules]
    rows = []
    for schedule in schedules:
        check_task(schedule.target, tasks, schedule=schedule.id)
        rows.append(new_schedule(schedule, now))
    if len(set(names)) < len(names):
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise ExistsError("schedule", twice, "it is named twice in one call")
    if rows:
        store.create(rows)
    return rows


def edit(
    store: ScheduleStore, schedule_id: str, now: int, make: Callable[[StoredSchedule, Sequence[TickRow]], Edit | None]
) -> StoredSchedule | None:
    """Decide on what is due, then change the schedule as `make` says; answers what is stored then, None if it is gone.

    make: is given the schedule with nothing due any more and the ledger rows just decided but not stored yet; answers
    None where there is nothing to change. It may be called several times. ConflictError if others keep changing the
    schedule."""
    tries = 0
    while tries < TRIES:
        stored = find(store, schedule_id)
        open_runs = store.open_runs([schedule_id]).get(schedule_id, NO_RUNS)
        decided = plan(stored, open_runs, now)
        if decided is not None and decided.after is not None and _is_due(decided.after, now):
            tries += not store.apply([decided])[0]
            continue
        current = stored if decided is None or decided.after is None else decided.after
        made = make(current, decided.ticks if decided else ())
        if made is None:
            return stored
        change = Change(
            schedule_id,
            stored.state.version,
            _at_version(made.after, stored.state.version + 1, now),
            (*(decided.ticks if decided else ()), *made.ticks),
            decided.runs if decided else (),
            (*(decided.cancel if decided else ()), *made.cancel),
            made.redefined,
            now,
        )
        if store.apply([change])[0]:
            return change.after
        tries += 1
    raise ConflictError(
        f"schedule {schedule_id!r} was changed by others {TRIES} times in a row; try again", schedule=schedule_id
    )


def _is_due(stored: StoredSchedule, now: int) -> bool:
    return stored.state.next_tick is not None and stored.state.next_tick <= now


def _at_version(stored: StoredSchedule | None, version: int, now: int) -> StoredSchedule | None:
    if stored is None:
        return None
    return StoredSchedule(stored.schedule, msgspec.structs.replace(stored.state, version=version, updated=now))


def _kept(stored: StoredSchedule | None, schedule_id: str) -> StoredSchedule:
    if stored is None:
        raise NotFoundError("schedule", schedule_id, "it was deleted meanwhile")
    return stored


def pause(store: ScheduleStore, schedule_id: str, by: str, reason: str, now: int) -> StoredSchedule:
    """Fire nothing from now on. Runs that were accepted go on. ConflictError if it is paused or finished already."""
    said = check_text("reason", reason)

    def make(stored: StoredSchedule, _rows: Sequence[TickRow]) -> Edit:
        if stored.state.paused is not None:
            raise ConflictError(f"schedule {schedule_id!r} is {stored.state.paused} already", schedule=schedule_id)
        if stored.state.next_tick is None:
            raise ConflictError(
                f"schedule {schedule_id!r} is finished: there is no tick left to pause", schedule=schedule_id
            )
        return Edit(_with(stored, paused=Pause(by, now, said)))

    return _kept(edit(store, schedule_id, now, make), schedule_id)


def resume(store: ScheduleStore, schedule_id: str, now: int) -> StoredSchedule:
    """Go on with the first tick after `now`; those that passed become one row, skipped as paused. ConflictError if it
    is not paused."""

    def make(stored: StoredSchedule, _rows: Sequence[TickRow]) -> Edit:
        if stored.state.paused is None:
            raise ConflictError(f"schedule {schedule_id!r} is not paused: it is {stored.status}", schedule=schedule_id)
        return resumed(stored, now)

    return _kept(edit(store, schedule_id, now, make), schedule_id)


def resumed(stored: StoredSchedule, now: int) -> Edit:
    """The edit that ends the pause of `stored`."""
    row, following = paused_row(stored, now)
    return Edit(_with_tick(_with(stored, paused=None), following), () if row is None else (row,))


def update(
    store: ScheduleStore,
    schedule_id: str,
    redefine: Callable[[Schedule], Schedule],
    now: int,
    tasks: Container[str] | None = None,
) -> StoredSchedule:
    """Change the definition. The next tick is kept unless the trigger differs, then it is the first one after `now`.
    Raises InvalidError, NeverFiresError, NotFoundError, ConflictError."""

    def make(stored: StoredSchedule, rows: Sequence[TickRow]) -> Edit | None:
        definition = redefine(stored.schedule)
        check_task(definition.target, tasks, schedule=schedule_id)
        return redefined(store, stored, definition, rows, now)

    return _kept(edit(store, schedule_id, now, make), schedule_id)


def redefined(
    store: ScheduleStore, stored: StoredSchedule, definition: Schedule, rows: Sequence[TickRow], now: int
) -> Edit | None:
    """The edit that gives `stored` another definition; None if it has that one already. rows: ledger rows decided, not
    yet stored. NeverFiresError if no tick of a new trigger will fire."""
    if definition == stored.schedule:
        return None
    changed, state = definition.trigger != stored.schedule.trigger, stored.state
    limit, old_limit = definition.max_executions, stored.schedule.max_executions
    written: tuple[TickRow, ...] = ()
    tick = None if state.next_tick is None else Tick(state.next_tick, state.next_skip)
    if changed and state.paused is not None:
        row, _ = paused_row(stored, now)
        written = () if row is None else (row,)
    if changed or (tick is None and old_limit is not None and state.fired >= old_limit):
        tick = _undecided(store, definition, (*rows, *written), now)
    if changed:
        check_fires(definition, tick, now)
    if limit is not None and state.fired >= limit:
        tick = None
    return Edit(_with_tick(StoredSchedule(definition, state), tick), written, redefined=True)


def _undecided(store: ScheduleStore, definition: Schedule, rows: Sequence[TickRow], now: int) -> Tick | None:
    """The first tick after `now` that the ledger does not hold: an engine decides some milliseconds ahead."""
    if isinstance(definition.trigger, At):
        tick = first_tick(definition.trigger, now)
        if tick is None or store.tick_at(definition.id, tick.at) is not None:
            return None
        return None if any(row.scheduled <= tick.at <= row.until for row in rows) else tick
    newest = store.ticks(definition.id, -EVER, EVER, 1, newest_first=True)
    return definition.trigger.next_tick(max([now, *(row.until for row in (*newest, *rows))]))


def delete(store: ScheduleStore, runs: RunStore, schedule_id: str, now: int) -> None:
    """Remove it and cancel its runs that are pending or held; running ones go on. Ledger and history stay."""

    def make(_stored: StoredSchedule, rows: Sequence[TickRow]) -> Edit:
        waiting = [key for state in ("pending", "held") for key in _keys(runs, schedule_id, state)]
        new = [RunKey(schedule_id, row.scheduled) for row in rows if row.outcome == "fired"]
        return Edit(None, cancel=tuple(dict.fromkeys([*waiting, *new])))

    edit(store, schedule_id, now, make)


def _keys(runs: RunStore, schedule_id: str, state: str) -> list[RunKey]:
    keys: list[RunKey] = []
    while True:
        page = runs.list(RunQuery(schedule_id, state, after=keys[-1] if keys else None, limit=_PAGE))
        keys += [RunKey(record.schedule_id, record.scheduled) for record in page]
        if len(page) < _PAGE:
            return keys


def trigger(store: ScheduleStore, runs: RunStore, schedule_id: str, payload: bytes | None, now: int) -> Run:
    """Run it now, whatever its pause, overlap policy and max_executions say, none of which it changes. The run is named
    for the first millisecond from `now` that no tick and no other run has. payload: JSON, or None for the schedule's
    own."""
    stored = find(store, schedule_id)
    at = now
    for _ in range(_PAGE):
        is_tick = stored.schedule.trigger.count_ticks(at - 1, at) > 0
        if not is_tick and store.tick_at(schedule_id, at) is None and runs.get(RunKey(schedule_id, at)) is None:
            body = stored.schedule.payload if payload is None else payload
            run = Run(schedule_id, at, now, stored.schedule.spec, body, recurring=True)
            try:
                runs.accept([run])
            except ExistsError:
                pass
            else:
                return run
        at += 1
    raise ConflictError(f"schedule {schedule_id!r} is triggered too often: no run id is free", schedule=schedule_id)


def _with(stored: StoredSchedule, *, paused: Pause | None) -> StoredSchedule:
    return StoredSchedule(stored.schedule, msgspec.structs.replace(stored.state, paused=paused))


def _with_tick(stored: StoredSchedule, tick: Tick | None) -> StoredSchedule:
    at, skip = (None, None) if tick is None else tick
    return StoredSchedule(stored.schedule, msgspec.structs.replace(stored.state, next_tick=at, next_skip=skip))
