"""SQLite's error codes as rota's errors, each with a sentence that says what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from rota.core.errors import (
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreLockedError,
    StoreReadOnlyError,
)

_PRIMARY = 0xFF


def store_error(error: sqlite3.Error, path: str) -> StoreError:
    """The rota error that `error` on the database at `path` amounts to."""
    code = (getattr(error, "sqlite_errorcode", 0) or 0) & _PRIMARY
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreLockedError(f"{path} is locked by another process for too long; nothing was written", database=path)
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return StoreReadOnlyError(
            f"{path} or its directory cannot be written ({error}); nothing was written", database=path
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return StoreReadOnlyError(
            f"{path} cannot be opened ({error}); does its directory exist, and may you write it?", database=path
        )
    if code == sqlite3.SQLITE_FULL:
        return StoreFullError(
            f"the disk of {path} is full; nothing was written, and rota goes on once there is room", database=path
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreCorruptError(
            f"{path} is damaged or not a database ({error}); restore a backup, `rota db check` says more", database=path
        )
    if code == sqlite3.SQLITE_IOERR:
        return StoreError(
            f"{path} cannot be read or written ({error}); look at the disk, its quotas and limits of file size, and rota"
            " goes on once it answers",
            database=path,
        )
    return StoreError(f"{path}: {error}", database=path)


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Raise what SQLite raises as rota's errors."""
    try:
        yield
    except sqlite3.Error as error:
        raise store_error(error, path) from error
