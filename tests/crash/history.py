"""What is known after a run under fire: the database, what was acknowledged, and the log that the tasks wrote."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from rota.core.ids import run_id
from rota.core.run import OUTCOMES, Delivery, RunSpec
from rota.core.schedule import StoredSchedule
from rota.embedded.sqlite.file import SqliteFile
from rota.ports.schedules import ScheduleQuery


class OneOff(msgspec.Struct, frozen=True, tag="one-off"):
    """An acknowledged run that no tick stands for. may_be_cancelled: its schedule may have been deleted."""

    id: str
    delivery: Delivery
    may_be_cancelled: bool = False


class Acknowledged(msgspec.Struct, frozen=True, tag="schedule"):
    stored: StoredSchedule


class Line(NamedTuple):
    """One line of the log; see tasks.py."""

    run: str
    attempt: int
    life: str
    kind: str
    at: int


class Row(NamedTuple):
    """One row of the tick ledger."""

    first: int
    last: int
    ticks: int
    outcome: str
    reason: str | None


class Kept(NamedTuple):
    """A run as the database has it. state: pending, held, running, or its outcome."""

    schedule_id: str
    scheduled: int
    state: str
    attempt: int
    recurring: bool
    delivery: Delivery


class History(NamedTuple):
    """created: every schedule ever acknowledged or stored, as it was first. stored: those there still are.
    cut_off: the attempts, as (run id, number), of which the database says that the engine died during them."""

    created: dict[str, StoredSchedule]
    stored: dict[str, StoredSchedule]
    ledger: dict[str, list[Row]]
    runs: dict[str, Kept]
    cut_off: set[tuple[str, int]]
    one_offs: dict[str, OneOff]
    lines: list[Line]
    damage: list[str]


def read_history(database: Path, acknowledged: Path, log: Path) -> History:
    file = SqliteFile(database)
    try:
        read = file.database.read
        stored = {row.id: row for row in file.schedules.list(ScheduleQuery(limit=1_000_000))}
        ledger: dict[str, list[Row]] = {}
        for name, *row in read(
            "SELECT schedule_id, scheduled, until, count, outcome, reason FROM ticks ORDER BY schedule_id, scheduled"
        ):
            ledger.setdefault(name, []).append(Row(*row))
        damage = file.check()
        runs = _runs(file)
        interrupted = read(
            "SELECT schedule_id, scheduled, attempt FROM attempts WHERE failure LIKE '%rota.Interrupted%'"
        )
        cut_off = {(run_id(name, at), attempt) for name, at, attempt in interrupted}
    finally:
        file.close()
    acknowledgements, one_offs = dict[str, StoredSchedule](), {}
    for line in acknowledged.read_bytes().splitlines():
        value = msgspec.json.decode(line, type=Acknowledged | OneOff)
        if isinstance(value, OneOff):
            one_offs[value.id] = value
        else:
            acknowledgements.setdefault(value.stored.id, value.stored)
    return History({**stored, **acknowledgements}, stored, ledger, runs, cut_off, one_offs, read_lines(log), damage)


def _runs(file: SqliteFile) -> dict[str, Kept]:
    read = file.database.read
    specs = {number: msgspec.json.decode(body, type=RunSpec) for number, body in read("SELECT id, body FROM specs")}
    rows = read(
        "SELECT schedule_id, scheduled, 'pending', attempt, recurring, spec FROM runs_pending"
        " UNION ALL SELECT schedule_id, scheduled, CASE held WHEN 1 THEN 'held' ELSE 'running' END, attempt, recurring,"
        " spec FROM runs_open"
    )
    done = read("SELECT schedule_id, scheduled, outcome, attempt, recurring, spec FROM runs_done")
    rows += [(name, at, OUTCOMES[outcome], *rest) for name, at, outcome, *rest in done]
    return {
        run_id(name, at): Kept(name, at, state, attempt, recurring == 1, specs[spec].delivery)
        for name, at, state, attempt, recurring, spec in rows
    }


def read_lines(log: Path) -> list[Line]:
    found = []
    for line in log.read_text("ascii").splitlines():
        run, attempt, life, kind, at = line.split(" ")
        found.append(Line(run, int(attempt), life, kind, int(at)))
    return found
