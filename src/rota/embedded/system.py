"""What this machine provides: its clock, identifiers nobody else draws, and the lock that makes a server the only one
of its file."""

from __future__ import annotations

import fcntl
import itertools
import os
import secrets
import socket
import time
from pathlib import Path

from rota.core.errors import StoreLockedError, StoreReadOnlyError


class SystemClock:
    """The wall clock in epoch milliseconds."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000


class RandomIds:
    """Ids such as once-k3v9q0x7m2ab-1: drawn once a process, counted within it, so that a million cost little."""

    def __init__(self) -> None:
        alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
        self._prefix = "once-" + "".join(secrets.choice(alphabet) for _ in range(12)) + "-"
        self._count = itertools.count(1)

    def new(self) -> str:
        return f"{self._prefix}{next(self._count)}"

    def new_many(self, n: int) -> list[str]:
        prefix = self._prefix
        return [f"{prefix}{number}" for number in itertools.islice(self._count, n)]


class ServerLock:
    """At most one server for a database file: an exclusive lock on FILE.lock, which says who holds it and goes with
    its process."""

    def __init__(self, database: Path) -> None:
        if database.exists() and not os.access(database, os.W_OK):
            # SQLite opens such a file for reading, and fails at the first write only.
            raise StoreReadOnlyError(f"{database} cannot be written, which a server must", database=str(database))
        self._path = database.with_name(database.name + ".lock")
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreReadOnlyError(
                f"{self._path} cannot be written ({error.strerror})", database=str(database)
            ) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._file, 200, 0).decode(errors="replace").strip() or "another process"
            os.close(self._file)
            raise StoreLockedError(
                f"{database} is served already, by {holder}; stop that one first", database=str(database)
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)

    def release(self) -> None:
        os.ftruncate(self._file, 0)
        os.close(self._file)
