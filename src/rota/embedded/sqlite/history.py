"""Reading runs in SQLite: one by id wherever it is, and pages of them across the tables of their states."""

from __future__ import annotations

import builtins
from typing import Any

from rota.core.run import OUTCOMES, AttemptRow, RunKey, RunRecord
from rota.embedded.sqlite.connection import Database
from rota.embedded.sqlite.rows import Specs, failure_value
from rota.ports.runs import RunQuery

_COLUMNS = "schedule_id, scheduled, due, {state}, attempt, spec, payload, {started}, {finished}, {value}, {failure}"
_PENDING = _COLUMNS.format(state="'pending'", started="NULL", finished="NULL", value="NULL", failure="NULL")
_OPEN = _COLUMNS.format(
    state="CASE held WHEN 1 THEN 'held' ELSE 'running' END",
    started="started",
    finished="NULL",
    value="NULL",
    failure="NULL",
)
_DONE = _COLUMNS.format(state="outcome", started="started", finished="finished", value="value", failure="failure")


class RunHistory:
    """The reading half of SqliteRuns."""

    def __init__(self, database: Database, specs: Specs) -> None:
        self._db = database
        self._specs = specs

    def get(self, key: RunKey) -> RunRecord | None:
        at = tuple(key)
        rows = self._db.read(
            f"SELECT {_PENDING} FROM runs_pending WHERE due = ?2 AND schedule_id = ?1 AND scheduled = ?2"
            f" UNION ALL SELECT {_PENDING} FROM runs_pending WHERE moved = 1 AND schedule_id = ?1 AND scheduled = ?2"
            f" UNION ALL SELECT {_OPEN} FROM runs_open WHERE schedule_id = ?1 AND scheduled = ?2"
            f" UNION ALL SELECT {_DONE} FROM runs_done WHERE schedule_id = ?1 AND scheduled = ?2 LIMIT 1",
            at,
        )
        return self._record(rows[0], self.attempts(key)) if rows else None

    def attempts(self, key: RunKey) -> tuple[AttemptRow, ...]:
        rows = self._db.read(
            "SELECT attempt, started, finished, failure FROM attempts WHERE schedule_id = ? AND scheduled = ? ORDER BY started, attempt",
            tuple(key),
        )
        return tuple(AttemptRow(a, s, f, failure_value(failure)) for a, s, f, failure in rows)

    def list(self, query: RunQuery) -> builtins.list[RunRecord]:
        found: list[RunRecord] = []
        if query.state in (None, "pending"):
            found += self._page(_PENDING, "runs_pending", query, "moved = 0", "due")
            found += self._page(_PENDING, "runs_pending", query, "moved = 1", "scheduled")
        if query.state in (None, "held", "running"):
            held = {None: "1", "held": "held = 1", "running": "held = 0"}[query.state]
            found += self._page(_OPEN, "runs_open", query, held, "scheduled")
        if query.state is None or query.state in OUTCOMES:
            outcome = "1" if query.state is None else f"outcome = {OUTCOMES.index(query.state)}"
            outcome += " AND outcome <> 0" if query.state not in (None, "succeeded") else ""
            found += self._done(query, outcome)
        found.sort(key=lambda record: (-record.scheduled, record.schedule_id))
        return found[: query.limit]

    def _done(self, query: RunQuery, where: str) -> builtins.list[RunRecord]:
        """One-offs are left out of the index by schedule, so a schedule's runs are looked for with and without it."""
        if query.schedule_id is None:
            return self._page(_DONE, "runs_done", query, where, "scheduled")
        recurring = self._page(_DONE, "runs_done", query, f"{where} AND recurring = 1", "scheduled")
        return recurring or self._page(_DONE, "runs_done", query, where, "scheduled")

    def _page(self, columns: str, table: str, query: RunQuery, where: str, time: str) -> builtins.list[RunRecord]:
        """time: the column that holds the scheduled time and that the table is clustered by, where there is such a
        one."""
        conditions: list[str] = [where]
        values: list[object] = []
        if query.schedule_id is not None:
            conditions.append("schedule_id = ?")
            values.append(query.schedule_id)
        if query.start is not None:
            conditions.append(f"{time} >= ?")
            values.append(query.start)
        if query.end is not None:
            conditions.append(f"{time} <= ?")
            values.append(query.end)
        if query.after is not None:
            conditions.append(f"{time} <= ? AND ({time} < ? OR schedule_id > ?)")
            values += [query.after.scheduled, query.after.scheduled, query.after.schedule_id]
        sql = (
            f"SELECT {columns} FROM {table} WHERE {' AND '.join(conditions)} ORDER BY {time} DESC, schedule_id LIMIT ?"
        )
        return [self._record(row) for row in self._db.read(sql, (*values, query.limit))]

    def _record(self, row: tuple[Any, ...], attempts: tuple[AttemptRow, ...] = ()) -> RunRecord:
        schedule_id, scheduled, due, state, attempt, spec, payload, started, finished, value, failure = row
        if isinstance(state, int):
            state = OUTCOMES[state]
        return RunRecord(
            schedule_id,
            scheduled,
            due,
            state,
            attempt,
            self._specs.spec(spec),
            payload,
            started,
            finished,
            value,
            failure_value(failure),
            attempts,
        )
