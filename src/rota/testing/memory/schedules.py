"""Schedules and their tick ledger in memory."""

from __future__ import annotations

import builtins
from collections.abc import Sequence

import msgspec

from rota.core.errors import ExistsError
from rota.core.firing import OpenRuns
from rota.core.schedule import Change, StoredSchedule, TickRow
from rota.ports.schedules import ScheduleQuery
from rota.testing.memory.state import MemoryState


class MemoryScheduleStore:
    """A `ScheduleStore` that lasts as long as its state."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    def create(self, rows: Sequence[StoredSchedule]) -> None:
        with self._state.lock:
            new: dict[str, StoredSchedule] = {}
            for row in rows:
                if row.id in self._state.schedules or row.id in new:
                    raise ExistsError("schedule", row.id)
                new[row.id] = row
            self._state.schedules.update(new)

    def get(self, ids: Sequence[str]) -> builtins.list[StoredSchedule]:
        with self._state.lock:
            return [self._state.schedules[one] for one in ids if one in self._state.schedules]

    def list(self, query: ScheduleQuery) -> builtins.list[StoredSchedule]:
        with self._state.lock:
            rows = sorted(self._state.schedules.values(), key=lambda row: row.id)
        return [row for row in rows if _matches(row, query)][: query.limit]

    def due(self, until: int, limit: int, after: tuple[int, str] | None = None) -> builtins.list[StoredSchedule]:
        with self._state.lock:
            rows = [
                (at, row.id, row) for row in self._state.schedules.values() if (at := _active_tick(row)) is not None
            ]
        rows.sort(key=lambda one: one[:2])
        return [row for at, name, row in rows if at <= until and (after is None or (at, name) > after)][:limit]

    def next_due(self) -> int | None:
        with self._state.lock:
            ticks = [_active_tick(row) for row in self._state.schedules.values()]
        return min((at for at in ticks if at is not None), default=None)

    def open_runs(self, ids: Sequence[str]) -> dict[str, OpenRuns]:
        with self._state.lock:
            found = {}
            for one in ids:
                runs = self._state.open.get(one)
                if runs:
                    ordered = [runs[at].run for at in sorted(runs)]
                    held = tuple(run.key for run in ordered if run.held)
                    found[one] = OpenRuns(tuple(run.key for run in ordered), held)
            return found

    def apply(self, changes: Sequence[Change]) -> builtins.list[bool]:
        with self._state.lock:
            return [self._apply(change) for change in changes]

    def _apply(self, change: Change) -> bool:
        state = self._state
        stored = state.schedules.get(change.schedule_id)
        if stored is None or stored.state.version != change.version:
            return False
        if change.after is None:
            del state.schedules[change.schedule_id]
        elif change.redefined:
            state.schedules[change.schedule_id] = change.after
        else:
            state.schedules[change.schedule_id] = msgspec.structs.replace(stored, state=change.after.state)
        if change.ticks:
            ledger = state.ticks.setdefault(change.schedule_id, {})
            ledger.update((row.scheduled, row) for row in change.ticks)
        for run in change.runs:
            # An open run with this id is this run: a second copy of it would run the tick twice.
            if state.find(run.key) is None:
                state.admit(run)
        for key in change.cancel:
            state.cancel(key, change.at)
        state.release(change.schedule_id)
        return True

    def ticks(
        self, schedule_id: str, start: int, end: int, limit: int, *, newest_first: bool = False
    ) -> builtins.list[TickRow]:
        with self._state.lock:
            rows = list(self._state.ticks.get(schedule_id, {}).values())
        rows.sort(key=lambda row: row.scheduled, reverse=newest_first)
        return [row for row in rows if row.scheduled <= end and row.until >= start][:limit]

    def tick_at(self, schedule_id: str, at: int) -> TickRow | None:
        rows = self.ticks(schedule_id, at, at, 1, newest_first=True)
        return rows[0] if rows else None

    def forget_ticks(self, before: int, limit: int) -> int:
        with self._state.lock:
            old = [row for ledger in self._state.ticks.values() for row in ledger.values() if row.until < before]
            old = sorted(old, key=lambda row: row.scheduled)[:limit]
            for row in old:
                del self._state.ticks[row.schedule_id][row.scheduled]
            return len(old)


def _active_tick(row: StoredSchedule) -> int | None:
    return None if row.state.paused is not None else row.state.next_tick


def _matches(row: StoredSchedule, query: ScheduleQuery) -> bool:
    schedule = row.schedule
    if query.search is not None:
        text = query.search.casefold()
        if text not in schedule.id.casefold() and text not in schedule.description.casefold():
            return False
    return (
        (query.after is None or row.id > query.after)
        and (query.tag is None or query.tag in schedule.tags)
        and (query.status is None or query.status == row.status)
        and (query.owner is None or query.owner == schedule.owner)
    )
