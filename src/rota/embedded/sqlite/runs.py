"""Runs and dead letters in SQLite."""

from __future__ import annotations

import builtins
import sqlite3
from collections.abc import Sequence

import msgspec

from rota.core.run import Claim, DeadLetter, Run, RunKey, RunRecord, Settlement
from rota.embedded.sqlite.connection import Database
from rota.embedded.sqlite.history import RunHistory
from rota.embedded.sqlite.rows import PENDING, Specs, failure_value, pending_run
from rota.embedded.sqlite.settling import settle_runs
from rota.embedded.sqlite.transitions import (
    INSERT_PENDING,
    accept_runs,
    cancel_runs,
    claim_run,
    find_pending,
    release_held,
)
from rota.ports.runs import RunQuery

_encode = msgspec.json.Encoder().encode
_KEYS = "(SELECT value ->> 0, value ->> 1 FROM json_each(?))"


def keys_json(keys: Sequence[RunKey]) -> str:
    """Many run keys as one parameter, for `(schedule_id, scheduled) IN _KEYS`."""
    return _encode(list(keys)).decode()


class SqliteRuns:
    """RunStore on a Database."""

    def __init__(self, database: Database, specs: Specs) -> None:
        self._db = database
        self._specs = specs
        self._history = RunHistory(database, specs)

    def accept(self, runs: Sequence[Run], *, fresh: bool = False) -> None:
        self._db.write(lambda connection: accept_runs(connection, self._specs, runs))

    def due(self, until: int, limit: int, after: Run | None = None) -> builtins.list[Run]:
        if after is None:
            sql = f"SELECT {PENDING} FROM runs_pending WHERE due <= ? ORDER BY due, schedule_id, scheduled LIMIT ?"
            rows = self._db.read(sql, (until, limit))
        else:
            sql = (
                f"SELECT {PENDING} FROM runs_pending WHERE due <= ? AND (due, schedule_id, scheduled) > (?, ?, ?)"
                " ORDER BY due, schedule_id, scheduled LIMIT ?"
            )
            rows = self._db.read(sql, (until, after.due, after.schedule_id, after.scheduled, limit))
        return [pending_run(row, self._specs) for row in rows]

    def next_due(self) -> int | None:
        ((found,),) = self._db.read("SELECT min(due) FROM runs_pending")
        return None if found is None else int(found)

    def claim(self, claims: Sequence[Claim]) -> builtins.list[bool]:
        return self._db.write(lambda connection: [claim_run(connection, self._specs, claim) for claim in claims])

    def settle(self, settlements: Sequence[Settlement], claims: Sequence[Claim] = ()) -> builtins.list[Run]:
        def work(connection: sqlite3.Connection) -> builtins.list[Run]:
            for claim in claims:
                claim_run(connection, self._specs, claim)
            settle_runs(connection, self._specs, settlements)
            ended = {s.run.schedule_id for s in settlements if s.run.recurring}
            freed = release_held(connection, ended) if ended else []
            rows = [row for key in freed if (row := find_pending(connection, key)) is not None]
            return [pending_run(row, self._specs) for row in rows]

        return self._db.write(work)

    def running(self) -> builtins.list[Claim]:
        rows = self._db.read(
            "SELECT due, schedule_id, scheduled, spec, payload, attempt - 1, recurring, started FROM runs_open WHERE held = 0"
            " ORDER BY due, schedule_id, scheduled"
        )
        return [Claim(pending_run(row[:7], self._specs), row[7]) for row in rows]

    def cancelled(self, keys: Sequence[RunKey]) -> builtins.list[RunKey]:
        sql = f"SELECT schedule_id, scheduled FROM runs_open WHERE cancel = 1 AND (schedule_id, scheduled) IN {_KEYS}"
        return [RunKey(*row) for row in self._db.read(sql, (keys_json(keys),))]

    def cancel(self, keys: Sequence[RunKey], now: int) -> builtins.list[RunKey]:
        return self._db.write(lambda connection: cancel_runs(connection, keys, now))

    def get(self, key: RunKey) -> RunRecord | None:
        return self._history.get(key)

    def list(self, query: RunQuery) -> builtins.list[RunRecord]:
        return self._history.list(query)

    def counts(self) -> dict[str, int]:
        rows = self._db.read(
            "SELECT 'pending', (SELECT count(*) FROM runs_pending) UNION ALL SELECT 'held', (SELECT count(*) FROM runs_open WHERE held = 1)"
            " UNION ALL SELECT 'running', (SELECT count(*) FROM runs_open WHERE held = 0)"
            " UNION ALL SELECT 'dead', (SELECT count(*) FROM dead_letters)"
        )
        return dict(rows)

    def dead_letters(
        self, schedule_id: str | None, limit: int, after: RunKey | None = None
    ) -> builtins.list[DeadLetter]:
        where: list[str] = ["1"]
        values: list[object] = []
        if schedule_id is not None:
            where.append("schedule_id = ?")
            values.append(schedule_id)
        if after is not None:
            where.append("(scheduled < ? OR scheduled = ? AND schedule_id > ?)")
            values += [after.scheduled, after.scheduled, after.schedule_id]
        return self._dead(f"{' AND '.join(where)} ORDER BY scheduled DESC, schedule_id LIMIT ?", (*values, limit))

    def dead_letter(self, key: RunKey) -> DeadLetter | None:
        found = self._dead("schedule_id = ? AND scheduled = ?", tuple(key))
        return msgspec.structs.replace(found[0], attempts=self._history.attempts(key)) if found else None

    def _dead(self, where: str, values: tuple[object, ...]) -> builtins.list[DeadLetter]:
        sql = f"SELECT schedule_id, scheduled, at, attempt, spec, payload, failure, recurring FROM dead_letters WHERE {where}"
        return [
            DeadLetter(
                schedule_id,
                scheduled,
                at,
                attempt,
                self._specs.spec(spec),
                payload,
                failure_value(failure),
                recurring == 1,
            )
            for schedule_id, scheduled, at, attempt, spec, payload, failure, recurring in self._db.read(sql, values)
        ]

    def redrive(self, keys: Sequence[RunKey], now: int) -> builtins.list[RunKey]:
        def work(connection: sqlite3.Connection) -> builtins.list[RunKey]:
            found = []
            for key in keys:
                row = connection.execute(
                    "DELETE FROM dead_letters WHERE schedule_id = ? AND scheduled = ? RETURNING spec, payload, recurring",
                    key,
                ).fetchone()
                if row is not None:
                    spec, payload, recurring = row
                    connection.execute(
                        "DELETE FROM runs_done WHERE scheduled = ? AND schedule_id = ?",
                        (key.scheduled, key.schedule_id),
                    )
                    connection.execute(INSERT_PENDING, (now, *key, spec, payload, 0, recurring, 1))
                    found.append(key)
            return found

        return self._db.write(work)

    def purge(self, keys: Sequence[RunKey]) -> builtins.list[RunKey]:
        def work(connection: sqlite3.Connection) -> builtins.list[RunKey]:
            sql = "DELETE FROM dead_letters WHERE schedule_id = ? AND scheduled = ?"
            return [key for key in keys if connection.execute(sql, key).rowcount]

        return self._db.write(work)

    def forget_runs(self, before: int, limit: int) -> int:
        def work(connection: sqlite3.Connection) -> int:
            rows = connection.execute(
                "SELECT scheduled, schedule_id FROM runs_done AS it WHERE scheduled < ? AND NOT EXISTS (SELECT 1 FROM dead_letters"
                " WHERE schedule_id = it.schedule_id AND scheduled = it.scheduled) ORDER BY scheduled, schedule_id LIMIT ?",
                (before, limit),
            ).fetchall()
            connection.executemany("DELETE FROM runs_done WHERE scheduled = ? AND schedule_id = ?", rows)
            connection.executemany("DELETE FROM attempts WHERE scheduled = ? AND schedule_id = ?", rows)
            return len(rows)

        return self._db.write(work)
