"""rota run: what was accepted, what runs, what became of it."""

from __future__ import annotations

from typing import Annotated, get_args

import typer

from rota.cli.completion import choice, complete_schedule
from rota.cli.options import Json, Limit, RunId, Url, instant
from rota.cli.output import note, print_fields, print_json, print_table, say
from rota.cli.session import connect
from rota.cli.shapes import run_shape
from rota.client import Client
from rota.core.run import AttemptRow, RunRecord, RunState
from rota.service.phrasing import late, shown, span
from rota.wiring import DEFAULT_URL

group: typer.Typer = typer.Typer(name="run", help="See runs, and cancel them.", no_args_is_help=True)

State = Annotated[str | None, choice("--state", "{}.", *get_args(RunState))]


@group.command("list")
def list_runs(
    schedule: Annotated[
        str | None, typer.Option("--schedule", help="Only those of this schedule.", autocompletion=complete_schedule)
    ] = None,
    state: State = None,
    start: Annotated[str | None, typer.Option("--start", help="Scheduled at or after this ISO time.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Scheduled at or before this ISO time.")] = None,
    limit: Limit = 50,
    after: Annotated[str | None, typer.Option("--after", help="Go on behind this run id.")] = None,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """List runs, newest scheduled time first."""
    with connect(url) as client:
        first = None if start is None else instant("start", start)
        last = None if end is None else instant("end", end)
        records = client.runs.list(
            schedule=schedule,
            state=state,  # type: ignore[arg-type]
            start=first,
            end=last,
            limit=limit,
            after=after,
        )
        zones = schedule_zones(client, [record.schedule_id for record in records])
    if json:
        print_json([run_shape(record) for record in records])
        return
    if not records:
        note("no runs")
        return
    print_table(
        ["run", "state", "attempt", "due", "late", "took", "result"],
        [_cells(it, zones) for it in records],
        cut=("result",),
    )
    if len(records) == limit:
        note(f"there may be more: --after {records[-1].id}")


@group.command()
def show(id: RunId, url: Url = DEFAULT_URL, json: Json = False) -> None:
    """Show one run with its failed attempts."""
    with connect(url) as client:
        record = client.runs.get(id)
        zone = schedule_zones(client, [record.schedule_id]).get(record.schedule_id, "UTC")
    if json:
        print_json(run_shape(record))
        return
    fields = [
        ("run", record.id),
        ("state", record.state),
        ("attempt", str(record.attempt)),
        ("target", str(record.spec.target)),
        ("payload", record.payload.decode()),
        ("due", shown(record.due, zone)),
        ("started", "" if record.started is None else f"{shown(record.started, zone)}, {late(record.lateness or 0)}"),
        ("finished", "" if record.finished is None else f"{shown(record.finished, zone)}{_after(record)}"),
        ("value", "" if record.value is None else record.value.decode()),
        ("failure", str(record.failure or "")),
        *attempt_fields(record.attempts, zone),
    ]
    print_fields([(name, value) for name, value in fields if value])


@group.command()
def cancel(id: RunId, url: Url = DEFAULT_URL, json: Json = False) -> None:
    """End a pending or held run; ask a running one to stop."""
    with connect(url) as client:
        record = client.runs.cancel(id)
    if json:
        print_json(run_shape(record))
    else:
        say(f"{id} was asked to stop" if record.state == "running" else f"{id} {record.state}")


def schedule_zones(client: Client, ids: list[str]) -> dict[str, str]:
    """The zones of those schedules that exist; a run without a schedule is shown in UTC."""
    return {row.id: row.schedule.trigger.timezone for row in client.schedules.get_many(list(dict.fromkeys(ids)))}


def attempt_fields(attempts: tuple[AttemptRow, ...], zone: str) -> list[tuple[str, str]]:
    """A line for each failed attempt."""
    return [(f"attempt {row.attempt}", f"{shown(row.started, zone)}  {row.failure or ''}") for row in attempts]


def _after(record: RunRecord) -> str:
    return (
        "" if record.started is None or record.finished is None else f", after {span(record.finished - record.started)}"
    )


def _cells(record: RunRecord, zones: dict[str, str]) -> list[str]:
    done = record.started is not None and record.finished is not None
    result = str(record.failure) if record.failure else (record.value or b"").decode()
    return [
        record.id,
        record.state,
        str(record.attempt),
        shown(record.due, zones.get(record.schedule_id, "UTC")),
        "" if record.lateness is None else span(record.lateness),
        span((record.finished or 0) - (record.started or 0)) if done else "",
        result,
    ]
