"""The far tier in SQLite: schedules in an index by next tick, and the tick ledger."""

from __future__ import annotations

import builtins
import sqlite3
from collections.abc import Sequence

import msgspec

from rota.core.errors import ExistsError
from rota.core.firing import OpenRuns
from rota.core.run import RunKey
from rota.core.schedule import Change, StoredSchedule, TickRow
from rota.embedded.sqlite.connection import Database
from rota.embedded.sqlite.rows import SCHEDULE, Specs, definition_columns, state_columns, stored_schedule
from rota.embedded.sqlite.transitions import accept_runs, cancel_runs, open_keys
from rota.ports.schedules import ScheduleQuery

_encode = msgspec.json.Encoder().encode
_TICK = "schedule_id, scheduled, outcome, decided, reason, detail, count, until"
_STATUS = {
    "active": "next_tick IS NOT NULL AND paused IS NULL",
    "paused": "paused IS NOT NULL",
    "finished": "next_tick IS NULL AND paused IS NULL",
}


def ids_json(ids: Sequence[object]) -> str:
    """Many values as one parameter, for `IN (SELECT value FROM json_each(?))`."""
    return _encode(ids).decode()


class SqliteSchedules:
    """ScheduleStore on a Database."""

    def __init__(self, database: Database, specs: Specs) -> None:
        self._db = database
        self._specs = specs

    def create(self, rows: Sequence[StoredSchedule]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            taken = connection.execute(
                "SELECT id FROM schedules WHERE id IN (SELECT value FROM json_each(?))",
                (ids_json([row.id for row in rows]),),
            ).fetchone()
            if taken or len({row.id for row in rows}) < len(rows):
                raise ExistsError(
                    "schedule", taken[0] if taken else "twice in one call", "update it, or choose another id"
                )
            connection.executemany(
                "INSERT INTO schedules (id, owner, definition, payload, next_tick, next_skip, fired, paused, version, created, updated)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (row.id, row.schedule.owner, *definition_columns(row.schedule), *state_columns(row.state))
                    for row in rows
                ],
            )
            _tag(connection, rows)

        self._db.write(work)

    def get(self, ids: Sequence[str]) -> builtins.list[StoredSchedule]:
        rows = self._db.read(
            f"SELECT id, {SCHEDULE} FROM schedules WHERE id IN (SELECT value FROM json_each(?))", (ids_json(list(ids)),)
        )
        found = {row[0]: stored_schedule(row[1:]) for row in rows}
        return [found[name] for name in ids if name in found]

    def list(self, query: ScheduleQuery) -> builtins.list[StoredSchedule]:
        where: list[str] = ["1"]
        values: list[object] = []
        if query.tag is not None:
            where.append("id IN (SELECT schedule_id FROM schedule_tags WHERE tag = ?)")
            values.append(query.tag)
        if query.status is not None:
            where.append(_STATUS.get(query.status, "0"))
        if query.owner is not None:
            where.append("owner = ?")
            values.append(query.owner)
        if query.search is not None:
            where.append("(instr(casefold(id), ?) OR instr(casefold(coalesce(definition ->> 'description', '')), ?))")
            values += [query.search.casefold()] * 2
        if query.after is not None:
            where.append("id > ?")
            values.append(query.after)
        sql = f"SELECT {SCHEDULE} FROM schedules WHERE {' AND '.join(where)} ORDER BY id LIMIT ?"
        return [stored_schedule(row) for row in self._db.read(sql, (*values, query.limit))]

    def due(self, until: int, limit: int, after: tuple[int, str] | None = None) -> builtins.list[StoredSchedule]:
        behind = "" if after is None else " AND (next_tick, id) > (?, ?)"
        sql = (
            f"SELECT {SCHEDULE} FROM schedules WHERE next_tick IS NOT NULL AND paused IS NULL AND next_tick <= ?{behind}"
            " ORDER BY next_tick, id LIMIT ?"
        )
        return [stored_schedule(row) for row in self._db.read(sql, (until, *(after or ()), limit))]

    def next_due(self) -> int | None:
        ((found,),) = self._db.read(
            "SELECT min(next_tick) FROM schedules WHERE next_tick IS NOT NULL AND paused IS NULL"
        )
        return None if found is None else int(found)

    def open_runs(self, ids: Sequence[str]) -> dict[str, OpenRuns]:
        asked = ids_json(list(ids))
        rows = self._db.read(
            "SELECT schedule_id, scheduled, 0 FROM runs_pending WHERE moved = 1 AND schedule_id IN (SELECT value FROM json_each(?1))"
            " UNION ALL SELECT schedule_id, scheduled, held FROM runs_open WHERE schedule_id IN (SELECT value FROM json_each(?1))"
            " ORDER BY schedule_id, scheduled",
            (asked,),
        )
        found: dict[str, list[tuple[int, int]]] = {}
        for schedule_id, scheduled, held in rows:
            found.setdefault(schedule_id, []).append((scheduled, held))
        return {
            name: OpenRuns(
                tuple(RunKey(name, at) for at, _ in runs), tuple(RunKey(name, at) for at, held in runs if held)
            )
            for name, runs in found.items()
        }

    def apply(self, changes: Sequence[Change]) -> builtins.list[bool]:
        return self._db.write(lambda connection: self._apply(connection, changes))

    def _apply(self, connection: sqlite3.Connection, changes: Sequence[Change]) -> builtins.list[bool]:
        asked = ids_json([change.schedule_id for change in changes])
        versions = dict(
            connection.execute(
                "SELECT id, version FROM schedules WHERE id IN (SELECT value FROM json_each(?))", (asked,)
            )
        )
        answers, taken = [], []
        for change in changes:
            holds = versions.get(change.schedule_id) == change.version
            answers.append(holds)
            if holds:
                taken.append(change)
                versions[change.schedule_id] = change.after.state.version if change.after else -1
        connection.executemany(
            "UPDATE schedules SET next_tick = ?, next_skip = ?, fired = ?, paused = ?, version = ?, created = ?, updated = ? WHERE id = ?",
            [(*state_columns(change.after.state), change.schedule_id) for change in taken if change.after],
        )
        redefined = [change.after for change in taken if change.after and change.redefined]
        connection.executemany(
            "UPDATE schedules SET definition = ?, payload = ?, owner = ? WHERE id = ?",
            [(*definition_columns(row.schedule), row.schedule.owner, row.id) for row in redefined],
        )
        gone = [(change.schedule_id,) for change in taken if change.after is None]
        connection.executemany("DELETE FROM schedules WHERE id = ?", gone)
        if gone or redefined:
            connection.executemany(
                "DELETE FROM schedule_tags WHERE schedule_id = ?", gone + [(row.id,) for row in redefined]
            )
            _tag(connection, redefined)
        connection.executemany(
            f"INSERT OR REPLACE INTO ticks ({_TICK}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [msgspec.structs.astuple(tick) for change in taken for tick in change.ticks],
        )
        runs = [run for change in taken for run in change.runs]
        known = open_keys(connection, runs)
        accept_runs(connection, self._specs, [run for run in runs if run.key not in known] if known else runs)
        for change in taken:
            if change.cancel:
                cancel_runs(connection, change.cancel, change.at)
        return answers

    def ticks(
        self, schedule_id: str, start: int, end: int, limit: int, *, newest_first: bool = False
    ) -> builtins.list[TickRow]:
        order = "DESC" if newest_first else "ASC"
        sql = f"SELECT {_TICK} FROM ticks WHERE schedule_id = ? AND scheduled <= ? AND until >= ? ORDER BY scheduled {order} LIMIT ?"
        return [TickRow(*row) for row in self._db.read(sql, (schedule_id, end, start, limit))]

    def tick_at(self, schedule_id: str, at: int) -> TickRow | None:
        sql = f"SELECT {_TICK} FROM ticks WHERE schedule_id = ? AND scheduled <= ? ORDER BY scheduled DESC LIMIT 1"
        rows = [TickRow(*row) for row in self._db.read(sql, (schedule_id, at))]
        return rows[0] if rows and rows[0].until >= at else None

    def forget_ticks(self, before: int, limit: int) -> int:
        def work(connection: sqlite3.Connection) -> int:
            rows = connection.execute(
                "SELECT schedule_id, scheduled FROM ticks WHERE until < ? ORDER BY until LIMIT ?", (before, limit)
            ).fetchall()
            connection.executemany("DELETE FROM ticks WHERE schedule_id = ? AND scheduled = ?", rows)
            return len(rows)

        return self._db.write(work)


def _tag(connection: sqlite3.Connection, rows: Sequence[StoredSchedule]) -> None:
    connection.executemany(
        "INSERT INTO schedule_tags (tag, schedule_id) VALUES (?, ?)",
        [(tag, row.id) for row in rows for tag in row.schedule.tags],
    )
