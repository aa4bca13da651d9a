"""Wall-clock times to instants: what a cron expression means where clocks are put forward or back.

Idea. A zone is a list of segments with one offset (`zones`); a daylight rule says which local times of a segment
count, and whether a change of clocks is itself a tick. Everything else is bisection in the wall pattern.

    clocks forward (gap):  local  01:59 -> 03:00     the times between never come
    clocks back (overlap): local  02:59 -> 02:00     the times between come twice

    reading      gap                                   overlap
    ELAPSED      nothing is missed, nothing fires      both passes           standard, sub-daily
    FIRST_MOVED  one tick at the gap's end             first pass only       standard, fixed-time
    FIRST        one tick at its end, skipped          first pass only       aws
    SECOND       one tick at its end, skipped          second pass only      quartz

A skipped tick gives way to an ordinary one at the same instant. Overlap handling is a cut: FIRST starts a segment's
local times where those of the segment before ended, SECOND ends them where those of the next begin.

Far jumps. Between two ticks that are years apart nothing is walked: once the next wall time is known, the search
continues in the segment two days before it (no offset, and no gap, is larger than that).
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import Literal, NamedTuple

from rota.core.triggers.dialects import Dialect, Pattern, parse
from rota.core.triggers.wall import Wall, shared_days, shared_times
from rota.core.triggers.zones import DAY, Segment, Zone, zone

Daylight = Literal["standard", "quartz", "aws"]
_MARGIN = 2 * DAY


class Reading(Enum):
    ELAPSED = "elapsed"
    FIRST_MOVED = "first, moved"
    FIRST = "first"
    SECOND = "second"


class Instant(NamedTuple):
    """A tick in epoch seconds; `missed` where it stands for wall times lost in a gap."""

    at: int
    missed: bool


class Evaluator:
    """The ticks of a pattern in a zone. Arguments and answers are epoch seconds."""

    def __init__(self, pattern: Pattern, where: Zone, dst: Daylight) -> None:
        self.pattern: Pattern = pattern
        self.zone: Zone = where
        self.wall: Wall = Wall(shared_days(pattern.days), shared_times(pattern.hours, pattern.minutes, pattern.seconds))
        self.reading: Reading = {
            "standard": Reading.ELAPSED if pattern.sub_daily else Reading.FIRST_MOVED,
            "aws": Reading.FIRST,
            "quartz": Reading.SECOND,
        }[dst]
        self._cuts_start = self.reading in {Reading.FIRST_MOVED, Reading.FIRST}
        self._cuts_end = self.reading is Reading.SECOND

    def next(self, at: int) -> Instant | None:
        """The first tick at or after `at`."""
        segment = self.zone.segment(at)
        start, end, offset, before, after = segment
        if at == start and (moved := self._at_change(segment)):
            return moved
        bound = at + offset
        if self._cuts_start and before > offset:
            bound = max(bound, start + before)
        found = self.wall.next(bound)
        if found is not None and found < (end + after if self._cuts_end and after < offset else end + offset):
            return Instant(found - offset, missed=False)
        return self._next_beyond(segment, bound, found)

    def _next_beyond(self, segment: Segment, bound: int, found: int | None) -> Instant | None:
        while True:
            # An overlap ahead brings back wall times that `found`, computed from `bound`, has left behind.
            following = self.zone.segment(segment.end)
            low, high = self._range(following)
            if following.start <= segment.start:
                return None
            if moved := self._at_change(following):
                return moved
            if low >= bound:
                if found is None:
                    return None
                if found - _MARGIN > following.end:
                    following = self.zone.segment(found - _MARGIN)
                    low, high = self._range(following)
            bound = low
            found = self.wall.next(bound)
            if found is not None and found < high:
                return Instant(found - following.offset, missed=False)
            segment = following

    def previous(self, at: int) -> Instant | None:
        """The last tick at or before `at`."""
        segment = self.zone.segment(at)
        low, high = self._range(segment)
        top = min(at + segment.offset, high - 1)
        while True:
            found = self.wall.previous(top)
            if found is not None and found >= low:
                return Instant(found - segment.offset, missed=False)
            if moved := self._at_change(segment):
                return moved
            earlier = self.zone.segment(segment.start - 1)
            if earlier.start >= segment.start:
                return None
            low, high = self._range(earlier)
            if high - 1 <= top:
                if found is None:
                    return None
                if found + _MARGIN < earlier.start:
                    earlier = self.zone.segment(found + _MARGIN)
                    low, high = self._range(earlier)
            segment, top = earlier, high - 1

    def count(self, first: int, last: int) -> int:
        """How many ticks in [first, last]."""
        total = 0
        at = first
        while at <= last:
            segment = self.zone.segment(at)
            low, high = self._range(segment)
            total += self.wall.count(max(low, at + segment.offset), min(high, last + segment.offset + 1))
            if at == segment.start and self._at_change(segment):
                # Where an ordinary tick stands at the same instant it has been counted already.
                total += not (low <= at + segment.offset < high and self.wall.holds(at + segment.offset))
            at = segment.end
        return total

    def _range(self, segment: Segment) -> tuple[int, int]:
        """The local times [low, high) of a segment that count."""
        start, end, offset, before, after = segment
        low = start + (max(before, offset) if self._cuts_start else offset)
        high = end + (min(after, offset) if self._cuts_end else offset)
        return low, high

    def _at_change(self, segment: Segment) -> Instant | None:
        """The tick that stands for wall times lost in the gap at the segment's start."""
        start, _, offset, before, _ = segment
        if before >= offset or self.reading is Reading.ELAPSED:
            return None
        lost = self.wall.next(start + before)
        if lost is None or lost >= start + offset:
            return None
        ordinary = self.wall.holds(start + offset)
        return Instant(start, missed=self.reading is not Reading.FIRST_MOVED and not ordinary)


@lru_cache(maxsize=4096)
def compiled(text: str, dialect: Dialect, timezone: str, dst: Daylight) -> Evaluator:
    """One evaluator for all triggers that say the same; InvalidError where the text or the zone is wrong."""
    return Evaluator(parse(text, dialect), zone(timezone), dst)
