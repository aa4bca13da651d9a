"""The options and arguments that several commands share, so that they are called and explained the same everywhere."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, get_args

import msgspec
import typer

from rota.cli.completion import choice, complete_run, complete_schedule
from rota.core.errors import InvalidError
from rota.core.ids import moment, when_ms
from rota.core.retry import Jitter as Jitters
from rota.core.run import Delivery as Deliveries
from rota.core.schedule import Misfire as Misfires
from rota.core.schedule import Overlap as Overlaps
from rota.core.target import METHODS
from rota.core.triggers.daylight import Daylight
from rota.core.triggers.dialects import Dialect as Dialects

AS_JSON = "rota.json"
"""Where the context keeps that --json was given, so that an error knows it too."""


def _note_json(context: typer.Context, value: bool) -> bool:
    context.meta[AS_JSON] = value
    return value


Json = Annotated[
    bool,
    typer.Option("--json", help="Answer in JSON, errors too.", callback=_note_json, is_eager=True, show_default=False),
]
Url = Annotated[str, typer.Option("--url", envvar="ROTA_URL", help="The store: sqlite:///FILE or aws://STACK.")]
AppName = Annotated[
    str | None,
    typer.Option(
        "--app", envvar="ROTA_APP", metavar="MODULE", help="shop.py or package.module: refuse tasks it lacks."
    ),
]
ScheduleId = Annotated[
    str,
    typer.Argument(metavar="SCHEDULE", help="The schedule's id.", autocompletion=complete_schedule, show_default=False),
]
RunId = Annotated[
    str, typer.Argument(metavar="RUN", help="A run id, SCHEDULE@TIME.", autocompletion=complete_run, show_default=False)
]
TARGETS = (
    "task:NAME, queue:NAME, batch:NAME, lambda:NAME, sqs:URL, stepfunctions:ARN, events:BUS, an ARN or an http(s) URL."
)
Target = Annotated[str, typer.Argument(metavar="TARGET", help=TARGETS, show_default=False)]
Method = Annotated[str | None, choice("--method", "For a URL: {}.", *METHODS)]
Header = Annotated[
    list[str] | None,
    typer.Option("--header", metavar='"NAME: VALUE"', help='For a URL: send this header; or "none". Repeatable.'),
]
AllowPrivate = Annotated[
    bool | None,
    typer.Option(
        "--allow-private/--no-allow-private",
        help="For a URL: call loopback, private and link-local addresses too.",
        show_default=False,
    ),
]
Limit = Annotated[int, typer.Option("--limit", "-n", help="How many at most.")]

CronText = Annotated[str | None, typer.Option("--cron", metavar="TEXT", help='Such as "0 30 2 * * ?" or "30 2 * * *".')]
EveryText = Annotated[str | None, typer.Option("--every", metavar="DURATION", help="Such as 15m, 1h30m or PT15M.")]
AtText = Annotated[
    str | None, typer.Option("--at", metavar="TIME", help="Once: ISO time with offset, or epoch seconds.")
]
Timezone = Annotated[str | None, typer.Option("--timezone", metavar="ZONE", help="IANA name, such as Europe/Berlin.")]
Dialect = Annotated[str | None, choice("--dialect", "{}; guessed from the text otherwise.", *get_args(Dialects))]
Dst = Annotated[str | None, choice("--dst", "Where clocks change: {}.", *get_args(Daylight))]
Anchor = Annotated[
    str | None, typer.Option("--anchor", metavar="TIME", help='With --every: a time it keeps in step with; or "none".')
]
Start = Annotated[str | None, typer.Option("--start", metavar="TIME", help='No tick before this time; or "none".')]
End = Annotated[str | None, typer.Option("--end", metavar="TIME", help='No tick after this time; or "none".')]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="DATE", help='A date, or range FROM/TO, to leave out; or "none". Repeatable.'),
]
ExcludeFile = Annotated[
    str | None,
    typer.Option("--exclude-file", metavar="FILE", help="Dates to leave out: one a line, or an .ics calendar."),
]
Jitter = Annotated[str | None, typer.Option("--jitter", metavar="SECONDS", help="Delay each run by up to so much.")]

Payload = Annotated[
    str | None, typer.Option("--payload", metavar="JSON", help="What the target is given; @FILE, or - for stdin.")
]
Misfire = Annotated[str | None, choice("--misfire", "Ticks later than --grace: {}.", *get_args(Misfires))]
Grace = Annotated[str | None, typer.Option("--grace", metavar="SECONDS", help="Later than this is a misfire.")]
Overlap = Annotated[str | None, choice("--overlap", "{}.", *get_args(Overlaps))]
MaxExecutions = Annotated[str | None, typer.Option("--max-executions", metavar="N", help='Fire so often; or "none".')]
Timeout = Annotated[
    str | None, typer.Option("--timeout", metavar="SECONDS", help='For one attempt; "none": the task\'s.')
]
Delivery = Annotated[str | None, choice("--delivery", "{}.", *get_args(Deliveries))]
Precise = Annotated[
    bool | None,
    typer.Option("--precise/--no-precise", help="Start within milliseconds on AWS too.", show_default=False),
]
Tag = Annotated[
    list[str] | None, typer.Option("--tag", metavar="TAG", help='A word to find it by; or "none". Repeatable.')
]
Description = Annotated[str | None, typer.Option("--description", metavar="TEXT")]
RetryAttempts = Annotated[
    str | None, typer.Option("--retry-attempts", metavar="N", help='Tries in all; "none": the task\'s own policy.')
]
RetryInitial = Annotated[
    str | None, typer.Option("--retry-initial", metavar="SECONDS", help="Wait before the second attempt.")
]
RetryFactor = Annotated[str | None, typer.Option("--retry-factor", metavar="X", help="Each wait is so much longer.")]
RetryMaximum = Annotated[str | None, typer.Option("--retry-maximum", metavar="SECONDS", help="The longest wait.")]
RetryJitter = Annotated[str | None, choice("--retry-jitter", "{}.", *get_args(Jitters))]

# Fewer digits may also be a date or a year, such as 20270101, and a time long past would fire at once.
_EPOCH = re.compile(r"\d{9,14}(\.\d+)?", re.ASCII)
_INSTANT = (
    "an ISO time with an offset, such as 2027-01-01T09:00:00+01:00 or 2027-01-01T08:00:00Z, or epoch seconds of at"
    " least 9 digits"
)


def json_value(field: str, text: str | None) -> Any:
    """The value of a JSON text, of the file that @FILE names, or of what stdin holds for "-" or "@-"; None for None."""
    if text is None:
        return None
    if text == "-" or text.startswith("@"):  # no JSON begins so
        return _json_in_file(field, text.removeprefix("@"))
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        allowed = f"JSON, such as '{{\"id\": 1}}', 5 or '\"text\"' ({error})"
        raise InvalidError(field, text, allowed) from None


def _json_in_file(field: str, name: str) -> Any:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text()
    except (OSError, ValueError) as error:
        raise InvalidError(field, f"@{name}", f"a file of JSON that can be read ({error})") from None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidError(field, "-" if name == "-" else f"@{name}", f"a file of JSON ({error})") from None


def time_value(text: str) -> str | float:
    """ISO text as it is, which may lack an offset; epoch seconds as a number."""
    return float(text) if _EPOCH.fullmatch(text) else text


def instant(field: str, text: str) -> datetime:
    """The moment that ISO text with an offset or epoch seconds name."""
    if _EPOCH.fullmatch(text):
        return moment(when_ms(field, float(text)))
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidError(field, text, _INSTANT) from None
    if found.utcoffset() is None:
        raise InvalidError(field, text, _INSTANT)
    return found


def number(field: str, text: str, kind: Callable[[str], Any] = float) -> Any:
    """The number that `text` is."""
    try:
        return kind(text)
    except ValueError:
        raise InvalidError(field, text, "a whole number" if kind is int else "a number") from None


def is_none(text: str) -> bool:
    """Whether the user wrote "none", which takes a thing away."""
    return text.lower() == "none"


def several(field: str, texts: list[str] | None) -> list[str] | None:
    """The values of a repeatable option: none of them for "none", which therefore stands alone; None if it was not
    given."""
    if texts is None or not any(map(is_none, texts)):
        return texts
    if len(texts) > 1:
        raise InvalidError(field, "none", f'"none" alone, or other values: it stands for no {field}')
    return []


def number_or_none(field: str, text: str, kind: Callable[[str], Any] = float) -> Any:
    """The number that `text` is, or None for "none"."""
    return None if is_none(text) else number(field, text, kind)
