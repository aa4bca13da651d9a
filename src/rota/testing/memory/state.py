"""What the in-memory stores share: one state behind one lock, because a decision about a schedule also writes runs.

Open runs (pending, held, running) are kept by schedule; finished ones as records. One rule keeps held runs from being
forgotten, whatever happens in whatever order: after every change to the runs of a schedule, if some are held and no
other recurring run of it is open, the earliest held one becomes pending.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from threading import RLock

import msgspec

from rota.core.run import AttemptRow, DeadLetter, Outcome, Run, RunKey, RunRecord, Settlement
from rota.core.schedule import StoredSchedule, TickRow


@dataclass
class OpenRun:
    """A run that is not finished. started: when its running attempt began; None unless running. asked: told to stop."""

    run: Run
    started: int | None = None
    asked: bool = False

    @property
    def state(self) -> str:
        if self.run.held:
            return "held"
        return "pending" if self.started is None else "running"


class MemoryState:
    """Everything that the in-memory stores of one engine hold."""

    def __init__(self) -> None:
        self.lock: RLock = RLock()
        self.schedules: dict[str, StoredSchedule] = {}
        self.ticks: dict[str, dict[int, TickRow]] = {}
        self.open: dict[str, dict[int, OpenRun]] = {}
        self.records: dict[RunKey, RunRecord] = {}
        self.attempts: dict[RunKey, list[AttemptRow]] = {}
        self.dead: dict[RunKey, DeadLetter] = {}

    def find(self, key: RunKey) -> OpenRun | None:
        return self.open.get(key.schedule_id, {}).get(key.scheduled)

    def all_open(self) -> Iterator[OpenRun]:
        for runs in self.open.values():
            yield from runs.values()

    def admit(self, run: Run) -> None:
        """A new run: an earlier one with its id, finished by now, gives way, so that a run is in one place only."""
        self.records.pop(run.key, None)
        self.attempts.pop(run.key, None)
        self.dead.pop(run.key, None)
        self.reopen(run)

    def reopen(self, run: Run) -> None:
        self.open.setdefault(run.schedule_id, {})[run.scheduled] = OpenRun(run)

    def close(self, key: RunKey) -> OpenRun | None:
        runs = self.open.get(key.schedule_id, {})
        found = runs.pop(key.scheduled, None)
        if not runs:
            self.open.pop(key.schedule_id, None)
        return found

    def release(self, schedule_id: str) -> Run | None:
        """Apply the rule at the top; answers the run that became pending."""
        runs = self.open.get(schedule_id, {})
        held = [at for at, entry in runs.items() if entry.run.held]
        if not held or any(entry.run.recurring and not entry.run.held for entry in runs.values()):
            return None
        first = runs[min(held)]
        first.run = msgspec.structs.replace(first.run, held=False)
        return first.run

    def cancel(self, key: RunKey, now: int) -> bool:
        """End a pending or held run, ask a running one to stop; False if it is not open."""
        entry = self.find(key)
        if entry is None:
            return False
        if entry.started is not None:
            entry.asked = True
            return True
        self.close(key)
        run = entry.run
        self.records[key] = RunRecord(
            run.schedule_id, run.scheduled, run.due, "cancelled", run.attempt, run.spec, run.payload, finished=now
        )
        return True

    def note_attempt(self, settlement: Settlement) -> None:
        """Remember a failed attempt, once, however often it is settled."""
        if settlement.failure is None:
            return
        row = AttemptRow(settlement.attempt, settlement.started, settlement.finished, settlement.failure)
        rows = self.attempts.setdefault(settlement.run.key, [])
        rows[:] = [one for one in rows if (one.attempt, one.started) != (row.attempt, row.started)]
        rows.append(row)

    def finish(self, settlement: Settlement, outcome: Outcome) -> None:
        run = settlement.run
        key = run.key
        self.close(key)
        self.records[key] = RunRecord(
            run.schedule_id,
            run.scheduled,
            run.due,
            outcome,
            settlement.attempt,
            run.spec,
            run.payload,
            settlement.started,
            settlement.finished,
            settlement.value,
            settlement.failure,
        )
        self.dead.pop(key, None)
        if settlement.dead and outcome == settlement.outcome:
            self.dead[key] = DeadLetter(
                run.schedule_id,
                run.scheduled,
                settlement.finished,
                settlement.attempt,
                run.spec,
                run.payload,
                settlement.failure,
                run.recurring,
            )

    def record(self, key: RunKey) -> RunRecord | None:
        """The record of a run, open or finished, without its failed attempts."""
        entry = self.find(key)
        if entry is None:
            return self.records.get(key)
        run = entry.run
        begun = run.attempt + (entry.started is not None)
        return RunRecord(
            run.schedule_id, run.scheduled, run.due, entry.state, begun, run.spec, run.payload, entry.started
        )
