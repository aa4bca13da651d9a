"""A table of an SQLite database as sink: each result replaces the row with its key.

One transaction a chunk. Beside the table stands `rota_parts`, with a row a chunk written in the same transaction, which
says which run wrote what. Several runs may write to one table: that is what a key is for.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Self

from rota.connectors.atomic import check_writable
from rota.connectors.jsonl import join_lines
from rota.connectors.options import SqliteTable
from rota.connectors.part_files import part_name
from rota.connectors.result_formats import plain_fields
from rota.core.chunk import Chunk
from rota.core.errors import ConflictError, InvalidError, StoreError
from rota.core.receipt import Delivered, Part

_WAIT_SECONDS = 60
_PARTS = """CREATE TABLE IF NOT EXISTS rota_parts (
    part TEXT NOT NULL, run TEXT NOT NULL, sink TEXT NOT NULL, items INTEGER NOT NULL, bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL, PRIMARY KEY (run, sink, part)) WITHOUT ROWID"""


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class SqliteTableSink:
    """The `Sink` of `SqliteTable`."""

    def __init__(self, options: SqliteTable) -> None:
        self._path = Path(options.path)
        self._table = options.table
        self._key = options.key
        self._run = ""

    def check(self) -> None:
        if not self._table or "\0" in self._table or self._table.startswith("sqlite_") or self._table == "rota_parts":
            raise InvalidError("table", self._table, "the name of a table of yours is")
        if not self._key:
            raise InvalidError("key", self._key, "the name of the field that tells results apart is")
        if self._path.is_dir():
            raise InvalidError("sink", str(self._path), "a database file is, and this is a directory")
        if not self._path.absolute().parent.is_dir():
            raise InvalidError("sink", str(self._path), "a file in a directory that exists is")
        check_writable("sink", self._path.parent)

    def holder(self) -> str | None:
        return None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        # Processes are forked, and a connection must not be; opening one costs far less than a chunk.
        try:
            connection = sqlite3.connect(self._path, timeout=_WAIT_SECONDS, isolation_level=None)
        except sqlite3.Error as error:
            raise StoreError(f"sink {str(self._path)!r} cannot be opened: {error}", sink=str(self._path)) from error
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(
                f"sink {str(self._path)!r}, table {self._table!r}: {error}", sink=str(self._path)
            ) from error
        finally:
            connection.close()

    def prepare(self, run_id: str) -> None:
        self._run = run_id
        with self._transaction() as connection:
            connection.execute(_PARTS)
            found = self._columns(connection)
            if found and self._key not in self._unique(connection):
                raise ConflictError(
                    f"{self._table!r} in {str(self._path)!r} has no primary key or unique index on {self._key!r}; "
                    "a result written twice would be there twice",
                    sink=str(self._path),
                )

    def _columns(self, connection: sqlite3.Connection) -> list[str]:
        return [row[1] for row in connection.execute(f"PRAGMA table_info({_quoted(self._table)})")]

    def _unique(self, connection: sqlite3.Connection) -> set[str]:
        table = _quoted(self._table)
        primary = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[5]]
        unique = {primary[0]} if len(primary) == 1 else set()
        for row in connection.execute(f"PRAGMA index_list({table})").fetchall():
            columns = [info[2] for info in connection.execute(f"PRAGMA index_info({_quoted(row[1])})")]
            if row[2] and len(columns) == 1:
                unique.add(columns[0])
        return unique

    def write(self, chunk: Chunk, results: Iterable[Sequence[object]], revision: int = 0) -> Part:
        digest = hashlib.sha256()
        items = size = 0
        name = part_name(chunk.number, revision, "rows")
        # Results are computed before the transaction begins, so that a slow task holds no lock.
        rows: list[dict[str, object]] = []
        for block in results:
            for result in block:
                problem = self.refusal(result)
                fields = None if problem else plain_fields(result)
                if fields is None:
                    raise InvalidError("result", result, problem or "an object with named fields is")
                rows.append(fields)
            items += len(block)
            data = join_lines(block)
            digest.update(data)
            size += len(data)
        part = Part(name, items, size, digest.hexdigest())
        with self._transaction() as connection:
            if rows:
                self._make_table(connection, list(rows[0]))
            for columns, alike in groupby(rows, key=tuple):
                connection.executemany(self._upsert(columns), [tuple(row.values()) for row in alike])
            connection.execute(
                "INSERT OR REPLACE INTO rota_parts (part, run, sink, items, bytes, sha256) VALUES (?, ?, ?, ?, ?, ?)",
                (name, self._run, self._table, items, size, part.sha256),
            )
        return part

    def _make_table(self, connection: sqlite3.Connection, columns: list[str]) -> None:
        if self._columns(connection):
            return
        rest = [_quoted(name) for name in columns if name != self._key]
        connection.execute(
            f"CREATE TABLE {_quoted(self._table)} ({', '.join([f'{_quoted(self._key)} PRIMARY KEY NOT NULL', *rest])})"
        )

    def _upsert(self, columns: tuple[str, ...]) -> str:
        names = ", ".join(map(_quoted, columns))
        updates = ", ".join(f"{_quoted(name)} = excluded.{_quoted(name)}" for name in columns if name != self._key)
        # Names are quoted above, values are bound.
        insert = f"INSERT INTO {_quoted(self._table)} ({names}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
        return f"{insert} ON CONFLICT ({_quoted(self._key)}) DO {f'UPDATE SET {updates}' if updates else 'NOTHING'}"

    def sync(self, parts: Iterable[Part]) -> None:
        """A transaction that has ended is durable."""

    def refusal(self, result: object) -> str | None:
        try:
            fields = plain_fields(result)
        except (TypeError, ValueError, RecursionError) as error:
            return f"the result cannot be written to a table: {error}"
        if fields is None:
            return "a result for a table must be an object with named fields"
        return None if fields.get(self._key) is not None else f"the result has no value for the key {self._key!r}"

    def finish(self, parts: Iterable[Part]) -> Delivered:
        for _ in parts:
            pass
        return self.left()

    def left(self) -> Delivered:
        return Delivered("table", f"{self._path}#{self._table}")

    def discard(self, run_id: str) -> None:
        """Forgets which chunks the run wrote. The rows stay: by key, they may have been another run's before."""
        with self._transaction() as connection:
            connection.execute(_PARTS)
            connection.execute("DELETE FROM rota_parts WHERE run = ? AND sink = ?", (run_id, self._table))


class SqliteParts:
    """The parts that a run committed to a table, to be compared with a manifest. location: as in `Delivered`."""

    def __init__(self, location: str, run: str) -> None:
        path, _, self._table = location.rpartition("#")
        self._path = Path(path)
        self._run = run
        self._results = 0
        self._connection: sqlite3.Connection | None = None
        self._problem = ""

    def __enter__(self) -> Self:
        try:
            self._connection = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True)
            self._connection.execute("SELECT 1 FROM rota_parts LIMIT 1")
        except sqlite3.Error as error:
            self._fail(error)
        return self

    def _fail(self, error: sqlite3.Error) -> None:
        self._problem = f"the database {str(self._path)!r} cannot be read: {error}"
        self.__exit__()

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def check(self, part: Part) -> Iterator[str]:
        """What is wrong with one part."""
        self._results += part.items
        if self._connection is None:
            return
        sql = "SELECT items, bytes, sha256 FROM rota_parts WHERE run = ? AND sink = ? AND part = ?"
        try:
            row = self._connection.execute(sql, (self._run, self._table, part.name)).fetchone()
        except sqlite3.Error as error:
            self._fail(error)
            return
        if row is None:
            yield f"part {part.name} was never committed to the database"
        elif row != (part.items, part.bytes, part.sha256):
            yield f"part {part.name} was committed with other results than the manifest's"

    def check_end(self) -> Iterator[str]:
        """What is wrong with the table as a whole."""
        if self._connection is not None and self._results:
            try:
                empty = self._connection.execute(f"SELECT 1 FROM {_quoted(self._table)} LIMIT 1").fetchone() is None  # noqa: S608
            except sqlite3.Error as error:
                self._fail(error)
            else:
                if empty:
                    yield f"the table {self._table!r} is empty"
        if self._problem:
            yield self._problem
