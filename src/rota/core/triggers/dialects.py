"""Cron text to its days and times of day, one function a dialect.

quartz   second minute hour day-of-month month day-of-week [year]; Sunday is 1; one of the two days is `?`
aws      minute hour day-of-month month day-of-week year, bare or in cron(...); Sunday is 1; one of the two days is `?`
unix     minute hour day-of-month month day-of-week, or @daily and kin; Sunday is 0 or 7; Vixie's day rule: if one of
         the two days starts with `*` both must match, otherwise either

Lists with L and W in day-of-month (1,15W,L) mean each of their items, as in Quartz 2.5; Quartz 2.3 refuses L in a
list and reads only the smallest day of a list with W.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from rota.core.errors import InvalidError
from rota.core.triggers.fields import MONTHS, WEEKDAYS, Limits, Numbers, item_numbers, numbers
from rota.core.triggers.wall import FIRST_YEAR, LAST_YEAR, DayRule

Dialect = Literal["quartz", "unix", "aws"]
LONGEST_TEXT: Final = 1_000

_SECOND = Limits("second", 0, 59)
_MINUTE = Limits("minute", 0, 59)
_HOUR = Limits("hour", 0, 23)
_DAY = Limits("day-of-month", 1, 31)
_MONTH = Limits("month", 1, 12, tuple(MONTHS), 1)
_WEEKDAY = Limits("day-of-week", 1, 7, tuple(WEEKDAYS), 1)
_YEAR = Limits("year", FIRST_YEAR, LAST_YEAR, wraps=False)
_UNIX_DAY = Limits("day-of-month", 1, 31, wraps=False)
_UNIX_MONTH = Limits("month", 1, 12, tuple(MONTHS), 1, wraps=False, steps_names=True)
_UNIX_WEEKDAY = Limits("day-of-week", 0, 7, tuple(WEEKDAYS), wraps=False, steps_names=True)
_UNIX_MINUTE = Limits("minute", 0, 59, wraps=False)
_UNIX_HOUR = Limits("hour", 0, 23, wraps=False)

_ALL_YEARS = tuple(range(FIRST_YEAR, LAST_YEAR + 1))
_FROM_END = re.compile(r"L(?:-([0-9]{1,2}))?(W?)")
_NEAREST = re.compile(r"([0-9]{1,2})W")
_NTH = re.compile(r"([0-9]|[A-Z]{3})#([0-9])")
_LAST_WEEKDAY = re.compile(r"([0-9]|[A-Z]{3})L")

_NAMED = {
    "@YEARLY": "0 0 1 1 *",
    "@ANNUALLY": "0 0 1 1 *",
    "@MONTHLY": "0 0 1 * *",
    "@WEEKLY": "0 0 * * 0",
    "@DAILY": "0 0 * * *",
    "@MIDNIGHT": "0 0 * * *",
    "@HOURLY": "0 * * * *",
}


class Pattern(msgspec.Struct, frozen=True):
    """What an expression says, free of dialect and zone."""

    fields: tuple[str, ...]
    """The text of second, minute, hour, day-of-month, month, day-of-week and year, upper case."""
    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: DayRule
    sub_daily: bool
    """The hour or the minute runs over its whole field (`*`, `*/n`, `0-59`). Vixie cron and cronsim ask whether the
    text starts with `*`; asking for the meaning gives `0/15` and `*/15` the same behaviour."""


def parse(text: str, dialect: Dialect) -> Pattern:
    """InvalidError names the field that is wrong."""
    if len(text) > LONGEST_TEXT:
        raise InvalidError("cron text", text, f"an expression has at most {LONGEST_TEXT} characters")
    parts = text.upper().split()
    if dialect == "unix":
        return _unix(text, parts)
    if dialect == "aws":
        return _aws(text, parts)
    if len(parts) not in {6, 7}:
        allowed = "Quartz has 6 or 7 fields: second minute hour day-of-month month day-of-week [year]"
        raise InvalidError("cron text", text, f'{allowed}{_unix_hint(parts)}')  # fmt: skip
    return _with_question_mark(parts if len(parts) == 7 else [*parts, "*"])


def _unix_hint(parts: list[str]) -> str:
    named = len(parts) == 1 and parts[0].startswith("@")
    return '; for five fields or @daily say dialect="unix"' if named or len(parts) == 5 else ""


def _aws(text: str, parts: list[str]) -> Pattern:
    body = " ".join(parts)
    if body.startswith("CRON(") and body.endswith(")"):
        parts = body[5:-1].split()
    if len(parts) != 6:
        allowed = "AWS has 6 fields, the year included: cron(minute hour day-of-month month day-of-week year)"
        raise InvalidError("cron text", text, allowed)
    return _with_question_mark(["0", *parts])


def _with_question_mark(parts: list[str]) -> Pattern:
    second, minute, hour, day, month, weekday, year = parts
    if (day == "?") == (weekday == "?"):
        raise InvalidError("cron day-of-week", f"{day} … {weekday}", "exactly one of day-of-month and day-of-week is ?")
    seconds, minutes, hours = numbers(second, _SECOND), numbers(minute, _MINUTE), numbers(hour, _HOUR)
    months, years = numbers(month, _MONTH).values, _years(year)
    rule = _month_days(day, months, years) if weekday == "?" else _week_days(weekday, months, years)
    return _pattern(parts, seconds, minutes, hours, rule)


def _years(text: str) -> tuple[int, ...]:
    return _ALL_YEARS if text == "*" else numbers(text, _YEAR).values


def _pattern(parts: list[str], seconds: Numbers, minutes: Numbers, hours: Numbers, rule: DayRule) -> Pattern:
    return Pattern(
        tuple(parts), seconds.values, minutes.values, hours.values, rule, sub_daily=hours.whole or minutes.whole
    )


def _month_days(text: str, months: tuple[int, ...], years: tuple[int, ...]) -> DayRule:
    days: set[int] = set()
    nearest: set[int] = set()
    from_end: set[tuple[int, bool]] = set()
    for item in text.split(","):
        if end := _FROM_END.fullmatch(item):
            back = int(end[1] or 0)
            if back > 30:
                raise _DAY.refuse(item, "the offset from the last day is at most 30")
            from_end.add((back, bool(end[2])))
        elif near := _NEAREST.fullmatch(item):
            nearest.add(_DAY.number(near[1], item))
        else:
            days.update(item_numbers(item, _DAY))
    return DayRule(
        "month", years, months, tuple(sorted(days)), nearest=tuple(sorted(nearest)), from_end=tuple(sorted(from_end))
    )


def _week_days(text: str, months: tuple[int, ...], years: tuple[int, ...]) -> DayRule:
    if text == "L":
        return DayRule("week", years, months, weekdays=(6,))
    if nth := _NTH.fullmatch(text):
        k = int(nth[2])
        if not 1 <= k <= 5:
            raise _WEEKDAY.refuse(text, "after # comes 1-5")
        return DayRule("week", years, months, nth=((_WEEKDAY.number(nth[1], text) - 1, k),))
    if last := _LAST_WEEKDAY.fullmatch(text):
        return DayRule("week", years, months, last=(_WEEKDAY.number(last[1], text) - 1,))
    if "#" in text or "L" in text:
        raise _WEEKDAY.refuse(text, "# and L stand alone in day-of-week, as in 6#3 or 6L")
    weekdays = {value - 1 for value in numbers(text, _WEEKDAY).values}
    return DayRule("week", years, months, weekdays=tuple(sorted(weekdays)))


def _unix(text: str, parts: list[str]) -> Pattern:
    if len(parts) == 1 and parts[0].startswith("@"):
        named = _NAMED.get(parts[0])
        if named is None:
            raise InvalidError("cron text", text, f"use {', '.join(name.lower() for name in _NAMED)}")
        parts = named.split()
    if len(parts) != 5:
        allowed = "Unix cron has 5 fields: minute hour day-of-month month day-of-week, or @daily and kin"
        raise InvalidError("cron text", text, allowed)
    if any(item.startswith("/") for part in parts for item in part.split(",")):
        raise InvalidError("cron text", text, "before a step Unix cron wants * or a range, as in */5")
    minute, hour, day, month, weekday = parts
    minutes, hours = numbers(minute, _UNIX_MINUTE), numbers(hour, _UNIX_HOUR)
    days, weekdays = numbers(day, _UNIX_DAY).values, _unix_weekdays(weekday)
    months = numbers(month, _UNIX_MONTH).values
    mode = "both" if day.startswith("*") or weekday.startswith("*") else "either"
    rule = DayRule(mode, _ALL_YEARS, months, days, weekdays=weekdays)
    return _pattern(["0", *parts, "*"], Numbers((0,), whole=False), minutes, hours, rule)


def _unix_weekdays(text: str) -> tuple[int, ...]:
    return tuple(sorted({value % 7 for value in numbers(text, _UNIX_WEEKDAY).values}))
