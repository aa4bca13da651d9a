"""The set of wall-clock times of a cron expression, as rank and select: no time is walked over.

A local time is a count of seconds since 1970-01-01T00:00 on the wall. Days are a sorted tuple a year, times of day
a sorted tuple (or minutes and seconds apart where their product is large), so that "next", "previous" and "how many"
are bisections. An expression whose days can never come is known when it is built: its years are empty.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import Final

import msgspec

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2199
DAY: Final = 86_400
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_LENGTHS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_KEPT_YEARS = 8


class DayRule(msgspec.Struct, frozen=True):
    """Which days match. Days of the week count from Sunday = 0. `mode` says how the two halves combine."""

    mode: str
    """"month" or "week" (only that half counts), "both" or "either"."""
    years: tuple[int, ...]
    months: tuple[int, ...]
    days: tuple[int, ...] = ()
    nearest: tuple[int, ...] = ()
    """nW: the weekday nearest to day n, within its month."""
    from_end: tuple[tuple[int, bool], ...] = ()
    """L-n as (n, False), L-nW as (n, True)."""
    weekdays: tuple[int, ...] = ()
    nth: tuple[tuple[int, int], ...] = ()
    """(weekday, k): its k-th in the month."""
    last: tuple[int, ...] = ()


def _nearest_weekday(day: int, first: int, length: int) -> int:
    weekday = (first + day - 1) % 7
    if weekday == 6:
        return day - 1 if day > 1 else 3
    if weekday == 0:
        return day + 1 if day < length else day - 2
    return day


def days_of_month(rule: DayRule, first: int, length: int) -> tuple[int, ...]:
    """The matching days of a month of `length` days whose first day is weekday `first`."""
    by_month = {day for day in rule.days if day <= length}
    by_month |= {_nearest_weekday(day, first, length) for day in rule.nearest if day <= length}
    for back, on_weekday in rule.from_end:
        day = length - back
        if day >= 1:
            by_month.add(_nearest_weekday(day, first, length) if on_weekday else day)
    by_week = {day for day in range(1, length + 1) if (first + day - 1) % 7 in rule.weekdays}
    for weekday, k in rule.nth:
        day = 1 + (weekday - first) % 7 + 7 * (k - 1)
        if day <= length:
            by_week.add(day)
    for weekday in rule.last:
        day = 1 + (weekday - first) % 7
        by_week.add(day + (length - day) // 7 * 7)
    if rule.mode == "month":
        chosen = by_month
    elif rule.mode == "week":
        chosen = by_week
    else:
        chosen = by_month & by_week if rule.mode == "both" else by_month | by_week
    return tuple(sorted(chosen))


class Days:
    """The matching days as numbers since 1970-01-01."""

    def __init__(self, rule: DayRule) -> None:
        self._rule = rule
        self._months: dict[tuple[int, int], tuple[int, ...]] = {}
        lengths = {length for month in rule.months for length in ((28, 29) if month == 2 else (_LENGTHS[month],))}
        possible = any(days_of_month(rule, first, length) for length in lengths for first in range(7))
        self.years: Sequence[int] = rule.years if possible else ()
        self._years: dict[int, tuple[int, ...]] = {}
        self._recent: tuple[int, int, tuple[int, ...]] = (0, 0, ())
        self._later: tuple[int, int | None] | None = None

    def around(self, day: int) -> tuple[int, ...]:
        """All matching days of the year that holds `day`."""
        first, end, days = self._recent
        if first <= day < end:
            return days
        year = _year_of(day)
        days = self.of_year(year)
        first = date(year, 1, 1).toordinal() - _EPOCH_ORDINAL
        self._recent = (first, first + 365 + int(_leap(year)), days)
        return days

    def of_year(self, year: int) -> tuple[int, ...]:
        index = bisect_left(self.years, year)
        if index == len(self.years) or self.years[index] != year:
            return ()
        found = self._years.get(year)
        if found is None:
            found = self._list(year)
            if len(self._years) >= _KEPT_YEARS:
                self._years.clear()
            self._years[year] = found
        return found

    def next_after_year(self, day: int) -> int | None:
        """The first matching day of the years after the one that holds `day`."""
        # Leap days and the like ask the same year again and again; the answer is the same for the whole year.
        year = _year_of(day)
        known = self._later
        if known is None or known[0] != year:
            self._later = known = (year, self._first_after(year))
        return known[1]

    def _first_after(self, year: int) -> int | None:
        for later in self.years[bisect_right(self.years, year) :]:
            days = self.of_year(later)
            if days:
                return days[0]
        return None

    def last_before_year(self, day: int) -> int | None:
        for year in reversed(self.years[: bisect_left(self.years, _year_of(day))]):
            days = self.of_year(year)
            if days:
                return days[-1]
        return None

    def count(self, begin: int, end: int) -> int:
        """Matching days in [begin, end)."""
        if begin >= end:
            return 0
        first, last = _year_of(begin), _year_of(end)
        if first == last:
            days = self.around(begin)
            return bisect_left(days, end) - bisect_left(days, begin)
        days = self.of_year(first)
        total = len(days) - bisect_left(days, begin) + bisect_left(self.of_year(last), end)
        between = self.years[bisect_right(self.years, first) : bisect_left(self.years, last)]
        return total + sum(len(self.of_year(year)) for year in between)

    def _list(self, year: int) -> tuple[int, ...]:
        days: list[int] = []
        for month in self._rule.months:
            length = _LENGTHS[month] + int(month == 2 and _leap(year))
            base = date(year, month, 1).toordinal() - _EPOCH_ORDINAL
            shape = ((base + 4) % 7, length)
            numbers = self._months.get(shape)
            if numbers is None:
                numbers = self._months[shape] = days_of_month(self._rule, *shape)
            days.extend([base + number - 1 for number in numbers])
        return tuple(days)


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _year_of(day: int) -> int:
    return date.fromordinal(day + _EPOCH_ORDINAL).year


class Times:
    """Times of day in seconds since midnight: `minutes` x `seconds`, both sorted."""

    _LISTED = 1_440

    def __init__(self, minutes: tuple[int, ...], seconds: tuple[int, ...]) -> None:
        self._minutes, self._seconds = minutes, seconds
        self.size: int = len(minutes) * len(seconds)
        self.first: int = minutes[0] * 60 + seconds[0]
        self.last: int = minutes[-1] * 60 + seconds[-1]
        self.listed: tuple[int, ...] = (
            tuple(minute * 60 + second for minute in minutes for second in seconds) if self.size <= self._LISTED else ()
        )

    def rank(self, second_of_day: int) -> int:
        """How many times of day are before `second_of_day`."""
        if self.listed:
            return bisect_left(self.listed, second_of_day)
        minute, second = divmod(second_of_day, 60)
        index = bisect_left(self._minutes, minute)
        rank = index * len(self._seconds)
        if index < len(self._minutes) and self._minutes[index] == minute:
            rank += bisect_left(self._seconds, second)
        return rank

    def select(self, index: int) -> int:
        if self.listed:
            return self.listed[index]
        minute, second = divmod(index, len(self._seconds))
        return self._minutes[minute] * 60 + self._seconds[second]


class Wall:
    """All wall-clock times of an expression. Every argument and answer is in local seconds."""

    def __init__(self, days: Days, times: Times) -> None:
        self.days: Days = days
        self.times: Times = times

    def next(self, at: int) -> int | None:
        """The first time at or after `at`."""
        day, second = divmod(at, DAY)
        days = self.days.around(day)
        index = bisect_left(days, day)
        if index < len(days):
            found = days[index]
            if found != day:
                return found * DAY + self.times.first
            times = self.times
            listed = times.listed
            if listed:
                rank = bisect_left(listed, second)
                if rank < len(listed):
                    return day * DAY + listed[rank]
            else:
                rank = times.rank(second)
                if rank < times.size:
                    return day * DAY + times.select(rank)
            index += 1
            if index < len(days):
                return days[index] * DAY + times.first
        later = self.days.next_after_year(day)
        return None if later is None else later * DAY + self.times.first

    def previous(self, at: int) -> int | None:
        """The last time at or before `at`."""
        day, second = divmod(at, DAY)
        days = self.days.around(day)
        index = bisect_right(days, day) - 1
        if index >= 0:
            if days[index] != day:
                return days[index] * DAY + self.times.last
            rank = self.times.rank(second + 1)
            if rank:
                return day * DAY + self.times.select(rank - 1)
            if index:
                return days[index - 1] * DAY + self.times.last
        earlier = self.days.last_before_year(day)
        return None if earlier is None else earlier * DAY + self.times.last

    def count(self, begin: int, end: int) -> int:
        """How many times in [begin, end)."""
        if begin >= end:
            return 0
        return self._before(end, begin // DAY) - self._before(begin, begin // DAY)

    def _before(self, at: int, origin: int) -> int:
        day, second = divmod(at, DAY)
        total = self.days.count(origin, day) * self.times.size
        days = self.days.around(day)
        index = bisect_left(days, day)
        if index < len(days) and days[index] == day:
            total += self.times.rank(second)
        return total

    def holds(self, at: int) -> bool:
        return self.next(at) == at


@lru_cache(maxsize=512)
def shared_days(rule: DayRule) -> Days:
    """One `Days` for all expressions that differ only in their times of day."""
    return Days(rule)


@lru_cache(maxsize=2048)
def shared_times(hours: tuple[int, ...], minutes: tuple[int, ...], seconds: tuple[int, ...]) -> Times:
    return Times(tuple(hour * 60 + minute for hour in hours for minute in minutes), seconds)
