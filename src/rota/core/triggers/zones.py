"""A time zone as a list of segments: stretches of time with one offset from UTC.

Idea: inside a segment local time is plain arithmetic, so evaluating a schedule touches datetimes only where a
segment is discovered. `zoneinfo` does not publish its transitions; they are found by asking for the offset once a
day and bisecting where it changed, a year at a time, and kept for the life of the process. Segments also end with
the year, so that they tile time the same way whoever asks.

Limits: two changes within a day that cancel out go unseen. No zone has had such a day since 1970.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from rota.core.errors import InvalidError

DAY: Final = 86_400
_FIRST_YEAR, _LAST_YEAR = 1900, 2201
_BEGIN = int(datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC).timestamp())
_END = int(datetime(_LAST_YEAR, 1, 1, tzinfo=UTC).timestamp())
_FAR = 1 << 50
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


class Segment(NamedTuple):
    """UTC seconds [start, end) with one offset, and the offsets on both sides (the same at the turn of a year)."""

    start: int
    end: int
    offset: int
    before: int
    after: int


class Zone:
    """The segments of an IANA zone. Times are epoch seconds; local times are the same number with the offset added."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.info: ZoneInfo = zone_info(name)
        self._years: dict[int, tuple[list[int], list[Segment]]] = {}
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
        starts, segments = self._year(_year_of(at))
        return segments[bisect_right(starts, at) - 1]

    def _year(self, year: int) -> tuple[list[int], list[Segment]]:
        """The segments of a UTC year and where they start."""
        found = self._years.get(year)
        if found is None:
            begin, end = _start_of(year), _start_of(year + 1)
            starts = sorted({begin, *self._probe(begin, end)})
            segments = [
                Segment(start, stop, self._offset(start), self._offset(start - 1), self._offset(stop))
                for start, stop in zip(starts, [*starts[1:], end], strict=True)
            ]
            found = self._years[year] = (starts, segments)
        return found

    def _probe(self, begin: int, end: int) -> list[int]:
        """Where the offset changes in [begin, end)."""
        changes: list[int] = []
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
        return changes

    def _offset(self, at: int) -> int:
        offset = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at)).astimezone(self.info).utcoffset()
        return 0 if offset is None else offset.days * DAY + offset.seconds


def _year_of(at: int) -> int:
    return date.fromordinal(at // DAY + _EPOCH_ORDINAL).year


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
