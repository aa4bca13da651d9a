"""rota db: look after the database file."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Annotated

import typer

from rota import wiring
from rota.cli.options import Json, Url
from rota.cli.output import print_json, say
from rota.cli.session import existing
from rota.core.errors import StoreCorruptError
from rota.wiring import DEFAULT_URL

group: typer.Typer = typer.Typer(name="db", help="Check, migrate and back up the database file.", no_args_is_help=True)


@group.command()
def check(url: Url = DEFAULT_URL, json: Json = False) -> None:
    """Check the file: SQLite's own integrity, then what rota promises of its rows."""
    path = existing(url)
    problems = _problems(url, path)
    if json:
        print_json({"database": str(path), "problems": problems})
    else:
        say("\n".join(problems) if problems else f"{path} is sound")
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise StoreCorruptError(f"{path} has {count}; restore a backup", database=str(path))


@group.command()
def migrate(url: Url = DEFAULT_URL, json: Json = False) -> None:
    """Bring the file's schema up to date, or make the file."""
    path, _ = wiring.split_url(url)
    file = wiring.database(url)
    try:
        version = file.migrate()
    finally:
        file.close()
    if json:
        print_json({"database": str(path), "schema": version})
    else:
        say(f"{path} has schema {version}")


@group.command()
def backup(
    to: Annotated[Path, typer.Argument(metavar="FILE", help="The copy, which must not exist.", show_default=False)],
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Copy a consistent state while others go on writing."""
    path = existing(url)
    file = wiring.database(url)
    try:
        file.backup(to)
    finally:
        file.close()
    if json:
        print_json({"database": str(path), "backup": str(to)})
    else:
        say(f"{path} copied to {to}")


def _problems(url: str, path: Path) -> list[str]:
    try:
        file = wiring.database(url)
    except StoreCorruptError as error:
        if not isinstance(error.__cause__, sqlite3.Error):
            raise
        return [f"{path} is damaged or not a database: {error.__cause__}"]
    try:
        return file.check()
    finally:
        file.close()
