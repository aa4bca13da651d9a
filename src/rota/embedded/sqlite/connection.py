"""One SQLite file: how it is opened, and how writes are grouped.

Any number of processes use the file at once (WAL). Within a process all writes go through `Database.write`. A caller
puts its work in a queue. If nobody leads, it leads: it carries out everything that is queued in one transaction, wakes
those whose work that was, and hands the lead to the first whose work came meanwhile; the others sleep. So under load one
synced commit acknowledges many callers, and a lone caller pays for nothing but its own commit. (With one lock for all,
those who were done had to take it too, and groups stayed at two.) Work that raises is undone alone, by a savepoint. A
caller returns only after the commit that holds its work; one that was interrupted while it slept may find it written.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from rota.core.errors import StoreReadOnlyError
from rota.embedded.sqlite.failures import store_error, translated

T = TypeVar("T")
Durability = Literal["power", "process"]
LOCK_PATIENCE = 15.0
"""Seconds to wait for another process's transaction before giving up."""


def retry_while_busy(execute: Callable[[], object]) -> None:
    """Execute until no other connection is in the way; SQLite's own waiting is too coarse for some statements, and others
    it lets fail at once."""
    deadline, step = time.monotonic() + LOCK_PATIENCE, 0.0002
    while True:
        try:
            execute()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(step)
            step = min(step * 1.5, 0.003)
        else:
            return


def wal(connection: sqlite3.Connection) -> None:
    """Readers and the writer do not block each other, and a commit appends instead of rewriting pages."""
    retry_while_busy(lambda: connection.execute("PRAGMA journal_mode = WAL"))


def synchronous(connection: sqlite3.Connection, durability: Durability) -> None:
    """FULL syncs the log at every commit, which power loss demands; NORMAL leaves that to checkpoints, which still
    survives `kill -9`."""
    connection.execute(f"PRAGMA synchronous = {'FULL' if durability == 'power' else 'NORMAL'}")


def page_cache(connection: sqlite3.Connection, mebibytes: int) -> None:
    """Large transactions that update or delete re-read their pages; the default of 2 MB makes them do it from the
    file."""
    connection.execute(f"PRAGMA cache_size = -{mebibytes * 1024}")


def rare_checkpoints(connection: sqlite3.Connection) -> None:
    """A checkpoint stalls the commit that triggers it; every 16 MB instead of every 4 MB."""
    connection.execute("PRAGMA wal_autocheckpoint = 4000")


def open_connection(path: Path, durability: Durability, *, cache: int = 8) -> sqlite3.Connection:
    """A connection with everything set. cache: MiB, a bound, not a reservation."""
    connection = sqlite3.connect(
        path, timeout=LOCK_PATIENCE, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        wal(connection)
        synchronous(connection, durability)
        page_cache(connection, cache)
        rare_checkpoints(connection)
        connection.create_function("casefold", 1, str.casefold, deterministic=True)
    except BaseException:
        connection.close()
        raise
    return connection


class _Job(Generic[T]):
    """Work that a thread brought. wake: held until it is done or is to lead. left: its thread was interrupted."""

    __slots__ = ("done", "error", "leads", "left", "value", "wake", "work")

    def __init__(self, work: Callable[[sqlite3.Connection], T]) -> None:
        self.work = work
        self.done = False
        self.leads = False
        self.left = False
        self.wake: threading.Lock | None = None
        self.value: T
        self.error: BaseException | None = None


class Database:
    """The file at `path`, opened for this process. Raises StoreError's children."""

    def __init__(self, path: Path, durability: Durability = "power") -> None:
        self.path = path
        self.name: str = str(path)
        self.durability: Durability = durability
        if path.is_dir():
            raise StoreReadOnlyError(f"{path} is a directory, not a database file", database=self.name)
        with translated(self.name):
            self._writer = open_connection(path, durability, cache=16)
            self._writer.execute("PRAGMA busy_timeout = 0")
        self._lock = threading.Lock()
        self._queue = threading.Lock()
        self._jobs: deque[_Job[object]] = deque()
        self._led = False
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self.rollbacks: int = 0
        """How many transactions were undone; who caches what a transaction wrote compares this."""

    def reader(self) -> sqlite3.Connection:
        """This thread's own connection for reading."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            with translated(self.name):
                found = open_connection(self.path, self.durability, cache=4)
                found.execute("PRAGMA query_only = ON")
            self._local.connection = found
            self._readers.append(found)
        return found

    def read(self, sql: str, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of one query."""
        try:
            return self.reader().execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise store_error(error, self.name) from error

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Carry out `work` in a transaction, alone or with what other threads brought, and return its answer once it
        is committed."""
        job = _Job(work)
        try:
            self._join(job)
            if not job.done:
                with self._lock:
                    self._commit_group()
        finally:
            if job.leads or not job.done:
                self._leave(job)
        if job.error is not None:
            raise job.error
        return job.value

    def _join(self, job: _Job[T]) -> None:
        """Returns when the job is done, or leads."""
        with self._queue:
            if self._led:
                job.wake = threading.Lock()
                job.wake.acquire()
            else:
                self._led = job.leads = True
            self._jobs.append(job)  # type: ignore[arg-type]
        if job.wake is not None:
            job.wake.acquire()

    def _leave(self, job: _Job[T]) -> None:
        """Let the next job lead, if this one did."""
        with self._queue:
            job.left = True
            while job.leads and self._jobs and self._jobs[0].left:
                self._jobs.popleft()
            if job.leads and self._jobs:
                self._jobs[0].leads = True
                self._wake(self._jobs[0])
            elif job.leads:
                self._led = False

    @staticmethod
    def _wake(job: _Job[object]) -> None:
        if job.wake is not None and job.wake.locked():
            job.wake.release()

    def _commit_group(self) -> None:
        jobs: list[_Job[object]] = []
        try:
            self._begin()
            while self._jobs:
                job = self._jobs.popleft()
                jobs.append(job)
                if len(jobs) == 1 and not self._jobs:
                    job.value = job.work(self._writer)
                else:
                    self._in_savepoint(job)
            self._writer.execute("COMMIT")
        except BaseException as error:
            self.rollbacks += 1
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            while not jobs and self._jobs:
                jobs.append(self._jobs.popleft())
            said = store_error(error, self.name) if isinstance(error, sqlite3.Error) else error
            for job in jobs:
                job.error = job.error or said
            if not isinstance(error, Exception):
                raise
        finally:
            for job in jobs:
                job.done = True
                self._wake(job)

    def _in_savepoint(self, job: _Job[object]) -> None:
        self._writer.execute("SAVEPOINT job")
        try:
            job.value = job.work(self._writer)
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001 it is raised again in the thread that brought the job
            job.error = error
            self.rollbacks += 1
            self._writer.execute("ROLLBACK TO job")
        self._writer.execute("RELEASE job")

    def _begin(self) -> None:
        """BEGIN IMMEDIATE; waits in steps far shorter than SQLite's own, which would add up to 100 ms of lateness."""
        retry_while_busy(lambda: self._writer.execute("BEGIN IMMEDIATE"))

    def version(self) -> int:
        """A number that changes whenever another process, or another Database of this one, committed."""
        with self._lock, translated(self.name):
            return int(self._writer.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        with self._lock:
            for connection in (*self._readers, self._writer):
                connection.close()
            self._readers.clear()
