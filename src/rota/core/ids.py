"""Identifiers: what users may name things, and the run id, which says both whose run it is and for which time."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import lru_cache

from rota.core.errors import InvalidError

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,127}")
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_FAR = 7_258_118_400
_RUN_ID = "SCHEDULE@TIME, such as nightly@2026-11-21T02:30:00Z"
_ALLOWED = "1 to 128 letters, digits and . _ : / + -, beginning with a letter or digit"


def check_id(field: str, value: object) -> str:
    """Return `value` if it may name something, else raise InvalidError. `@` is reserved for run ids."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise InvalidError(field, value, _ALLOWED)
    return value


def iso(at: int) -> str:
    """Epoch milliseconds as UTC text, such as 2026-11-21T02:30:00Z; milliseconds are shown only where there are any."""
    seconds, millis = divmod(at, 1000)
    day, second = divmod(seconds, 86_400)
    text = f"{_day(day)}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    return f"{text}.{millis:03d}Z" if millis else f"{text}Z"


@lru_cache(maxsize=4096)
def _day(day: int) -> str:
    """The date of a day since the epoch, remembered: run ids are made by the hundred thousand."""
    return date.fromordinal(_EPOCH_DAY + day).isoformat()


def run_id(schedule_id: str, scheduled: int) -> str:
    """The id of the run of `schedule_id` at `scheduled` (epoch ms); also the idempotency key handed to the target."""
    return f"{schedule_id}@{iso(scheduled)}"


def parse_run_id(text: object) -> tuple[str, int]:
    """Split a run id into schedule id and epoch milliseconds."""
    if not isinstance(text, str):
        raise InvalidError("run id", text, _RUN_ID)
    schedule_id, at, when = text.partition("@")
    try:
        if not at or not schedule_id:
            raise ValueError
        moment = datetime.fromisoformat(when)
        if moment.tzinfo is None:
            raise ValueError
    except ValueError:
        raise InvalidError("run id", text, _RUN_ID) from None
    return schedule_id, epoch_ms(moment)


def epoch_ms(moment: datetime) -> int:
    """An aware datetime as epoch milliseconds, exactly (no float on the way)."""
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86400 + delta.seconds) * 1000 + delta.microseconds // 1000


def moment(at: int) -> datetime:
    """Epoch milliseconds as an aware datetime in UTC."""
    seconds, millis = divmod(at, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=millis * 1000)


def when_ms(field: str, value: object) -> int:
    """A user's moment (aware datetime, ISO text with offset, or epoch seconds) as epoch milliseconds."""
    if type(value) is float and -_FAR <= value <= _FAR:
        return round(value * 1000)  # the commonest, and a million come at once
    given = value
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise InvalidError(
                field, value, "an ISO 8601 time with an offset, such as 2026-11-21T02:30:00+01:00"
            ) from None
    if isinstance(value, datetime):
        if value.tzinfo is None or value.utcoffset() is None:
            if isinstance(given, str):
                raise InvalidError(field, given, "an ISO 8601 time with an offset or Z, such as 2026-11-21T02:30:00Z")
            raise InvalidError(
                field, given, "an aware datetime: add a tzinfo, such as datetime.UTC or ZoneInfo('Europe/Berlin')"
            )
        at = epoch_ms(value)
        if abs(at) > _FAR * 1000:
            raise InvalidError(field, given, "a time between 1740 and 2200")
        return at
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not abs(value) <= _FAR:  # true of NaN as well
            hint = "; this looks like milliseconds, divide by 1000" if 1e11 < abs(value) < 1e14 else ""
            raise InvalidError(field, value, f"epoch seconds between 1740 and 2200{hint}")
        return round(value * 1000)
    raise InvalidError(field, value, "an aware datetime, ISO text with an offset, or epoch seconds")
