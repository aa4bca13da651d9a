"""Aware datetimes, durations and epoch milliseconds: how values from outside become the ones triggers compute with."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from rota.core.errors import InvalidError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FOREVER = 1 << 62
"""Later than every instant a trigger can name, in milliseconds."""

_MS = timedelta(milliseconds=1)
_LATEST = datetime(9999, 12, 30, tzinfo=UTC)
_EARLIEST = datetime(1, 1, 3, tzinfo=UTC)
LATEST = (_LATEST - EPOCH) // _MS
"""The last instant at which there may be a tick, in milliseconds: later ones cannot be shown as datetimes."""
_AWARE = "give an aware datetime or ISO 8601 text with an offset, such as 2026-03-29T02:30:00+02:00"
_ISO_DURATION = re.compile(
    r"P(?:(\d{1,9})W)?(?:(\d{1,9})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9}(?:\.\d{1,6})?)S)?)?", re.ASCII
)
_SHORT_DURATION = re.compile(
    r"(?:(\d{1,9})w)?(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9}(?:\.\d{1,6})?)s)?", re.ASCII
)


def to_ms(value: datetime) -> int:
    """Epoch milliseconds of an aware datetime, rounded down; in integers, so no millisecond is lost to floats."""
    since = value - EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def to_datetime(at: int, zone: tzinfo) -> datetime:
    """The aware datetime of epoch milliseconds, shown in `zone`."""
    seconds, ms = divmod(at, 1000)
    shown = datetime.fromtimestamp(seconds, zone)
    return shown.replace(microsecond=ms * 1000) if ms else shown


def aware(field: str, value: object) -> datetime:
    """A datetime with a fixed offset, from an aware datetime or ISO text.

    The offset is fixed because datetimes in a repeated hour of a named zone never equal those of another zone,
    which would break equality after a round trip through JSON.
    """
    parsed = value
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            raise InvalidError(field, value, _AWARE) from None
    if not isinstance(parsed, datetime):
        raise InvalidError(field, value, _AWARE)
    offset = parsed.utcoffset()
    if offset is None:
        raise InvalidError(field, value, f"it has no offset from UTC; {_AWARE}")
    instant = parsed.replace(tzinfo=timezone(offset))
    if not _EARLIEST <= instant <= _LATEST:
        raise InvalidError(field, value, "use the years 1 to 9999")
    return instant if offset.seconds % 60 == 0 and not offset.microseconds else instant.astimezone(UTC)


def duration(field: str, value: object) -> timedelta:
    """A positive duration in whole milliseconds, from a timedelta, seconds, ISO text ("PT15M") or "1h30m"."""
    allowed = 'give a timedelta, seconds, "15m", "1h30m" or "PT15M", of whole milliseconds and 1 ms to 100 years'
    if isinstance(value, str):
        found = duration_from_text(value)
        if found is None:
            raise InvalidError(field, value, allowed)
    elif isinstance(value, timedelta):
        found = value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        try:
            found = timedelta(seconds=value)
        except (OverflowError, ValueError):
            raise InvalidError(field, value, allowed) from None
    else:
        raise InvalidError(field, value, allowed)
    if not _MS <= found <= timedelta(days=36_525) or found.microseconds % 1000:
        raise InvalidError(field, value, allowed)
    return found


def duration_from_text(text: str) -> timedelta | None:
    """None where the text is neither ISO 8601 nor of the form 1w2d3h4m5s."""
    match = _ISO_DURATION.fullmatch(text.upper()) or _SHORT_DURATION.fullmatch(text.lower())
    if match is None or not any(match.groups()):
        return None
    weeks, days, hours, minutes, seconds = match.groups()
    return timedelta(
        weeks=int(weeks or 0), days=int(days or 0), hours=int(hours or 0), minutes=int(minutes or 0),
        seconds=float(seconds or 0),
    )  # fmt: skip
