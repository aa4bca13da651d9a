"""A cron pattern in English.

Written here rather than taken from cron-descriptor: that library takes 40 ms to import, which every start of the CLI
and every cold function would pay; it drops the W of L-3W, says "15W" for a list with W, and "or" for `0 0 */2 * mon`,
where Vixie's rule wants both days to match.
"""

from __future__ import annotations

from rota.core.triggers.dialects import Pattern
from rota.core.triggers.wall import FIRST_YEAR, LAST_YEAR, DayRule

_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_ORDINALS = ("first", "second", "third", "fourth", "fifth")
_MOST_TIMES = 6


def in_words(pattern: Pattern) -> str:
    """A sentence without its full stop."""
    said = _times(pattern)
    return said + _days(pattern.days)


def _times(pattern: Pattern) -> str:
    seconds, minutes, hours = pattern.seconds, pattern.minutes, pattern.hours
    if len(seconds) * len(minutes) * len(hours) <= _MOST_TIMES:
        with_seconds = seconds != (0,)
        times = [
            f"{hour:02}:{minute:02}" + (f":{second:02}" if with_seconds else "")
            for hour in hours for minute in minutes for second in seconds
        ]  # fmt: skip
        return f"At {_and(times)}"
    words = []
    if seconds != (0,):
        words.append(_regular(seconds, 60, "second"))
    if len(minutes) < 60 or _step(seconds, 60) is None:
        words.append(_regular(minutes, 60, "minute"))
    if len(hours) < 24:
        words.append(_regular(hours, 24, "hour"))
    elif minutes != tuple(range(60)) and _step(minutes, 60) is None:
        words.append("every hour")
    said = ", ".join(words)
    return said[0].upper() + said[1:]


def _regular(values: tuple[int, ...], size: int, unit: str) -> str:
    step = _step(values, size)
    if step is not None:
        return f"every {unit}" if step == 1 else f"every {step} {unit}s"
    if unit == "hour":
        return f"during the hours {_and(_runs(values))}" if len(values) > 1 else f"during hour {values[0]}"
    return f"at {unit}{'s' if len(values) > 1 else ''} {_and(_runs(values))}"


def _step(values: tuple[int, ...], size: int) -> int | None:
    """The step of values that are even over the whole field, over its end too."""
    if len(values) < 2 or values[0] != 0:
        return None
    step = values[1]
    return step if size % step == 0 and values == tuple(range(0, size, step)) else None


def _days(rule: DayRule) -> str:
    month_days = _month_days(rule)
    week_days = _week_days(rule)
    if rule.mode == "month":
        said = month_days
    elif rule.mode == "week":
        said = week_days
    elif rule.mode == "either":
        said = f"{month_days}, and also {week_days}"
    else:
        said = ", but only ".join(part for part in (month_days, week_days) if part)
    if len(rule.months) < 12:
        said = f"{said or 'every day'} in {_and(_runs(rule.months, _MONTHS, 1))}"
    words = f", {said}" if said else ", every day"
    if (rule.years[0], rule.years[-1]) != (FIRST_YEAR, LAST_YEAR) or len(rule.years) != LAST_YEAR - FIRST_YEAR + 1:
        words += f", in {_and(_runs(rule.years))}"
    return words


def _month_days(rule: DayRule) -> str:
    parts = []
    if rule.days == tuple(range(1, 32)):
        return ""
    if rule.days:
        parts.append(f"day{'s' if len(rule.days) > 1 else ''} {_and(_runs(rule.days))}")
    parts += [f"the weekday nearest to day {day}" for day in rule.nearest]
    for back, weekday in rule.from_end:
        last = "the last day" if back == 0 else f"the day {back} before the last"
        if not weekday:
            parts.append(last)
        else:
            parts.append("the last weekday" if back == 0 else f"the weekday nearest to {last}")
    return f"on {_and(parts)} of the month" if parts else ""


def _week_days(rule: DayRule) -> str:
    if len(rule.weekdays) == 7:
        return ""
    parts = _runs(rule.weekdays, _WEEKDAYS)
    parts += [f"the {_ORDINALS[k - 1]} {_WEEKDAYS[day]} of the month" for day, k in rule.nth]
    parts += [f"the last {_WEEKDAYS[day]} of the month" for day in rule.last]
    return f"on {_and(parts)}" if parts else ""


def _runs(values: tuple[int, ...], names: tuple[str, ...] = (), first: int = 0) -> list[str]:
    """Neighbours put together: 1, 2, 3, 7 is "1 to 3", "7"."""
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    said = [names[value - first] if names else str(value) for run in runs for value in (run[0], run[-1])]
    pairs = zip(runs, said[::2], said[1::2], strict=True)
    return [
        word for run, low, high in pairs for word in ([low, high][: len(run)] if len(run) < 3 else [f"{low} to {high}"])
    ]


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
