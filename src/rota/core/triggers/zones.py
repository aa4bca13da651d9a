"""A time zone as a list of segments: stretches of time with one offset from UTC.

Idea: inside a segment local time is plain arithmetic, so evaluating a schedule touches datetimes only where a
segment is discovered. `zoneinfo` does not publish its transitions; they are found by asking for the offset once a
day and bisecting where it changed, a year at a time, and kept for the life of the process.

Limits: two changes within a day that cancel out go unseen. No zone has had such a day since 1970.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from rota.core.errors import InvalidError

DAY: Final = 86_400
_FIRST_YEAR, _LAST_YEAR = 1900, 2201
_BEGIN = int(datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC).timestamp())
_END = int(datetime(_LAST_YEAR, 1, 1, tzinfo=UTC).timestamp())
_FAR = 1 << 50


class Segment(NamedTuple):
    """UTC seconds [start, end) with one offset, and the offsets on both sides (its own where there is no change)."""

    start: int
    end: int
    offset: int
    before: int
    after: int


class Zone:
    """The segments of an IANA zone. Times are epoch seconds; local times are the same number with the offset added."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.info = zone_info(name)
        self._changes: dict[int, tuple[int, ...]] = {}
        self._recent = self._find(_BEGIN)

    def segment(self, at: int) -> Segment:
        recent = self._recent
        if recent.start <= at < recent.end:
            return recent
        self._recent = found = self._find(at)
        return found

    def to_local(self, at: int) -> int:
        return at + self.segment(at).offset

    def first_instant(self, local: int) -> int:
        """The first instant whose local time is `local` or later: a repeated time's first pass, a gap's end."""
        segment = self.segment(local - 2 * DAY)
        while segment.end + segment.offset <= local:
            segment = self.segment(segment.end)
        return max(segment.start, local - segment.offset)

    def _find(self, at: int) -> Segment:
        if self.name == "UTC" or self.name.startswith("Etc/"):
            offset = self._offset(0)
            return Segment(-_FAR, _FAR, offset, offset, offset)
        if at < _BEGIN:
            offset = self._offset(_BEGIN)
            return Segment(-_FAR, _BEGIN, offset, offset, offset)
        if at >= _END:
            offset = self._offset(_END)
            return Segment(_END, _FAR, offset, offset, offset)
        year = min(_FIRST_YEAR + int((at - _BEGIN) // (365.2425 * DAY)), _LAST_YEAR - 1)
        start, end = _BEGIN, _END
        for earlier in range(year + 1, _FIRST_YEAR - 1, -1):
            changes = self._year(earlier)
            index = bisect_right(changes, at)
            if index < len(changes):
                end = changes[index]
            if index:
                start = changes[index - 1]
                break
            # A zone without changes costs a probe a day for every year walked; a few years say enough about a
            # stretch of time, and a boundary where the offset stays the same is harmless.
            if earlier <= year - 2:
                start = _start_of(earlier)
                break
        if end == _END and year + 2 < _LAST_YEAR:
            later = self._year(year + 2)
            end = later[0] if later else _start_of(year + 3)
        offset = self._offset(start)
        return Segment(
            start, end, offset,
            self._offset(start - 1) if start > _BEGIN else offset,
            self._offset(end) if end < _END else offset,
        )  # fmt: skip

    def _year(self, year: int) -> tuple[int, ...]:
        """The changes of offset within a UTC year."""
        found = self._changes.get(year)
        if found is None:
            found = self._changes[year] = self._probe(_start_of(year), _start_of(year + 1))
        return found

    def _probe(self, begin: int, end: int) -> tuple[int, ...]:
        changes = []
        before = self._offset(begin - 1)
        for day in range(begin, end, DAY):
            last = min(day + DAY, end) - 1
            after = self._offset(last)
            if after != before:
                low, high = day - 1, last
                while high - low > 1:
                    middle = (low + high) // 2
                    low, high = (middle, high) if self._offset(middle) == before else (low, middle)
                changes.append(high)
                before = after
        return tuple(changes)

    def _offset(self, at: int) -> int:
        offset = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at)).astimezone(self.info).utcoffset()
        return 0 if offset is None else offset.days * DAY + offset.seconds


def _start_of(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp())


def zone_info(name: object) -> ZoneInfo:
    """The zone of an IANA name; InvalidError where there is none."""
    allowed = 'use an IANA name such as "Europe/Berlin", "America/New_York" or "UTC"'
    if not isinstance(name, str) or not 0 < len(name) <= 100 or name.startswith(("/", ".")):
        raise InvalidError("timezone", name, allowed)
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InvalidError("timezone", name, allowed) from None


@lru_cache(maxsize=1024)
def zone(name: str) -> Zone:
    """The one `Zone` of a name: its segments are found once for all triggers."""
    return Zone(name)
