"""The schema, as numbered SQL files applied in order; `PRAGMA user_version` tells how far a file has come.

Each file runs in one transaction with the step of `user_version`, so a crash leaves the file at one number or the
next. A file from a newer rota is refused, untouched.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib.resources import files
from pathlib import Path

from rota.core.errors import StoreCorruptError, StoreVersionError
from rota.embedded.sqlite.connection import LOCK_PATIENCE, Database
from rota.embedded.sqlite.failures import translated

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


_WHOSE = (
    "SELECT (SELECT user_version FROM pragma_user_version), (SELECT application_id FROM pragma_application_id),"
    " EXISTS (SELECT 1 FROM sqlite_master)"
)
"""One statement, so one snapshot: another process may be making the tables just now."""


def _check_ours(application: int, tables: int, name: str) -> None:
    if application not in (0, APPLICATION_ID) or (application == 0 and tables):
        raise StoreCorruptError(f"{name} is a database of another program; give rota a file of its own", database=name)


def refuse_strangers(path: Path) -> None:
    """StoreCorruptError if the file belongs to another program; it is not changed, while opening it as ours would make its
    journal a WAL."""
    if not path.is_file():
        return  # opening it makes it, or says why it cannot
    # Through SQLite and not by reading the header: whoever closes a file gives up all locks that its process holds on it,
    # those of other connections too, which then lose their WAL to the next process that closes the database.
    address = f"{path.absolute().as_uri()}?mode=ro"
    with translated(str(path)), closing(sqlite3.connect(address, timeout=LOCK_PATIENCE, uri=True)) as connection:
        _, application, tables = connection.execute(_WHOSE).fetchone()
    _check_ours(application, tables, str(path))


def migrate(database: Database) -> int:
    """Bring the file to this version's schema; answers its number. StoreVersionError if it is newer already,
    StoreCorruptError if it belongs to another program."""
    ((version, application, tables),) = database.read(_WHOSE)
    known = migrations()
    latest = known[-1][0]
    if application == APPLICATION_ID and version == latest:
        return latest
    _check_ours(application, tables, database.name)
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
