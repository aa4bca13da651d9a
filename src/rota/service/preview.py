"""Use case: what an update would change, before anybody makes it.

The ticks that fire under both definitions are walked side by side over the next year. A tick that goes and one that
comes with no tick that stays between them are one tick that moved.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from rota.core.schedule import Schedule, StoredSchedule
from rota.core.triggers.instants import to_datetime
from rota.ports.schedules import ScheduleStore
from rota.service.schedules import check_task, redefined

YEAR = 365 * 86_400_000
WALKED = 530_000
"""Ticks of each definition that are compared at most: those of a whole year, once a minute. That takes two seconds."""


class UpdatePlan(msgspec.Struct, frozen=True):
    """What an update changes. fields: those that differ. added, removed, moved: how many ticks that fire, from `start`
    to `until`, which is a year later, or less where a definition has more ticks than are compared. *_examples: the
    first of them, in the new trigger's zone. before_count, after_count: ticks in the whole year (where it was not
    compared as a whole, those are included that an exclusion skips). complete: the whole year was compared."""

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
    complete: bool = True


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
    until, counts, changed = _compared(stored, after, now, examples)
    zone = ZoneInfo(definition.trigger.timezone)

    def shown(at: int) -> datetime:
        return to_datetime(at, zone)

    return UpdatePlan(
        stored.schedule,
        definition,
        tuple(
            name for name in Schedule.__struct_fields__ if getattr(stored.schedule, name) != getattr(definition, name)
        ),
        shown(now),
        shown(until),
        changed.added,
        changed.removed,
        changed.moved,
        tuple(shown(at) for at in changed.come),
        tuple(shown(at) for at in changed.gone),
        tuple((shown(old), shown(new)) for old, new in changed.moves),
        counts[0],
        counts[1],
        until == now + YEAR,
    )


class _Walk:
    """The ticks of a schedule that fire in the year after `now`, in order. until: as far as they are known; it comes
    nearer when `WALKED` is reached."""

    def __init__(self, stored: StoredSchedule, now: int) -> None:
        self._trigger = stored.schedule.trigger
        self.until = now + YEAR
        most = stored.schedule.max_executions
        self._left = None if most is None else max(0, most - stored.state.fired)
        following = stored.state.next_tick
        self._after = None if following is None else max(following - 1, now)

    def ticks(self) -> Iterator[int]:
        if self._after is None:
            return
        end, at, fired = self.until, self._after, 0
        for walked in itertools.count():
            if fired == self._left:
                return
            tick = self._trigger.next_tick(at)
            if tick is None or tick.at > end:
                return
            at = tick.at
            if walked == WALKED:
                self.until = at - 1
                return
            if tick.skip is None:
                fired += 1
                yield at

    def counted(self, known: int, until: int, end: int) -> int:
        """How many there are up to `end`, were none of those after `until` excluded. known: those up to `until`."""
        rest = 0 if self._after is None else self._trigger.count_ticks(max(until, self._after), end)
        return known + (rest if self._left is None else min(rest, self._left - known))


class _Changed:
    """The differences, told in order of time: how many, and the first of them."""

    def __init__(self, examples: int) -> None:
        self._examples = examples
        self._open: tuple[int, int] | None = None
        self.added = self.removed = self.moved = 0
        self.come: list[int] = []
        self.gone: list[int] = []
        self.moves: list[tuple[int, int]] = []

    def tell(self, at: int, side: int) -> None:
        """A tick that only one definition has. side: 0 the one before, 1 the one after."""
        if self._open is None or self._open[1] == side:
            self.settle()
            self._open = (at, side)
            return
        self.moved += 1
        if len(self.moves) < self._examples:
            self.moves.append((at, self._open[0]) if side == 0 else (self._open[0], at))
        self._open = None

    def settle(self) -> None:
        """Nothing that comes after stands for the last difference any more: there is a tick that stays, or the end."""
        if self._open is None:
            return
        at, side = self._open
        self._open = None
        if side:
            self.added += 1
        else:
            self.removed += 1
        shown = self.come if side else self.gone
        if len(shown) < self._examples:
            shown.append(at)


def _compared(
    before: StoredSchedule, after: StoredSchedule, now: int, examples: int
) -> tuple[int, tuple[int, int], _Changed]:
    """Until when they were compared, how many ticks each has in the year, and what differs. Nothing is gathered: both
    walks go side by side."""
    changed, end = _Changed(examples), now + YEAR
    walks = _Walk(before, now), _Walk(after, now)
    streams = walks[0].ticks(), walks[1].ticks()
    old, new = next(streams[0], None), next(streams[1], None)
    seen = [0, 0]
    while old is not None or new is not None:
        at = min(at for at in (old, new) if at is not None)
        if at > walks[0].until or at > walks[1].until:
            break
        if old == new:
            changed.settle()
        else:
            changed.tell(at, 0 if old == at else 1)
        if old == at:
            seen[0] += 1
            old = next(streams[0], None)
        if new == at:
            seen[1] += 1
            new = next(streams[1], None)
    changed.settle()
    until = min(walk.until for walk in walks)
    if until < end:
        seen = [walk.counted(known, until, end) for known, walk in zip(seen, walks, strict=True)]
    return until, (seen[0], seen[1]), changed
