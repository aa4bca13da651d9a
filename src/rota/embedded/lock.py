"""The lock that makes one process at a time the only one that carries out what a database file holds.

It is an exclusive lock on FILE.lock, so it goes with its process, however that ends. The file says who has it: a
server, which carries out everything, or a command, which carries out one batch run and is gone with it. What it says is
worth nothing once the lock is free, so `holder_of` asks for the lock itself, shared, for an instant; one who wants it
in that instant tries again.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from pathlib import Path
from typing import NamedTuple

from rota.core.errors import StoreLockedError, StoreReadOnlyError

_TRIES = 5
_PAUSE = 0.01


class Holder(NamedTuple):
    """Who has a database file. only: the id of the one batch run that it carries out; empty as long as it has not said
    which, None for a server."""

    who: str
    only: str | None = None

    def carries(self, batch_run: str) -> bool:
        """Whether it may be carrying out this batch run."""
        return not self.only or self.only == batch_run


class ServerLock:
    """At most one holder for a database file; StoreLockedError names the one there is."""

    def __init__(self, database: Path, only: str | None = None) -> None:
        if database.exists() and not os.access(database, os.W_OK):
            # SQLite opens such a file for reading, and fails at the first write only.
            raise StoreReadOnlyError(f"{database} cannot be written, which a server must", database=str(database))
        self._path = _lock_of(database)
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreReadOnlyError(
                f"{self._path} cannot be written ({error.strerror})", database=str(database)
            ) from None
        if not self._taken():
            found = _said(self._file)
            os.close(self._file)
            which = "" if found.only is None else ", which carries out a batch run"
            which += f" ({found.only})" if found.only else ""
            raise StoreLockedError(
                f"{database} is served already, by {found.who}{which}; stop that one first", database=str(database)
            ) from None
        self.carry(only)

    def _taken(self) -> bool:
        for _ in range(_TRIES):
            if _try(self._file, fcntl.LOCK_EX):
                return True
            time.sleep(_PAUSE)
        return False

    def carry(self, only: str | None) -> None:
        """Say what the holder carries out, as in Holder."""
        who = f"process {os.getpid()} on {socket.gethostname()}"
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, (f"{who}\n" if only is None else f"{who}\n{only}\n").encode(), 0)

    def release(self) -> None:
        os.ftruncate(self._file, 0)
        os.close(self._file)


def holder_of(database: Path) -> Holder | None:
    """Who has the database file now; None if nobody has."""
    try:
        file = os.open(_lock_of(database), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # there never was one
        return None
    try:
        return None if _try(file, fcntl.LOCK_SH) else _said(file)
    finally:
        os.close(file)


def _lock_of(database: Path) -> Path:
    return database.with_name(database.name + ".lock")


def _try(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _said(file: int) -> Holder:
    who, *only = os.pread(file, 1000, 0).decode(errors="replace").splitlines() or ["another process"]
    return Holder(who, only[0] if only else None)
