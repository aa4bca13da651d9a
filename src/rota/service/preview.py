"""Use case: what an update would change, before anybody makes it.

The ticks that fire under both definitions are walked side by side over the next year. A tick that goes and one that
comes with no tick that stays between them are one tick that moved.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from rota.core.schedule import Schedule, StoredSchedule
from rota.core.triggers.instants import to_datetime
from rota.ports.schedules import ScheduleStore
from rota.service.schedules import check_task, redefined

YEAR = 365 * 86_400_000
WALKED = 100_000
"""Ticks of each definition that are compared at most."""


class UpdatePlan(msgspec.Struct, frozen=True):
    """What an update changes. fields: those that differ. added, removed, moved: how many ticks that fire, from `start`
    to `until`, which is a year later, or less where a definition has more ticks than are compared. *_examples: the
    first of them, in the new trigger's zone. before_count, after_count: ticks in the whole year (where it was not
    compared as a whole, those are included that an exclusion skips)."""

    before: Schedule
    after: Schedule
    fields: tuple[str, ...]
    start: datetime
    until: datetime
    added: int = 0
    removed: int = 0
    moved: int = 0
    added_examples: tuple[datetime, ...] = ()
    removed_examples: tuple[datetime, ...] = ()
    moved_examples: tuple[tuple[datetime, datetime], ...] = ()
    before_count: int = 0
    after_count: int = 0


def preview(
    store: ScheduleStore,
    stored: StoredSchedule,
    definition: Schedule,
    now: int,
    tasks: Container[str] | None = None,
    examples: int = 5,
) -> UpdatePlan:
    """The plan for giving `stored` another definition at `now`. Raises what the update would raise."""
    check_task(definition.target, tasks, schedule=stored.id)
    edit = redefined(store, stored, definition, (), now)
    after = stored if edit is None or edit.after is None else edit.after
    walks = _Walk(stored, now), _Walk(after, now)
    until = min(walk.until for walk in walks)
    zone = ZoneInfo(definition.trigger.timezone)
    differences = _compare([at for at in walks[0].ticks if at <= until], [at for at in walks[1].ticks if at <= until])
    gone, come = [old for old, new in differences if new is None], [new for old, new in differences if old is None]
    moves = [(old, new) for old, new in differences if old is not None and new is not None]

    def shown(at: int | None) -> datetime:
        assert at is not None
        return to_datetime(at, zone)

    return UpdatePlan(
        stored.schedule,
        definition,
        tuple(
            name for name in Schedule.__struct_fields__ if getattr(stored.schedule, name) != getattr(definition, name)
        ),
        shown(now),
        shown(until),
        len(come),
        len(gone),
        len(moves),
        tuple(shown(at) for at in come[:examples]),
        tuple(shown(at) for at in gone[:examples]),
        tuple((shown(old), shown(new)) for old, new in moves[:examples]),
        walks[0].count,
        walks[1].count,
    )


class _Walk:
    """The ticks of a schedule that fire in the year after `now`, as far as they are walked; count: in the whole
    year."""

    def __init__(self, stored: StoredSchedule, now: int) -> None:
        self.until = now + YEAR
        self.ticks: list[int] = []
        left = stored.schedule.max_executions
        most = None if left is None else max(0, left - stored.state.fired)
        for walked, (at, fires) in enumerate(_ticks(stored, now, self.until)):
            if most is not None and len(self.ticks) >= most:
                break
            if walked == WALKED:
                self.until = at - 1
                break
            if fires:
                self.ticks.append(at)
        self.count = len(self.ticks)
        if self.until < now + YEAR:
            rest = stored.schedule.trigger.count_ticks(self.until, now + YEAR)
            self.count += rest if most is None else min(rest, most - self.count)


def _ticks(stored: StoredSchedule, now: int, until: int) -> Iterator[tuple[int, bool]]:
    following, trigger = stored.state.next_tick, stored.schedule.trigger
    if following is None:
        return
    tick = trigger.next_tick(max(following - 1, now))
    while tick is not None and tick.at <= until:
        yield tick.at, tick.skip is None
        tick = trigger.next_tick(tick.at)


def _compare(before: list[int], after: list[int]) -> list[tuple[int | None, int | None]]:
    """The differences in order of time: (old, None) goes, (None, new) comes, (old, new) moves."""
    common = set(before) & set(after)
    found: list[tuple[int | None, int | None]] = []
    open_to_pair = False
    for at, side in sorted([(at, 0) for at in before] + [(at, 1) for at in after if at not in common]):
        if at in common:
            open_to_pair = False
            continue
        other = found[-1][1 - side] if open_to_pair else None
        if other is not None and found[-1][side] is None:
            found[-1] = (other, at) if side else (at, other)
            open_to_pair = False
        else:
            found.append((None, at) if side else (at, None))
            open_to_pair = True
    return found
