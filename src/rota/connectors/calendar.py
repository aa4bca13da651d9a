"""Files of excluded dates: plain text (one date, range or instant a line) and iCalendar.

An all-day event excludes its dates, an event with times every date that it touches in its own zone. A recurring event
does so each time that it occurs, up to the end of 2099.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import icalendar
import recurring_ical_events

from rota.core.errors import InvalidError
from rota.core.triggers.exclusions import parse_dates

_LARGEST = 8 * 1024 * 1024
_FIRST, _BEHIND = date(1970, 1, 1), date(2100, 1, 1)


def excluded_dates(path: str | Path) -> tuple[str, ...]:
    """What to give a trigger as `exclude`. InvalidError where the file cannot be read or understood."""
    file = Path(path)
    try:
        if file.stat().st_size > _LARGEST:
            raise InvalidError("exclude", str(path), "a file of excluded dates has at most 8 MiB")
        content = file.read_bytes()
    except OSError as error:
        allowed = f"give a readable text file of dates or an .ics file ({error.strerror})"
        raise InvalidError("exclude", str(path), allowed) from error
    if file.suffix.lower() == ".ics":
        return _from_calendar(str(path), content)
    try:
        return parse_dates(content.decode())
    except UnicodeDecodeError as error:
        raise InvalidError("exclude", str(path), "a file of dates is UTF-8 text") from error


def _from_calendar(name: str, content: bytes) -> tuple[str, ...]:
    try:
        calendar = icalendar.Calendar.from_ical(content)
        spans = [_span(event) for event in recurring_ical_events.of(calendar).between(_FIRST, _BEHIND)]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise InvalidError("exclude", name, f"it is not an iCalendar file that can be read ({error})") from error
    return tuple(first if first == last else f"{first}/{last}" for first, last in sorted(set(spans)))


def _span(event: icalendar.cal.Component) -> tuple[str, str]:
    begin: date = event.decoded("DTSTART")
    if "DTEND" in event:
        end: date = event.decoded("DTEND")
    else:
        default = timedelta() if isinstance(begin, datetime) else timedelta(days=1)
        end = begin + (event.decoded("DURATION") if "DURATION" in event else default)
    # The end is excluded in iCalendar, unless nothing would be left.
    last = max(begin, end - (timedelta(microseconds=1) if isinstance(end, datetime) else timedelta(days=1)))
    return _day(begin), _day(last)


def _day(value: date) -> str:
    return (value.date() if isinstance(value, datetime) else value).isoformat()
