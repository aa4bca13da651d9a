"""Use case: at the start of an engine, make the stored schedules of an app those that it declares.

Unchanged definitions keep their state. What the app no longer declares is paused and reported, never silently kept or
lost; declared again, it goes on.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

import msgspec

from rota.core.errors import ConflictError
from rota.core.schedule import Pause, Schedule, StoredSchedule, TickRow, new_schedule
from rota.ports.runs import RunStore
from rota.ports.schedules import ScheduleQuery, ScheduleStore
from rota.service.schedules import Edit, check_task, create, delete, edit, pause, redefined, resumed

BY = "rota"
_PAGE = 1000


class SyncReport(msgspec.Struct, frozen=True):
    """Ids of schedules. unchanged: kept with their state. orphaned: stored for this app but no longer declared, and
    therefore paused. deleted: the same, but pruned. resumed: of unchanged and updated ones, those that had been
    orphaned before."""

    created: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    orphaned: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    resumed: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [f"{len(ids)} {name}" for name in self.__struct_fields__ if (ids := getattr(self, name))]
        return ", ".join(parts) or "no schedules declared"


def sync(
    store: ScheduleStore,
    runs: RunStore,
    owner: str,
    declared: Sequence[Schedule],
    now: int,
    *,
    tasks: Container[str] | None = None,
    prune: bool = False,
) -> SyncReport:
    """Store what the app `owner` declares. prune: delete what it no longer declares instead of pausing it. All is
    checked before anything is stored: InvalidError, NeverFiresError, ConflictError for an id that belongs to another
    app or was made by hand."""
    wanted = {schedule.id: schedule for schedule in declared}
    stored = {row.id: row for row in store.get(list(wanted))}
    for schedule in declared:
        check_task(schedule.target, tasks, schedule=schedule.id)
        row = stored.get(schedule.id)
        if row is None:
            new_schedule(schedule, now)
            continue
        if row.schedule.owner != owner:
            whose = f"belongs to app {row.schedule.owner!r}" if row.schedule.owner else "was made by hand"
            raise ConflictError(
                f"app {owner!r} declares schedule {schedule.id!r}, but the stored one {whose}; "
                "delete that one, or choose another id",
                schedule=schedule.id,
            )
        redefined(store, row, schedule, (), now)
    new = [schedule for schedule in declared if schedule.id not in stored]
    create(store, new, now)
    updated: list[str] = []
    unchanged: list[str] = []
    back: list[str] = []
    for name, row in stored.items():
        orphaned = _is_orphan(row, owner)
        if row.schedule == wanted[name] and not orphaned:
            unchanged.append(name)
            continue
        (unchanged if row.schedule == wanted[name] else updated).append(name)
        if orphaned:
            back.append(name)
        _adopt(store, wanted[name], now)
    orphans = _orphans(store, owner, wanted)
    for row in orphans:
        if prune:
            delete(store, runs, row.id, now)
        elif row.status == "active":
            pause(store, row.id, BY, _reason(owner), now)
    gone = tuple(row.id for row in orphans)
    return SyncReport(
        tuple(schedule.id for schedule in new),
        tuple(updated),
        tuple(unchanged),
        () if prune else gone,
        gone if prune else (),
        tuple(back),
    )


def _adopt(store: ScheduleStore, wanted: Schedule, now: int) -> None:
    """Give the stored schedule the declared definition, and end the pause that being orphaned brought."""

    def make(stored: StoredSchedule, rows: Sequence[TickRow]) -> Edit | None:
        first = resumed(stored, now) if _is_orphan(stored, wanted.owner) else Edit(stored)
        assert first.after is not None
        second = redefined(store, first.after, wanted, (*rows, *first.ticks), now)
        if second is None:
            return first if first.after is not stored else None
        return Edit(second.after, (*first.ticks, *second.ticks), redefined=True)

    edit(store, wanted.id, now, make)


def _orphans(store: ScheduleStore, owner: str, wanted: Container[str]) -> list[StoredSchedule]:
    found: list[StoredSchedule] = []
    after: str | None = None
    while True:
        page = store.list(ScheduleQuery(owner=owner, after=after, limit=_PAGE))
        found += [row for row in page if row.id not in wanted]
        if len(page) < _PAGE:
            return found
        after = page[-1].id


def _reason(owner: str) -> str:
    return f"no longer declared in app {owner!r}"


def _is_orphan(stored: StoredSchedule, owner: str) -> bool:
    paused: Pause | None = stored.state.paused
    return paused is not None and paused.by == BY and paused.reason == _reason(owner)
