"""Excluded dates: their text forms, and the fast question whether an instant falls on one.

An exclusion is one of
    2026-12-25                   a date in the trigger's zone
    2026-12-24/2027-01-06        dates, both ends included
    2026-12-25T10:00:00+01:00    one instant
Reading files is for `rota.connectors.calendar`; here text comes in and plain values go out.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import date, datetime
from functools import lru_cache
from typing import Final

from rota.core.errors import InvalidError
from rota.core.triggers.instants import aware, to_ms
from rota.core.triggers.zones import DAY, zone

Exclusion = str | date | datetime | tuple[date | str, date | str]
MOST: Final = 10_000
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_ALLOWED = 'give dates ("2026-12-25"), ranges ("2026-12-24/2027-01-06") or instants ("2026-12-25T10:00:00+01:00")'


class Exclusions:
    """Excluded days of a zone as sorted, disjoint ranges of day numbers, and single instants."""

    def __init__(self, texts: tuple[str, ...], timezone: str) -> None:
        self._zone = zone(timezone)
        self._instants = frozenset(to_ms(datetime.fromisoformat(text)) for text in texts if "T" in text)
        starts: list[int] = []
        ends: list[int] = []
        for first, last in sorted(_days(text) for text in texts if "T" not in text):
            if ends and first <= ends[-1] + 1:
                ends[-1] = max(ends[-1], last)
            else:
                starts.append(first)
                ends.append(last)
        self._starts, self._ends = starts, ends

    def holds(self, at: int) -> bool:
        return at in self._instants or self._days_around(at) is not None

    def end_of(self, at: int) -> int:
        """The last millisecond before the first day after the excluded range that holds `at`; at least `at`."""
        days = self._days_around(at)
        return at if days is None else max(at, self._zone.first_instant((days[1] + 1) * DAY) * 1000 - 1)

    def start_of(self, at: int) -> int:
        """The first millisecond of the excluded range that holds `at`; at most `at`."""
        days = self._days_around(at)
        return at if days is None else min(at, self._zone.first_instant(days[0] * DAY) * 1000)

    def _days_around(self, at: int) -> tuple[int, int] | None:
        day = self._zone.to_local(at // 1000) // DAY
        index = bisect_right(self._starts, day) - 1
        return (self._starts[index], self._ends[index]) if index >= 0 and day <= self._ends[index] else None


@lru_cache(maxsize=512)
def compiled_exclusions(texts: tuple[str, ...], timezone: str) -> Exclusions:
    return Exclusions(texts, timezone)


def normal(exclude: object) -> tuple[str, ...]:
    """The stored form of what a constructor was given. InvalidError names the entry that is wrong."""
    if isinstance(exclude, str) or not isinstance(exclude, Iterable):
        raise InvalidError("exclude", exclude, f"{_ALLOWED}, in a list")
    texts: list[str] = []
    for entry in exclude:
        if len(texts) == MOST:
            raise InvalidError("exclude", f"{MOST + 1} entries", f"at most {MOST} entries are allowed; use ranges")
        texts.append(_normal_entry(entry))
    return tuple(texts)


def parse_dates(text: str) -> tuple[str, ...]:
    """The exclusions of a text file: one a line, `#` begins a comment."""
    lines = (line.partition("#")[0].strip() for line in text.removeprefix("\ufeff").splitlines())
    return normal([line for line in lines if line])


def _normal_entry(entry: object) -> str:
    if isinstance(entry, datetime):
        return aware("exclude", entry).isoformat()
    if isinstance(entry, date):
        return entry.isoformat()
    if isinstance(entry, str):
        if "/" in entry:
            return _range(entry, *entry.split("/", 1))
        return aware("exclude", entry).isoformat() if len(entry) > 10 else _date(entry, entry).isoformat()
    if isinstance(entry, tuple | list) and len(entry) == 2:
        return _range(entry, entry[0], entry[1])
    raise InvalidError("exclude", entry, _ALLOWED)


def _range(entry: object, first: object, last: object) -> str:
    begin, end = _date(entry, first), _date(entry, last)
    if end < begin:
        raise InvalidError("exclude", entry, "a range does not end before it starts")
    return f"{begin.isoformat()}/{end.isoformat()}"


def _date(entry: object, value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        if isinstance(value, str):
            return date.fromisoformat(value.strip())
    except ValueError:
        pass
    raise InvalidError("exclude", entry, _ALLOWED)


def _days(text: str) -> tuple[int, int]:
    first, _, last = text.partition("/")
    begin = date.fromisoformat(first).toordinal() - _EPOCH_ORDINAL
    return begin, date.fromisoformat(last).toordinal() - _EPOCH_ORDINAL if last else begin
