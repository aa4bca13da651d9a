"""A database file with its stores, and what an operator does with it: check, migrate, back up."""

from __future__ import annotations

import sqlite3
from collections.abc import Container
from pathlib import Path

from rota.core.errors import InvalidError, StoreCorruptError
from rota.embedded.sqlite.batches import SqliteBatches
from rota.embedded.sqlite.connection import Database, Durability
from rota.embedded.sqlite.failures import translated
from rota.embedded.sqlite.lacking import Lacking, lacking
from rota.embedded.sqlite.migrate import migrate, refuse_strangers
from rota.embedded.sqlite.queues import SqliteQueues
from rota.embedded.sqlite.rows import Specs
from rota.embedded.sqlite.runs import SqliteRuns
from rota.embedded.sqlite.schedules import SqliteSchedules

_BOTH = (
    "SELECT 'run ' || schedule_id || ' at ' || scheduled || ' is both {} and {}'"
    " FROM runs_{} JOIN runs_{} USING (schedule_id, scheduled)"
)
_TWO_ROWS = (
    "SELECT 'schedule ' || it.schedule_id || ' has two ledger rows that cover ' || it.scheduled FROM ticks AS it"
    " JOIN ticks AS that ON that.schedule_id = it.schedule_id AND that.scheduled < it.scheduled AND that.until >= it.scheduled"
)
_NO_SPEC = (
    "SELECT 'run ' || schedule_id || ' at ' || scheduled || ' has an unknown spec' FROM runs_pending"
    " WHERE spec NOT IN (SELECT id FROM specs)"
)
_WRONG_TOTALS = (
    "SELECT 'batch run ' || name || ' at ' || created || ' has totals that are not those of its chunks' FROM batch_runs AS it"
    " JOIN (SELECT run, count(first) AS done, sum(items) AS items, sum(succeeded) AS succeeded, sum(failed) AS failed,"
    " sum(skipped) AS skipped FROM batch_chunks GROUP BY run) AS found ON found.run = it.id"
    " WHERE (it.done, it.items, it.succeeded, it.failed, it.skipped)"
    " <> (found.done, found.items, found.succeeded, found.failed, found.skipped)"
)
_WRONG_COUNTS = (
    "SELECT 'chunk ' || number || ' of batch run ' || run || ' does not account for its items' FROM batch_chunks"
    " WHERE items <> succeeded + failed + skipped"
)
_PROMISES = (
    _BOTH.format("pending", "open", "pending", "open"),
    _BOTH.format("open", "finished", "open", "done"),
    _BOTH.format("pending", "finished", "pending", "done"),
    _TWO_ROWS,
    _NO_SPEC,
    _WRONG_TOTALS,
    _WRONG_COUNTS,
)


class SqliteFile:
    """The stores on one file. Opening creates and migrates it. Raises StoreError's children."""

    def __init__(self, path: Path, durability: Durability = "power") -> None:
        refuse_strangers(path)
        self.database: Database = Database(path, durability)
        try:
            self.version: int = migrate(self.database)
        except BaseException:
            self.database.close()
            raise
        specs = Specs(self.database)
        self.schedules: SqliteSchedules = SqliteSchedules(self.database, specs)
        self.runs: SqliteRuns = SqliteRuns(self.database, specs)
        self.queues: SqliteQueues = SqliteQueues(self.database)
        self.batches: SqliteBatches = SqliteBatches(self.database, specs)

    def check(self) -> list[str]:
        """What is wrong with the file, in sentences: SQLite's own integrity check, then what rota promises of its
        rows."""
        problems: list[str] = []
        for query in ("PRAGMA integrity_check(20)", *(f"{query} LIMIT 20" for query in _PROMISES)):
            try:
                problems += [row[0] for row in self.database.read(query) if row[0] != "ok"]
            except StoreCorruptError as error:
                problems.append(f"SQLite cannot read it: {error.__cause__}")
        return list(dict.fromkeys(problems))

    def lacking(self, tasks: Container[str], batches: Container[str]) -> list[Lacking]:
        """Every task and batch that is a target of active schedules or of runs that wait, and that is not among
        these."""
        return lacking(self.database, self.batches, tasks, batches)

    def backup(self, to: Path) -> None:
        """Copy a consistent state to `to`, which must not exist, while others go on writing."""
        if to.exists():
            raise InvalidError("to", str(to), "a file that does not exist yet")
        with translated(str(to)):
            copy = sqlite3.connect(to)
            try:
                self.database.reader().backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")
            finally:
                copy.close()

    def migrate(self) -> int:
        """The schema's number; opening has brought it there."""
        return self.version

    def close(self) -> None:
        self.database.close()
