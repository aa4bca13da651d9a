"""rota dead: the runs whose attempts are used up."""

from __future__ import annotations

from typing import Annotated

import typer

from rota.cli.completion import complete_run, complete_schedule
from rota.cli.options import Json, Limit, RunId, Url
from rota.cli.output import note, print_fields, print_json, print_table, say
from rota.cli.run import attempt_fields, schedule_zones
from rota.cli.session import connect
from rota.cli.shapes import dead_letter_shape
from rota.core.errors import InvalidError
from rota.service.phrasing import shown
from rota.wiring import DEFAULT_URL

group: typer.Typer = typer.Typer(name="dead", help="See, redrive and purge dead letters.", no_args_is_help=True)

RunIds = Annotated[
    list[str] | None,
    typer.Argument(metavar="[RUN]...", help="Run ids.", autocompletion=complete_run, show_default=False),
]
Every = Annotated[bool, typer.Option("--all", help="All there are.")]
OfSchedule = Annotated[
    str | None, typer.Option("--schedule", help="Those of this schedule.", autocompletion=complete_schedule)
]


@group.command("list")
def list_dead(
    schedule: OfSchedule = None,
    limit: Limit = 50,
    after: Annotated[str | None, typer.Option("--after", help="Go on behind this run id.")] = None,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """List dead letters, newest scheduled time first."""
    with connect(url) as client:
        letters = client.dead_letters.list(schedule=schedule, limit=limit, after=after)
        zones = schedule_zones(client, [letter.schedule_id for letter in letters])
    if json:
        print_json([dead_letter_shape(letter) for letter in letters])
        return
    if not letters:
        note("no dead letters")
        return
    rows = [
        [
            letter.id,
            str(letter.failure or ""),
            str(letter.attempt),
            shown(letter.at, zones.get(letter.schedule_id, "UTC")),
            str(letter.spec.target),
        ]
        for letter in letters
    ]
    print_table(["run", "failure", "attempts", "died", "target"], rows, cut=("failure", "target"))
    if len(letters) == limit:
        note(f"there may be more: --after {letters[-1].id}")


@group.command()
def show(id: RunId, url: Url = DEFAULT_URL, json: Json = False) -> None:
    """Show one dead letter with all its attempts."""
    with connect(url) as client:
        letter = client.dead_letters.show(id)
        zone = schedule_zones(client, [letter.schedule_id]).get(letter.schedule_id, "UTC")
    if json:
        print_json(dead_letter_shape(letter))
        return
    print_fields(
        [
            ("run", letter.id),
            ("died", shown(letter.at, zone)),
            ("attempts", str(letter.attempt)),
            ("target", str(letter.spec.target)),
            ("payload", letter.payload.decode()),
            ("failure", str(letter.failure or "")),
            *attempt_fields(letter.attempts, zone),
        ]
    )


@group.command()
def redrive(
    ids: RunIds = None, every: Every = False, schedule: OfSchedule = None, url: Url = DEFAULT_URL, json: Json = False
) -> None:
    """Run them again, with the same run ids and all attempts anew."""
    _check_which(ids, every, schedule)
    with connect(url) as client:
        done = client.dead_letters.redrive(ids or (), every=every, schedule=schedule)
    _report("redriven", done, json)


@group.command()
def purge(
    ids: RunIds = None, every: Every = False, schedule: OfSchedule = None, url: Url = DEFAULT_URL, json: Json = False
) -> None:
    """Forget them; their runs stay on record as failed."""
    _check_which(ids, every, schedule)
    with connect(url) as client:
        done = client.dead_letters.purge(ids or (), every=every, schedule=schedule)
    _report("purged", done, json)


def _check_which(ids: list[str] | None, every: bool, schedule: str | None) -> None:
    named = ids or None
    if (named is not None) + every + (schedule is not None) != 1:
        given = [text for text in (*(ids or ()), schedule and f"--schedule {schedule}", every and "--all") if text]
        raise InvalidError("which", " ".join(given) or None, "either run ids, or --schedule, or --all")


def _report(word: str, ids: list[str], json: bool) -> None:
    if json:
        print_json({word: ids})
        return
    for id in ids:
        say(f"{id} {word}")
    if not ids:
        note("no dead letters")
