"""How values become columns and back. Specs are stored once and known by number."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec

from rota.core.outcome import Failure
from rota.core.run import Run, RunSpec
from rota.core.schedule import Pause, Schedule, State, StoredSchedule
from rota.embedded.sqlite.connection import Database

_encode = msgspec.json.Encoder().encode
_spec = msgspec.json.Decoder(RunSpec)
_failure = msgspec.json.Decoder(Failure)
_pause = msgspec.json.Decoder(Pause)
_schedule = msgspec.json.Decoder(Schedule)


class Specs:
    """Run specs by number and number by spec. A number written by a transaction that was undone is forgotten again."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._specs: dict[int, RunSpec] = {}
        self._numbers: dict[str, int] = {}
        self._rollbacks = 0
        self._last: tuple[RunSpec, int] | None = None

    def number(self, connection: sqlite3.Connection, spec: RunSpec) -> int:
        """The number of `spec`, storing it if it is new. Only inside a transaction."""
        if self._rollbacks != self._database.rollbacks:
            self._rollbacks = self._database.rollbacks
            self._numbers.clear()
            self._last = None
        if self._last is not None and self._last[0] is spec:
            return self._last[1]
        body = _encode(spec).decode()
        number = self._numbers.get(body)
        if number is None:
            connection.execute("INSERT OR IGNORE INTO specs (body) VALUES (?)", (body,))
            (number,) = connection.execute("SELECT id FROM specs WHERE body = ?", (body,)).fetchone()
            if len(self._numbers) > 10_000:
                self._numbers.clear()
            self._numbers[body] = number
        self._last = (spec, number)
        return number

    def spec(self, number: int) -> RunSpec:
        found = self._specs.get(number)
        if found is None:
            ((body,),) = self._database.read("SELECT body FROM specs WHERE id = ?", (number,))
            if len(self._specs) > 10_000:
                self._specs.clear()
            found = self._specs[number] = _spec.decode(body)
        return found


def failure_text(failure: Failure | None) -> str | None:
    return None if failure is None else _encode(failure).decode()


def failure_value(text: str | None) -> Failure | None:
    return None if text is None else _failure.decode(text)


PENDING = "due, schedule_id, scheduled, spec, payload, attempt, recurring"


def pending_rows(connection: sqlite3.Connection, specs: Specs, runs: Iterable[Run]) -> list[tuple[object, ...]]:
    """Values for runs_pending, in the order of PENDING and then moved, of every run that is not held."""
    rows: list[tuple[object, ...]] = []
    last, number = None, 0
    for run in runs:
        if run.held:
            continue
        spec, due, scheduled, recurring = run.spec, run.due, run.scheduled, run.recurring
        if spec is not last:
            last, number = spec, specs.number(connection, spec)
        moved = 1 if recurring or due != scheduled else 0
        rows.append((due, run.schedule_id, scheduled, number, run.payload, run.attempt, recurring, moved))
    return rows


def pending_run(row: tuple[Any, ...], specs: Specs) -> Run:
    """A run from columns in the order of PENDING."""
    due, schedule_id, scheduled, spec, payload, attempt, recurring = row
    return Run(schedule_id, scheduled, due, specs.spec(spec), payload, attempt, recurring == 1)


SCHEDULE = "definition, payload, next_tick, next_skip, fired, paused, version, created, updated"


@lru_cache(maxsize=2048)
def _definition(text: str, payload: bytes) -> Schedule:
    schedule = _schedule.decode(text)
    msgspec.structs.force_setattr(schedule, "payload", payload)
    return schedule


def definition_columns(schedule: Schedule) -> tuple[str, bytes]:
    return _encode(msgspec.structs.replace(schedule, payload=b"null")).decode(), schedule.payload


def state_columns(state: State) -> tuple[object, ...]:
    """next_tick, next_skip, fired, paused, version, created, updated."""
    paused = None if state.paused is None else _encode(state.paused).decode()
    return (state.next_tick, state.next_skip, state.fired, paused, state.version, state.created, state.updated)


def stored_schedule(row: tuple[Any, ...]) -> StoredSchedule:
    """A schedule from columns in the order of SCHEDULE."""
    definition, payload, next_tick, next_skip, fired, paused, version, created, updated = row
    pause = None if paused is None else _pause.decode(paused)
    return StoredSchedule(
        _definition(definition, payload), State(next_tick, next_skip, fired, pause, version, created, updated)
    )
