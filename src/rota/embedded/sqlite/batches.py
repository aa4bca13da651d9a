"""Batch runs and their ledgers in SQLite. A group of marks is one transaction, which changes the totals once."""

from __future__ import annotations

import builtins
import sqlite3
from collections.abc import Mapping, Sequence

import msgspec

from rota.core.batch import BatchKey, BatchRun, Wish
from rota.core.chunk import Chunk
from rota.core.completion import ChunkRow, FailureGroup, Mark, Signature, Verdict, group_failures
from rota.core.errors import NotFoundError
from rota.core.run import Run
from rota.core.total import Total
from rota.embedded.sqlite.batch_rows import (
    ACCEPTED,
    CHUNK,
    RUN,
    accepted_row,
    batch_run,
    chunk_row,
    chunk_text,
    find_run,
    mark_columns,
)
from rota.embedded.sqlite.connection import Database
from rota.embedded.sqlite.rows import Specs
from rota.embedded.sqlite.transitions import accept_runs
from rota.ports.batches import BatchQuery, Finished, Which

_encode = msgspec.json.Encoder().encode
_signature = msgspec.json.Decoder(Signature)
_PAGE = 200
"""Rows of a ledger in memory at once; a query more costs less than what they take up."""
_SET_MARK = (
    "UPDATE batch_chunks SET first = ?, behind = ?, items = ?, succeeded = ?, failed = ?, skipped = ?, results = ?, bytes = ?,"
    " retries = ?, revision = ?, parts = ? WHERE run = ? AND number = ?"
)
_ADD_DONE = (
    "INSERT OR IGNORE INTO batch_chunks (run, number, chunk, first, behind, items, succeeded, failed, skipped, results, bytes,"
    " retries, revision, parts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_ADD_PLANNED = "UPDATE batch_runs SET planned = planned + ?, expected = expected + ? WHERE id = ?"
_SUMS = "items, succeeded, failed, skipped, results, bytes, retries"
_ADD_SUMS = (
    "UPDATE batch_runs SET done = done + ?, items = items + ?, succeeded = succeeded + ?, failed = failed + ?,"
    " skipped = skipped + ?, results = results + ?, result_bytes = result_bytes + ?, retries = retries + ? WHERE id = ?"
)
_WHICH = {
    "all": "",
    "open": " AND first IS NULL",
    "done": " AND first IS NOT NULL",
    "redrive": " AND failed > 0 AND revision < (SELECT revision FROM batch_runs WHERE id = it.run) AND EXISTS (SELECT 1 FROM"
    " batch_failures AS f WHERE f.run = it.run AND f.chunk = it.number AND f.key IN"
    " (SELECT value FROM json_each((SELECT groups FROM batch_runs WHERE id = it.run))))",
}


class SqliteBatches:
    """BatchStore on a Database."""

    def __init__(self, database: Database, specs: Specs) -> None:
        self._db = database
        self._specs = specs

    def accept(self, runs: Sequence[BatchRun]) -> builtins.list[BatchRun]:
        return self._db.write(lambda connection: [_accept(connection, run) for run in runs])

    def get(self, keys: Sequence[BatchKey]) -> builtins.list[BatchRun]:
        sql = f"SELECT {RUN} FROM batch_runs WHERE name = ? AND created = ?"
        return [batch_run(row) for key in keys for row in self._db.read(sql, tuple(key))]

    def list(self, query: BatchQuery) -> builtins.list[BatchRun]:
        where: builtins.list[str] = ["1"]
        values: builtins.list[object] = []
        for column, value in (("name", query.name), ("state", query.state)):
            if value is not None:
                where.append(f"{column} = ?")
                values.append(value)
        if query.after is not None:
            where.append("(created < ? OR created = ? AND name > ?)")
            values += [query.after.created, query.after.created, query.after.name]
        sql = f"SELECT {RUN} FROM batch_runs WHERE {' AND '.join(where)} ORDER BY created DESC, name LIMIT ?"
        return [batch_run(row) for row in self._db.read(sql, (*values, query.limit))]

    def open(self, limit: int) -> builtins.list[BatchRun]:
        sql = f"SELECT {RUN} FROM batch_runs WHERE state IN ('pending', 'running', 'finishing') ORDER BY created, name LIMIT ?"
        return [batch_run(row) for row in self._db.read(sql, (limit,))]

    def begin(self, key: BatchKey, now: int) -> bool:
        sql = (
            "UPDATE batch_runs SET state = 'running', started = ? WHERE name = ? AND created = ? AND state = 'pending'"
        )
        return self._db.write(lambda connection: connection.execute(sql, (now, *key)).rowcount == 1)

    def record(
        self,
        key: BatchKey,
        planned: Sequence[Chunk],
        marks: Sequence[Mark],
        sealed: int | None = None,
        total: Total | None = None,
    ) -> BatchRun:
        def work(connection: sqlite3.Connection) -> BatchRun:
            run = _row_id(connection, key)
            marked = {mark.chunk.number for mark in marks}
            new = _plan(connection, run, [chunk for chunk in planned if chunk.number not in marked])
            new += _mark(connection, run, marks, {chunk.number: chunk for chunk in planned})
            if new:
                expected = sum(chunk.items or 0 for chunk in new)
                connection.execute(_ADD_PLANNED, (len(new), expected, run))
            if sealed is not None:
                connection.execute("UPDATE batch_runs SET sealed = ? WHERE id = ?", (sealed, run))
            if total is not None:
                connection.execute("UPDATE batch_runs SET about = ?, counted = ? WHERE id = ?", (*total, run))
            return _found(connection, key)

        return self._db.write(work)

    def recut(self, key: BatchKey, chunks: Sequence[Chunk]) -> BatchRun:
        def work(connection: sqlite3.Connection) -> BatchRun:
            run = _row_id(connection, key)
            for chunk in chunks:
                _take_back(connection, run, chunk.number)
                connection.execute(
                    "UPDATE batch_chunks SET chunk = ?, first = NULL, behind = NULL, items = 0, succeeded = 0, failed = 0,"
                    " skipped = 0, results = 0, bytes = 0, retries = 0, parts = NULL WHERE run = ? AND number = ?",
                    (chunk_text(chunk), run, chunk.number),
                )
            return _found(connection, key)

        return self._db.write(work)

    def ask(self, key: BatchKey, wish: Wish) -> BatchRun | None:
        def work(connection: sqlite3.Connection) -> BatchRun | None:
            changed = connection.execute(
                "UPDATE batch_runs SET wish = iif(wish = 'cancel', wish, ?) WHERE name = ? AND created = ?"
                " AND state IN ('pending', 'running')",
                (wish, *key),
            ).rowcount
            return _found(connection, key) if changed else None

        return self._db.write(work)

    def chunks(self, key: BatchKey, which: Which, after: int, limit: int) -> builtins.list[ChunkRow]:
        sql = (
            f"SELECT {CHUNK} FROM batch_chunks AS it WHERE run = (SELECT id FROM batch_runs WHERE name = ? AND created = ?)"
            f" AND number > ?{_WHICH[which]} ORDER BY number LIMIT ?"
        )
        return [chunk_row(row) for row in self._db.read(sql, (*key, after, min(limit, _PAGE)))]

    def failures(self, key: BatchKey) -> builtins.list[FailureGroup]:
        sql = (
            "SELECT signature, sum(count), message, min(chunk) FROM batch_failures"
            " WHERE run = (SELECT id FROM batch_runs WHERE name = ? AND created = ?) GROUP BY key"
        )
        rows = self._db.read(sql, tuple(key))
        return group_failures(
            [(_signature.decode(signature), count, message, chunk) for signature, count, message, chunk in rows]
        )

    def decide(self, key: BatchKey, verdict: Verdict) -> bool:
        sql = (
            "UPDATE batch_runs SET state = 'finishing', outcome = ?, error = ? WHERE name = ? AND created = ?"
            " AND state IN ('pending', 'running')"
        )
        return self._db.write(lambda connection: connection.execute(sql, (*verdict, *key)).rowcount == 1)

    def finish(self, key: BatchKey, finished: Finished, notify: Sequence[Run]) -> bool:
        def work(connection: sqlite3.Connection) -> bool:
            changed = connection.execute(
                "UPDATE batch_runs SET state = ?1, outcome = ?1, told = iif(?2, ?1, told), finished = ?3, error = ?4, version = ?5,"
                " root = ?6, manifest = ?7 WHERE name = ?8 AND created = ?9 AND state = 'finishing'",
                (
                    finished.outcome,
                    bool(notify),
                    finished.at,
                    finished.error,
                    finished.version,
                    finished.root,
                    finished.manifest,
                    *key,
                ),
            ).rowcount
            if changed and notify:
                accept_runs(connection, self._specs, notify)
            return changed == 1

        return self._db.write(work)

    def redrive(self, key: BatchKey, groups: Sequence[str], items: int = 0) -> BatchRun | None:
        def work(connection: sqlite3.Connection) -> BatchRun | None:
            changed = connection.execute(
                "UPDATE batch_runs SET state = 'pending', wish = 'run', started = NULL, finished = NULL, error = '',"
                " revision = revision + 1, groups = ?, again = ? WHERE name = ? AND created = ?"
                " AND state IN ('succeeded', 'failed', 'cancelled')",
                (_encode(list(groups)).decode(), items, *key),
            ).rowcount
            return _found(connection, key) if changed else None

        return self._db.write(work)

    def forget(self, before: int, limit: int) -> builtins.list[BatchRun]:
        def work(connection: sqlite3.Connection) -> builtins.list[BatchRun]:
            rows = connection.execute(
                f"SELECT id, {RUN} FROM batch_runs WHERE finished < ? AND failed = 0"
                " AND state IN ('succeeded', 'failed', 'cancelled') ORDER BY created, name LIMIT ?",
                (before, limit),
            ).fetchall()
            for row in rows:
                _remove(connection, row[0])
            return [batch_run(row[1:]) for row in rows]

        return self._db.write(work)

    def purge(self, key: BatchKey) -> BatchRun | None:
        def work(connection: sqlite3.Connection) -> BatchRun | None:
            run = _found(connection, key)
            if run.is_open:
                return None
            _remove(connection, _row_id(connection, key))
            return run

        return self._db.write(work)


def _accept(connection: sqlite3.Connection, run: BatchRun) -> BatchRun:
    if run.cause:
        row = connection.execute(f"SELECT {RUN} FROM batch_runs WHERE cause = ?", (run.cause,)).fetchone()
        if row is not None:
            return batch_run(row)
    taken = "SELECT 1 FROM batch_runs WHERE name = ? AND created = ?"
    while connection.execute(taken, run.key).fetchone():
        run = msgspec.structs.replace(run, created=run.created + 1)
    connection.execute(f"INSERT INTO batch_runs ({ACCEPTED}) VALUES (?, ?, ?, ?, ?, ?, ?)", accepted_row(run))
    return run


def _remove(connection: sqlite3.Connection, run: int) -> None:
    for table, column in (("batch_chunks", "run"), ("batch_failures", "run"), ("batch_runs", "id")):
        connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (run,))


def _row_id(connection: sqlite3.Connection, key: BatchKey) -> int:
    row = connection.execute("SELECT id FROM batch_runs WHERE name = ? AND created = ?", key).fetchone()
    if row is None:
        raise NotFoundError("batch run", key.id)
    return int(row[0])


def _found(connection: sqlite3.Connection, key: BatchKey) -> BatchRun:
    found = find_run(connection, key)
    if found is None:
        raise NotFoundError("batch run", key.id)
    return found[1]


def _plan(connection: sqlite3.Connection, run: int, chunks: Sequence[Chunk]) -> builtins.list[Chunk]:
    """Answers the chunks that were not known."""
    sql = "INSERT OR IGNORE INTO batch_chunks (run, number, chunk) VALUES (?, ?, ?)"
    return [chunk for chunk in chunks if connection.execute(sql, (run, chunk.number, chunk_text(chunk))).rowcount]


def _mark(
    connection: sqlite3.Connection, run: int, marks: Sequence[Mark], planned: Mapping[int, Chunk]
) -> builtins.list[Chunk]:
    """One statement a mark, unless it repeats an earlier one. planned: chunks that come with their marks, if they are
    not known. Answers the chunks that were not."""
    sums = [0] * 8
    new: builtins.list[Chunk] = []
    for mark in marks:
        number, columns = mark.chunk.number, mark_columns(mark)
        if number in planned and _add_done(connection, run, planned[number], columns):
            new.append(planned[number])
        elif not connection.execute(f"{_SET_MARK} AND first IS NULL", (*columns, run, number)).rowcount:
            sql = "SELECT revision FROM batch_chunks WHERE run = ? AND number = ?"
            known = connection.execute(sql, (run, number)).fetchone()
            if known is None:
                _add_done(connection, run, mark.chunk, columns)
                new.append(mark.chunk)
            elif known[0] > mark.revision:
                continue
            else:
                _take_back(connection, run, number)
                connection.execute(_SET_MARK, (*columns, run, number))
        for index, added in enumerate((1, *columns[2:9])):
            sums[index] += added
        if mark.failures:
            _count_failures(connection, run, mark)
    if marks:
        connection.execute(_ADD_SUMS, (*sums, run))
    return new


def _add_done(connection: sqlite3.Connection, run: int, chunk: Chunk, columns: tuple[object, ...]) -> bool:
    """A chunk and its mark; False if the chunk is known."""
    return bool(connection.execute(_ADD_DONE, (run, chunk.number, chunk_text(chunk), *columns)).rowcount)


def _count_failures(connection: sqlite3.Connection, run: int, mark: Mark) -> None:
    rows = [
        (run, mark.chunk.number, it.signature.key, _encode(it.signature).decode(), it.count, it.message)
        for it in mark.failures
    ]
    sql = "INSERT INTO batch_failures (run, chunk, key, signature, count, message) VALUES (?, ?, ?, ?, ?, ?)"
    connection.executemany(sql, rows)


def _take_back(connection: sqlite3.Connection, run: int, number: int) -> None:
    """What the chunk's mark added to the totals, and its failures, are gone; a chunk that is not done changes nothing."""
    sql = f"SELECT {_SUMS} FROM batch_chunks WHERE run = ? AND number = ? AND first IS NOT NULL"
    row = connection.execute(sql, (run, number)).fetchone()
    if row is None:
        return
    connection.execute(_ADD_SUMS, (-1, *(-value for value in row), run))
    connection.execute("DELETE FROM batch_failures WHERE run = ? AND chunk = ?", (run, number))
