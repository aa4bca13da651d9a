"""rota schedule: make, see, change and remove schedules."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from rota.cli.definition import TriggerOptions, aimed, policies, retry_text, target_text
from rota.cli.options import (
    AllowPrivate,
    Anchor,
    AppName,
    AtText,
    CronText,
    Delivery,
    Description,
    Dialect,
    Dst,
    End,
    EveryText,
    Exclude,
    ExcludeFile,
    Grace,
    Header,
    Jitter,
    Json,
    Limit,
    MaxExecutions,
    Method,
    Misfire,
    Overlap,
    Payload,
    Precise,
    RetryAttempts,
    RetryFactor,
    RetryInitial,
    RetryJitter,
    RetryMaximum,
    ScheduleId,
    Start,
    Tag,
    Target,
    Timeout,
    Timezone,
    Url,
    json_value,
    time_value,
)
from rota.cli.output import note, print_fields, print_json, print_table, say
from rota.cli.schedule_update import update
from rota.cli.session import connect
from rota.cli.shapes import schedule_shape, tick_shape
from rota.core.schedule import StoredSchedule, TickRow
from rota.service.phrasing import shown, span
from rota.wiring import DEFAULT_URL

group: typer.Typer = typer.Typer(name="schedule", help="Make, see, change and remove schedules.", no_args_is_help=True)
group.command("update")(update)

NewId = Annotated[str, typer.Argument(metavar="SCHEDULE", help="The new schedule's id.", show_default=False)]


@group.command()
def create(
    id: NewId,
    target: Target,
    cron: CronText = None,
    every: EveryText = None,
    at: AtText = None,
    timezone: Timezone = None,
    dialect: Dialect = None,
    dst: Dst = None,
    anchor: Anchor = None,
    start: Start = None,
    end: End = None,
    exclude: Exclude = None,
    exclude_file: ExcludeFile = None,
    jitter: Jitter = None,
    method: Method = None,
    header: Header = None,
    allow_private: AllowPrivate = None,
    payload: Payload = None,
    misfire: Misfire = None,
    grace: Grace = None,
    overlap: Overlap = None,
    max_executions: MaxExecutions = None,
    timeout: Timeout = None,
    delivery: Delivery = None,
    precise: Precise = None,
    tag: Tag = None,
    description: Description = None,
    retry_attempts: RetryAttempts = None,
    retry_initial: RetryInitial = None,
    retry_factor: RetryFactor = None,
    retry_maximum: RetryMaximum = None,
    retry_jitter: RetryJitter = None,
    app: AppName = None,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Make a schedule."""
    trigger = TriggerOptions(
        cron=cron,
        every=every,
        at=at,
        timezone=timezone,
        dialect=dialect,
        dst=dst,
        anchor=anchor,
        start=start,
        end=end,
        exclude=exclude,
        exclude_file=exclude_file,
        jitter=jitter,
    ).make()
    options = policies(
        payload=payload,
        misfire=misfire,
        grace=grace,
        overlap=overlap,
        max_executions=max_executions,
        timeout=timeout,
        delivery=delivery,
        precise=precise,
        tags=tag,
        description=description,
        retry=(retry_attempts, retry_initial, retry_factor, retry_maximum, retry_jitter),
    )
    with connect(url, app, make=True) as client:
        row = client.schedules.create(id, trigger, aimed(target, method, header, allow_private), **options)
    _changed(row, "created", json)


@group.command("list")
def list_schedules(
    tag: Annotated[str | None, typer.Option("--tag", help="Only those with this tag.")] = None,
    status: Annotated[str | None, typer.Option("--status", help="Only active, paused or finished ones.")] = None,
    search: Annotated[str | None, typer.Option("--search", help="Part of the id or the description.")] = None,
    limit: Limit = 100,
    after: Annotated[str | None, typer.Option("--after", help="Go on behind this id.")] = None,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """List schedules by id."""
    with connect(url) as client:
        rows = client.schedules.list(tag=tag, status=status, search=search, limit=limit, after=after)  # type: ignore[arg-type]
    if json:
        print_json([schedule_shape(row) for row in rows])
        return
    if not rows:
        note("no schedules")
        return
    table = [
        [row.id, row.status, _next(row), str(row.state.fired), str(row.schedule.target), row.schedule.trigger.explain()]
        for row in rows
    ]
    print_table(["schedule", "status", "next", "fired", "target", "trigger"], table, cut=("target", "trigger"))
    if len(rows) == limit:
        note(f"there may be more: --after {rows[-1].id}")


@group.command()
def show(id: ScheduleId, url: Url = DEFAULT_URL, json: Json = False) -> None:
    """Show one schedule."""
    with connect(url) as client:
        row = client.schedules.get(id)
    if json:
        print_json(schedule_shape(row))
    else:
        print_fields(_fields(row))


@group.command()
def pause(
    id: ScheduleId,
    reason: Annotated[str, typer.Option("--reason", help="Why; `why` tells it later.")] = "",
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Fire nothing until it is resumed."""
    with connect(url) as client:
        row = client.schedules.pause(id, reason)
    _changed(row, "paused", json)


@group.command()
def resume(id: ScheduleId, url: Url = DEFAULT_URL, json: Json = False) -> None:
    """Go on with the next tick."""
    with connect(url) as client:
        row = client.schedules.resume(id)
    _changed(row, "resumed", json)


@group.command()
def trigger(id: ScheduleId, payload: Payload = None, url: Url = DEFAULT_URL, json: Json = False) -> None:
    """Run it now, whatever its pause, overlap policy and max_executions; answers the run id."""
    value = json_value("payload", payload)
    with connect(url) as client:
        run = client.schedules.trigger(id, payload=value)
    if json:
        print_json({"run": run})
    else:
        say(run)


@group.command()
def delete(id: ScheduleId, url: Url = DEFAULT_URL, json: Json = False) -> None:
    """Remove it and cancel its pending and held runs; ledger and history stay."""
    with connect(url) as client:
        client.schedules.delete(id)
    if json:
        print_json({"deleted": id})
    else:
        say(f"{id} deleted")


@group.command()
def ticks(
    id: ScheduleId,
    start: Annotated[
        str | None, typer.Option("--start", help="ISO time; without offset in the schedule's zone.")
    ] = None,
    end: Annotated[str | None, typer.Option("--end", help="ISO time; without offset in the schedule's zone.")] = None,
    limit: Limit = 50,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Show the tick ledger, newest first: what became of every tick."""
    with connect(url) as client:
        first, last = (None if text is None else time_value(text) for text in (start, end))
        rows = client.schedules.ticks(id, first, last, limit)
        found = client.schedules.get_many([id])
    if json:
        print_json([tick_shape(row) for row in rows])
        return
    if not rows:
        note("no ticks")
        return
    zone = found[0].schedule.trigger.timezone if found else "UTC"
    print_table(["tick", "outcome", "reason", "detail"], [_tick_cells(row, zone) for row in rows], cut=("detail",))


@group.command()
def why(
    id: ScheduleId,
    when: Annotated[
        str, typer.Argument(metavar="TIME", help="ISO time; without offset in the schedule's zone.", show_default=False)
    ],
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Say in a sentence why it fired, or did not fire, at a time."""
    with connect(url) as client:
        sentence = client.schedules.why(id, time_value(when))
    if json:
        print_json({"schedule": id, "when": when, "why": sentence})
    else:
        say(sentence)


def _next(row: StoredSchedule) -> str:
    at, zone = row.state.next_tick, row.schedule.trigger.timezone
    return "-" if at is None or row.state.paused is not None else shown(at, zone)


def _changed(row: StoredSchedule, word: str, json: bool) -> None:
    if json:
        print_json(schedule_shape(row))
        return
    following = _next(row)
    say(f"{row.id} {word}" + (f"; next tick {following}" if following != "-" else ""))


def _tick_cells(row: TickRow, zone: str) -> list[str]:
    time = shown(row.scheduled, zone)
    if row.count == 1:
        return [time, row.outcome, row.reason or "", row.detail]
    several = f"{row.count:,} ticks until {shown(row.until, zone)}"
    return [time, row.outcome, row.reason or "", f"{several}; {row.detail}" if row.detail else several]


def _fields(row: StoredSchedule) -> list[tuple[str, str]]:
    schedule, state = row.schedule, row.state
    zone = schedule.trigger.timezone
    fields = [
        ("schedule", row.id),
        ("description", schedule.description),
        ("status", row.status),
        ("paused", str(state.paused or "")),
        ("next", _next(row)),
        ("trigger", schedule.trigger.explain()),
        ("definition", msgspec.json.encode(schedule.trigger).decode()),
        ("target", target_text(schedule.target)),
        ("payload", schedule.payload.decode()),
        ("misfire", f"{schedule.misfire}, after a grace period of {span(round(schedule.grace * 1000))}"),
        ("overlap", schedule.overlap),
        ("retry", "the task's" if schedule.retry is None else retry_text(schedule.retry)),
        ("timeout", "the task's" if schedule.timeout is None else f"{schedule.timeout:g} s"),
        ("delivery", schedule.delivery),
        ("precise", "yes" if schedule.precise else ""),
        ("fired", f"{state.fired}" + (f" of {schedule.max_executions}" if schedule.max_executions else "")),
        ("tags", ", ".join(schedule.tags)),
        ("app", schedule.owner),
        ("created", shown(state.created, zone)),
        ("updated", shown(state.updated, zone)),
    ]
    return [(name, value) for name, value in fields if value]
