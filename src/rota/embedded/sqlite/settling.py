"""How attempts ended, written down: runs become finished or pending again, and some become dead letters.

Almost every settlement is of a run that succeeded, so that path is two statements for the whole group; what failed takes the
longer way, one by one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from rota.core.run import OUTCOMES, RunKey, Settlement
from rota.embedded.sqlite.rows import Specs, failure_text
from rota.embedded.sqlite.transitions import DELETE_OPEN, DELETE_PENDING, INSERT_DONE, INSERT_PENDING, find_pending

_INSERT_ATTEMPT = "INSERT OR REPLACE INTO attempts (schedule_id, scheduled, started, attempt, finished, failure) VALUES (?, ?, ?, ?, ?, ?)"
_INSERT_DEAD = (
    "INSERT OR REPLACE INTO dead_letters (schedule_id, scheduled, at, attempt, recurring, spec, payload, failure)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


def settle_runs(connection: sqlite3.Connection, specs: Specs, settlements: Sequence[Settlement]) -> None:
    """Runs, wherever they are, become finished, or pending again."""
    final = [s for s in settlements if s.outcome is not None]
    for settlement in settlements:
        if settlement.outcome is None:
            final += _try_again(connection, specs, settlement)
    _remove_open(connection, final)
    connection.executemany(INSERT_DONE, [_done_row(connection, specs, s) for s in final])
    failed = [s for s in settlements if s.failure is not None]
    connection.executemany(
        _INSERT_ATTEMPT,
        [(*_key(s), s.started, s.attempt, s.finished, failure_text(s.failure)) for s in failed],
    )
    if connection.execute("SELECT 1 FROM dead_letters LIMIT 1").fetchone():
        connection.executemany("DELETE FROM dead_letters WHERE schedule_id = ? AND scheduled = ?", map(_key, final))
    connection.executemany(_INSERT_DEAD, [_dead_row(connection, specs, s) for s in failed if s.dead])


def _try_again(connection: sqlite3.Connection, specs: Specs, settlement: Settlement) -> Iterable[Settlement]:
    """The run becomes pending again, unless it was asked to stop (answers how it ended then) or is not open any more."""
    key = settlement.run.key
    row = connection.execute(
        "SELECT attempt - 1, cancel FROM runs_open WHERE schedule_id = ? AND scheduled = ? AND held = 0", key
    ).fetchone()
    pending = None if row else find_pending(connection, key)
    if row and row[1]:
        return [msgspec.structs.replace(settlement, outcome="cancelled", retry_at=None)]
    begun = row[0] if row else pending[5] if pending else settlement.attempt
    if begun < settlement.attempt:
        _remove_open(connection, [settlement])
        run = settlement.run
        spec = specs.number(connection, run.spec)
        row = (settlement.retry_at, *run.key, spec, run.payload, settlement.attempt, run.recurring, 1)
        connection.execute(INSERT_PENDING, row)
    return []


def _remove_open(connection: sqlite3.Connection, settlements: Sequence[Settlement]) -> None:
    pending = [(s.run.due, s.run.schedule_id, s.run.scheduled) for s in settlements]
    removed = connection.executemany(DELETE_PENDING, pending).rowcount
    if removed < len(settlements) and connection.execute("SELECT 1 FROM runs_open LIMIT 1").fetchone():
        removed += connection.executemany(DELETE_OPEN, map(_key, settlements)).rowcount
    if removed < len(settlements):
        moved = "DELETE FROM runs_pending WHERE moved = 1 AND schedule_id = ? AND scheduled = ?"
        connection.executemany(moved, map(_key, settlements))


def _key(settlement: Settlement) -> RunKey:
    return settlement.run.key


def _done_row(connection: sqlite3.Connection, specs: Specs, s: Settlement) -> tuple[object, ...]:
    run = s.run
    return (
        run.scheduled,
        run.schedule_id,
        run.due,
        s.started,
        s.finished,
        s.attempt,
        OUTCOMES.index(s.outcome) if s.outcome else 0,
        run.recurring,
        specs.number(connection, run.spec),
        run.payload,
        s.value,
        failure_text(s.failure),
    )


def _dead_row(connection: sqlite3.Connection, specs: Specs, s: Settlement) -> tuple[object, ...]:
    run = s.run
    spec = specs.number(connection, run.spec)
    return (*_key(s), s.finished, s.attempt, run.recurring, spec, run.payload, failure_text(s.failure))
