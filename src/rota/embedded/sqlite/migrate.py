"""The schema, as numbered SQL files applied in order; `PRAGMA user_version` tells how far a file has come.

Each file runs in one transaction with the step of `user_version`, so a crash leaves the file at one number or the
next. A file from a newer rota
is refused, untouched.
"""

from __future__ import annotations

import sqlite3
from importlib.resources import files

from rota.core.errors import StoreCorruptError, StoreVersionError
from rota.embedded.sqlite.connection import Database

APPLICATION_ID = 0x726F7461
"""Says "rota" in the file's header, so that another program's database is not taken for ours."""


def migrations() -> list[tuple[int, str]]:
    """(number, SQL) of every migration, in order."""
    found = [
        (int(entry.name.split("_")[0]), entry.read_text("utf-8"))
        for entry in files("rota.embedded.sqlite").joinpath("migrations").iterdir()
        if entry.name.endswith(".sql")
    ]
    return sorted(found)


def migrate(database: Database) -> int:
    """Bring the file to this version's schema; answers its number. StoreVersionError if it is newer already,
    StoreCorruptError if it belongs to another program."""
    (version,), (application,) = *database.read("PRAGMA user_version"), *database.read("PRAGMA application_id")
    known = migrations()
    latest = known[-1][0]
    if application == APPLICATION_ID and version == latest:
        return latest
    if application not in (0, APPLICATION_ID) or (
        application == 0 and database.read("SELECT 1 FROM sqlite_master LIMIT 1")
    ):
        raise StoreCorruptError(
            f"{database.name} is a database of another program; give rota a file of its own", database=database.name
        )
    if int(version) > latest:
        raise StoreVersionError(
            f"{database.name} has schema {version}, this rota knows up to {latest}; upgrade rota",
            database=database.name,
        )

    def apply(connection: sqlite3.Connection) -> int:
        (at,) = connection.execute("PRAGMA user_version").fetchone()
        for number, sql in known:
            if number > at:
                for statement in statements(sql):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        return latest

    return database.write(apply)


def statements(sql: str) -> list[str]:
    """The statements of a script, split where SQLite itself says that one is complete."""
    found, text = [], ""
    for line in sql.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            found.append(text)
            text = ""
    if text.strip():
        found.append(text)
    return found
