"""rota cron: what an expression means, without storing anything."""

from __future__ import annotations

from typing import Annotated

import typer

from rota.cli.definition import TriggerOptions
from rota.cli.options import Dialect, Dst, End, Exclude, ExcludeFile, Json, Limit, Start, Timezone, instant
from rota.cli.output import note, print_json, say
from rota.core.errors import InvalidError
from rota.core.ids import moment
from rota.core.triggers import AnyTrigger
from rota.wiring import clock

group: typer.Typer = typer.Typer(
    name="cron", help="What an expression means, without storing anything.", no_args_is_help=True
)

Expression = Annotated[
    str,
    typer.Argument(
        metavar="TEXT",
        help='"0 30 2 * * ?", "30 2 * * *", @daily, cron(...), rate(...), "every 15m".',
        show_default=False,
    ),
]


@group.command("next")
def upcoming(
    text: Expression,
    timezone: Timezone = None,
    dialect: Dialect = None,
    dst: Dst = None,
    start: Start = None,
    end: End = None,
    exclude: Exclude = None,
    exclude_file: ExcludeFile = None,
    after: Annotated[str | None, typer.Option("--after", metavar="TIME", help="Instead of now.")] = None,
    limit: Limit = 5,
    json: Json = False,
) -> None:
    """Print the next times at which it fires."""
    if limit < 1:
        raise InvalidError("limit", limit, "a whole number of at least 1")
    trigger = _trigger(text, timezone, dialect, dst, start, end, exclude, exclude_file)
    since = moment(clock().now()) if after is None else instant("after", after)
    times = [time.isoformat() for time in trigger.upcoming(since, limit)]
    if json:
        print_json(times)
        return
    for time in times:
        say(time)
    if not times:
        note("never")


@group.command()
def explain(
    text: Expression,
    timezone: Timezone = None,
    dialect: Dialect = None,
    dst: Dst = None,
    json: Json = False,
) -> None:
    """Say in a sentence when it fires."""
    trigger = _trigger(text, timezone, dialect, dst)
    if json:
        print_json({"text": text, "explained": trigger.explain()})
    else:
        say(trigger.explain())


def _trigger(
    text: str,
    timezone: str | None,
    dialect: str | None,
    dst: str | None,
    start: str | None = None,
    end: str | None = None,
    exclude: list[str] | None = None,
    exclude_file: str | None = None,
) -> AnyTrigger:
    return TriggerOptions(
        cron=text,
        timezone=timezone,
        dialect=dialect,
        dst=dst,
        start=start,
        end=end,
        exclude=exclude,
        exclude_file=exclude_file,
    ).make()
