"""One line of text to a trigger, for the command line and for copies from elsewhere."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from rota.core.errors import InvalidError
from rota.core.triggers.at import At
from rota.core.triggers.cron import Cron
from rota.core.triggers.dialects import LONGEST_TEXT
from rota.core.triggers.every import Every
from rota.core.triggers.instants import to_ms
from rota.core.triggers.zones import zone

AnyTrigger = Cron | Every | At

_ALLOWED = (
    'give a cron expression ("0 30 2 * * ?", "30 2 * * *", "@daily", "cron(30 2 * * ? *)"), "every 15m", '
    '"rate(5 minutes)" or "at 2026-03-29T02:30:00+02:00"'
)
_RATE = re.compile(r"rate\(\s*([0-9]{1,9})\s+(minute|hour|day)(s?)\s*\)", re.IGNORECASE)
_AT = re.compile(r"at\(\s*(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\s*\)", re.IGNORECASE)
_WORD = re.compile(r"(every|at)\s+(\S.*)", re.IGNORECASE)


def parse_trigger(text: str, **options: Any) -> AnyTrigger:
    """The trigger that `text` means; `options` go to its constructor. InvalidError says what is understood.

    6 and 7 fields are Quartz, 5 fields and @daily Unix, cron(...), rate(...) and at(...) AWS; `dialect` overrides
    this for bare fields. at(...) is wall-clock time in the option `timezone`.
    """
    given: object = text
    if not isinstance(given, str) or not given.strip() or len(given) > LONGEST_TEXT:
        raise InvalidError("trigger", text, _ALLOWED)
    line = given.strip()
    if word := _WORD.fullmatch(line):
        return Every(word[2], **options) if word[1].lower() == "every" else At(word[2], **options)
    if line.lower().startswith("rate("):
        return _rate(line, options)
    if line.lower().startswith("at("):
        return _at(line, options)
    if line.lower().startswith("cron("):
        return Cron(line, **{"dialect": "aws", **options})
    if line.startswith("@") or len(line.split()) == 5:
        return Cron(line, **{"dialect": "unix", **options})
    if len(line.split()) in {6, 7}:
        return Cron(line, **options)
    raise InvalidError("trigger", text, _ALLOWED)


def _rate(line: str, options: dict[str, Any]) -> Every:
    match = _RATE.fullmatch(line)
    if match is None or int(match[1]) < 1 or (int(match[1]) == 1) == bool(match[3]):
        raise InvalidError("trigger", line, "use rate(1 minute), rate(5 minutes), and so with hours and days")
    return Every(timedelta(**{f"{match[2].lower()}s": int(match[1])}), **options)


def _at(line: str, options: dict[str, Any]) -> At:
    """AWS gives no offset: a time in the gap is taken at the gap's end, a repeated one the first time."""
    match = _AT.fullmatch(line)
    try:
        wall = datetime.fromisoformat(match[1]).replace(tzinfo=UTC) if match else None
    except ValueError:
        wall = None
    if wall is None:
        raise InvalidError("trigger", line, "use at(yyyy-mm-ddThh:mm:ss), in the trigger's time zone")
    return At(zone(options.get("timezone", "UTC")).first_instant(to_ms(wall) // 1000), **options)
