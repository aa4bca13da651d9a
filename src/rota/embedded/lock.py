"""The lock that makes a server the only one of its database file."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

from rota.core.errors import StoreLockedError, StoreReadOnlyError


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
