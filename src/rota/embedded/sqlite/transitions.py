"""Moves of runs between their tables, each within a transaction that its caller opened.

A run is in exactly one of runs_pending, runs_open and runs_done; every function here takes it out of one and puts it
into another.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from rota.core.errors import ExistsError
from rota.core.run import OUTCOMES, Claim, Run, RunKey
from rota.embedded.sqlite.rows import PENDING, Specs, pending_rows

_encode = msgspec.json.Encoder().encode
INSERT_PENDING = f"INSERT INTO runs_pending ({PENDING}, moved) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_OPEN = (
    "INSERT INTO runs_open (schedule_id, scheduled, due, spec, payload, attempt, recurring, held, started)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_DONE = (
    "INSERT OR REPLACE INTO runs_done (scheduled, schedule_id, due, started, finished, attempt, outcome, recurring, spec, payload, value, failure)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
DELETE_PENDING = "DELETE FROM runs_pending WHERE due = ? AND schedule_id = ? AND scheduled = ?"
DELETE_OPEN = "DELETE FROM runs_open WHERE schedule_id = ? AND scheduled = ?"
_TAKEN = (
    "WITH asked AS (SELECT value ->> 0 AS schedule_id, value ->> 1 AS scheduled FROM json_each(?))"
    " SELECT schedule_id, scheduled FROM asked JOIN runs_open USING (schedule_id, scheduled)"
    " UNION ALL SELECT p.schedule_id, p.scheduled FROM asked JOIN runs_pending AS p"
    " ON p.moved = 1 AND p.schedule_id = asked.schedule_id AND p.scheduled = asked.scheduled"
)
_SEEN = (
    "SELECT EXISTS (SELECT 1 FROM runs_open) OR EXISTS (SELECT 1 FROM runs_pending WHERE moved = 1),"
    " (SELECT max(scheduled) FROM runs_done)"
)
"""Whether any open run may have another primary key than its id says, and the latest finished one: nothing finished is
scheduled later, so that the usual new run costs no look."""
_CANCELLED = OUTCOMES.index("cancelled")


def find_pending(connection: sqlite3.Connection, key: RunKey) -> tuple[Any, ...] | None:
    """The pending row of a run, in the order of PENDING; an unmoved run is due when it is scheduled, so its key is
    known."""
    schedule_id, scheduled = key
    found: tuple[Any, ...] | None = connection.execute(
        f"SELECT {PENDING} FROM runs_pending WHERE due = ?2 AND schedule_id = ?1 AND scheduled = ?2"
        f" UNION ALL SELECT {PENDING} FROM runs_pending WHERE moved = 1 AND schedule_id = ?1 AND scheduled = ?2 LIMIT 1",
        (schedule_id, scheduled),
    ).fetchone()
    return found


def open_keys(connection: sqlite3.Connection, runs: Sequence[Run]) -> set[RunKey]:
    """Which of `runs` are open already. An unmoved pending run needs no look: its primary key is its id."""
    ((some, _),) = connection.execute(_SEEN)
    return _open_among(connection, runs, some)


def _open_among(connection: sqlite3.Connection, runs: Sequence[Run], some: bool) -> set[RunKey]:
    asked = [run.key for run in runs if some or run.recurring]
    return {RunKey(*row) for row in connection.execute(_TAKEN, (_encode(asked).decode(),))} if asked else set()


def accept_runs(connection: sqlite3.Connection, specs: Specs, runs: Sequence[Run]) -> None:
    """New runs become pending or held, and take the place of finished ones with the same id."""
    ((some, last),) = connection.execute(_SEEN)
    taken = _open_among(connection, runs, some)
    if taken:
        raise ExistsError("run", min(taken).id)
    if last is not None:
        _forget_done(connection, [run.key for run in runs if run.scheduled <= last])
    try:
        connection.executemany(INSERT_PENDING, pending_rows(connection, specs, runs))
    except sqlite3.IntegrityError:
        raise ExistsError("run", _taken(connection, runs)) from None
    held = [run for run in runs if run.held]
    if held:
        connection.executemany(
            INSERT_OPEN, [(*_open_row(run, specs.number(connection, run.spec)), 1, None) for run in held]
        )
        release_held(connection, {run.schedule_id for run in held})


def _open_row(run: Run, spec: int) -> tuple[object, ...]:
    return (run.schedule_id, run.scheduled, run.due, spec, run.payload, run.attempt, run.recurring)


def _forget_done(connection: sqlite3.Connection, keys: Sequence[RunKey]) -> None:
    for table in ("runs_done", "attempts", "dead_letters") if keys else ():
        connection.executemany(f"DELETE FROM {table} WHERE schedule_id = ? AND scheduled = ?", keys)


def _taken(connection: sqlite3.Connection, runs: Iterable[Run]) -> str:
    return next((run.id for run in runs if find_pending(connection, run.key)), "twice in one call")


def claim_run(connection: sqlite3.Connection, specs: Specs, claim: Claim) -> bool:
    """Pending becomes running; False if it is not pending any more."""
    run = claim.run
    if not connection.execute(DELETE_PENDING, (run.due, run.schedule_id, run.scheduled)).rowcount:
        return False
    spec = specs.number(connection, run.spec)
    values = (
        run.schedule_id,
        run.scheduled,
        run.due,
        spec,
        run.payload,
        run.attempt + 1,
        run.recurring,
        0,
        claim.started,
    )
    connection.execute(INSERT_OPEN, values)
    return True


def cancel_runs(connection: sqlite3.Connection, keys: Sequence[RunKey], now: int) -> list[RunKey]:
    """Pending and held runs end as cancelled, running ones are asked to stop; answers those that were open."""
    found = []
    for key in keys:
        pending = find_pending(connection, key)
        if pending is not None:
            due, schedule_id, scheduled, spec, payload, attempt, recurring = pending
            connection.execute(DELETE_PENDING, (due, schedule_id, scheduled))
            done = (scheduled, schedule_id, due, None, now, attempt, _CANCELLED, recurring, spec, payload, None, None)
            connection.execute(INSERT_DONE, done)
            found.append(key)
            continue
        held = connection.execute(
            "DELETE FROM runs_open WHERE schedule_id = ? AND scheduled = ? AND held = 1 RETURNING due, attempt, recurring, spec, payload",
            key,
        ).fetchone()
        if held is not None:
            due, attempt, recurring, spec, payload = held
            done = (
                key.scheduled,
                key.schedule_id,
                due,
                None,
                now,
                attempt,
                _CANCELLED,
                recurring,
                spec,
                payload,
                None,
                None,
            )
            connection.execute(INSERT_DONE, done)
            found.append(key)
        elif connection.execute(
            "UPDATE runs_open SET cancel = 1 WHERE schedule_id = ? AND scheduled = ?", key
        ).rowcount:
            found.append(key)
    release_held(connection, {key.schedule_id for key in found})
    return found


def release_held(connection: sqlite3.Connection, schedule_ids: Iterable[str]) -> list[RunKey]:
    """The earliest held run of each schedule that has no other open run becomes pending; answers them."""
    if not connection.execute("SELECT 1 FROM runs_open WHERE held = 1 LIMIT 1").fetchone():
        return []
    freed = connection.execute(
        # By schedule, not by held run: thousands may be held, and each must cost the same to release.
        "SELECT value, (SELECT min(scheduled) FROM runs_open WHERE schedule_id = value AND held = 1) AS earliest"
        " FROM json_each(?) WHERE earliest IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM runs_open WHERE schedule_id = value AND held = 0)"
        " AND NOT EXISTS (SELECT 1 FROM runs_pending WHERE moved = 1 AND schedule_id = value)",
        (_encode(sorted(schedule_ids)).decode(),),
    ).fetchall()
    connection.executemany(
        "INSERT INTO runs_pending (due, schedule_id, scheduled, spec, payload, attempt, recurring, moved)"
        " SELECT due, schedule_id, scheduled, spec, payload, attempt, recurring, 1 FROM runs_open WHERE schedule_id = ? AND scheduled = ?",
        freed,
    )
    connection.executemany(DELETE_OPEN, freed)
    return [RunKey(*row) for row in freed]
