"""The schedules, runs and decisions that the suite puts into stores."""

from __future__ import annotations

from rota.core.outcome import Failure
from rota.core.payload import NULL
from rota.core.run import Claim, Outcome, Run, RunKey, RunSpec, Settlement
from rota.core.schedule import Change, Pause, Schedule, State, StoredSchedule, TickRow
from rota.core.target import TaskTarget
from rota.core.triggers import Cron

T0 = 1_767_225_600_000
HOUR = 3_600_000
SPEC = RunSpec(TaskTarget("enrich"))
FAILURE = Failure(("ValueError", "Exception"), "größer als 5 → no", "shop.py:12 in enrich")
LARGEST = b'"' + "é".encode() * 131_071 + b'"'
"""A payload of exactly 256 KiB."""


def stored(
    schedule_id: str,
    next_tick: int | None = T0,
    *,
    tags: tuple[str, ...] = (),
    description: str = "",
    owner: str = "",
    paused: bool = False,
) -> StoredSchedule:
    """An hourly schedule as a store gets it."""
    schedule = Schedule(
        id=schedule_id,
        trigger=Cron("0 0 * * * ?"),
        target=TaskTarget("enrich"),
        tags=tags,
        description=description,
        owner=owner,
    )
    pause = Pause("ann", T0, "holiday") if paused else None
    return StoredSchedule(schedule, State(next_tick, paused=pause, created=T0, updated=T0))


def change(
    before: StoredSchedule,
    next_tick: int | None = T0 + HOUR,
    *,
    ticks: tuple[TickRow, ...] = (),
    runs: tuple[Run, ...] = (),
    cancel: tuple[RunKey, ...] = (),
    fired: int = 0,
) -> Change:
    """A decision about `before` that leaves its definition alone."""
    version = before.state.version
    state = State(next_tick, fired=fired, version=version + 1, created=T0, updated=T0 + 1)
    return Change(before.id, version, StoredSchedule(before.schedule, state), ticks, runs, cancel, at=T0 + 1)


def deletion(before: StoredSchedule) -> Change:
    return Change(before.id, before.state.version, None)


def fired(schedule_id: str, at: int) -> TickRow:
    return TickRow(schedule_id, at, "fired", at)


def skipped(schedule_id: str, first: int, last: int, count: int) -> TickRow:
    return TickRow(schedule_id, first, "skipped", last, "misfire", "the engine was down", count, last)


def one_off(name: str, due: int = T0, payload: bytes = NULL) -> Run:
    return Run(name, due, due, SPEC, payload)


def recurring(schedule_id: str, scheduled: int = T0, *, held: bool = False) -> Run:
    return Run(schedule_id, scheduled, scheduled, SPEC, recurring=True, held=held)


def begun(run: Run, started: int = T0 + 5) -> Claim:
    return Claim(run, started)


def ended(run: Run, outcome: Outcome = "succeeded", *, started: int = T0 + 5, value: bytes | None = None) -> Settlement:
    failure = FAILURE if outcome == "failed" else None
    return Settlement(run, run.attempt + 1, started, started + 10, outcome, failure=failure, value=value)


def again(run: Run, retry_at: int, *, started: int = T0 + 5) -> Settlement:
    """The next attempt of `run` failed and is to be followed by another."""
    return Settlement(run, run.attempt + 1, started, started + 10, None, retry_at, FAILURE)


def died(run: Run, *, started: int = T0 + 5) -> Settlement:
    """The last attempt of `run` failed."""
    return Settlement(run, run.attempt + 1, started, started + 10, "failed", failure=FAILURE, dead=True)
