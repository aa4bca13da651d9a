"""Stores that hand over what a feeder may have missed.

Everything that writes to the far tier outside the feeder goes through these: clients, the ad-hoc function, the
dispatcher. Each call writes to the store behind it first, and asks for the fence afterwards: see `rota.ports.far_tier`
for why that order leaves no gap. A caller that dies in between was never answered, so nothing that was acknowledged is
lost; and where something was there before (a schedule that is changed, a dead letter that is redriven), it is announced
before it is stored, so that it goes on.

A direct run (see `rota.aws.handover`) is out of rota's hands once it is with SQS: it cannot be cancelled any more, and
counts as succeeded when its time has come and a feeder has said that all up to there was handed over. That is the mark,
not the fence, which a feeder raises before it sends anything. What its writer handed over waits for the mark as well.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from contextlib import suppress

from msgspec.structs import replace

from rota.aws.handover import SETTLED, Handover, is_direct
from rota.core.errors import ConflictError, NotFoundError, StoreError
from rota.core.firing import OpenRuns
from rota.core.run import Claim, DeadLetter, Run, RunKey, RunRecord, RunSpec, Settlement
from rota.core.schedule import Change, StoredSchedule, TickRow
from rota.ports.clock import Clock
from rota.ports.far_tier import FarTier
from rota.ports.runs import RunQuery, RunStore
from rota.ports.schedules import ScheduleQuery, ScheduleStore

HANDED = b'{"handedTo":"SQS"}'
"""The value of a direct run that succeeded, which is all that is known of it: no attempt, no time."""
_UNTIL = "a one-off that is made with an `id` can be cancelled and updated until it fires"
CheckSpec = Callable[[RunSpec], None]
Withdraw = Callable[[RunKey, int], bool]
"""Cancels a pending run unless a feeder may have begun to hand it over, in one step; answers whether it did."""


def any_spec(_spec: RunSpec) -> None:
    """A check that nothing fails."""


class HandingSchedules:
    """A `ScheduleStore` over `store`. check: raises for what the stack cannot fire, before anything is stored."""

    def __init__(self, store: ScheduleStore, handover: Handover, clock: Clock, check: CheckSpec = any_spec) -> None:
        self._store = store
        self._handover = handover
        self._clock = clock
        self._check = check

    def create(self, rows: Sequence[StoredSchedule]) -> None:
        for row in rows:
            self._check(row.schedule.spec)
        announced = self._handover.announce(rows, self._clock.now())
        self._store.create(rows)
        self._handover.defined(rows, announced, self._clock.now())

    def get(self, ids: Sequence[str]) -> builtins.list[StoredSchedule]:
        return self._store.get(ids)

    def list(self, query: ScheduleQuery) -> builtins.list[StoredSchedule]:
        return self._store.list(query)

    def due(self, until: int, limit: int, after: tuple[int, str] | None = None) -> builtins.list[StoredSchedule]:
        return self._store.due(until, limit, after)

    def next_due(self) -> int | None:
        return self._store.next_due()

    def open_runs(self, ids: Sequence[str]) -> dict[str, OpenRuns]:
        return self._store.open_runs(ids)

    def apply(self, changes: Sequence[Change]) -> builtins.list[bool]:
        for change in changes:
            if change.redefined and change.after is not None:
                self._check(change.after.schedule.spec)
        now = self._clock.now()
        # Only who edits a schedule dates it; a decision on its ticks leaves the next one to the feeder's chain.
        edited = {it.schedule_id: it.after for it in changes if it.after and it.after.state.updated == it.at}
        announced = self._handover.announce(list(edited.values()), now)
        # Should this die right after: who is reminded and finds nothing to decide looks after the runs.
        self._handover.look_after([it.after for it in changes if it.after and it.runs], now)
        answers = self._store.apply(changes)
        now = self._clock.now()
        done = [change for change, carried_out in zip(changes, answers, strict=True) if carried_out]
        self._handover.defined([edited[it.schedule_id] for it in done if it.schedule_id in edited], announced, now)
        self._handover.arrived([run for it in done for run in it.runs if run.key not in it.cancel], now)
        return answers

    def ticks(
        self, schedule_id: str, start: int, end: int, limit: int, *, newest_first: bool = False
    ) -> builtins.list[TickRow]:
        return self._store.ticks(schedule_id, start, end, limit, newest_first=newest_first)

    def tick_at(self, schedule_id: str, at: int) -> TickRow | None:
        return self._store.tick_at(schedule_id, at)

    def forget_ticks(self, before: int, limit: int) -> int:
        return self._store.forget_ticks(before, limit)


class HandingRuns:
    """A `RunStore` over `store`. withdraw: how a direct run is cancelled. check: raises for what the stack cannot fire,
    before anything is stored."""

    def __init__(
        self,
        store: RunStore,
        schedules: ScheduleStore,
        far: FarTier,
        handover: Handover,
        clock: Clock,
        withdraw: Withdraw,
        check: CheckSpec = any_spec,
    ) -> None:
        self._store = store
        self._withdraw = withdraw
        self._schedules = schedules
        self._far = far
        self._handover = handover
        self._clock = clock
        self._check = check

    def accept(self, runs: Sequence[Run], *, fresh: bool = False) -> None:
        checked: RunSpec | None = None
        for run in runs:
            if run.spec is not checked:
                self._check(run.spec)
                checked = run.spec
        self._store.accept(runs, fresh=fresh)
        try:
            self._handover.arrived(runs, self._clock.now(), new=True)
        except (StoreError, NotFoundError):
            # The caller hears that this failed, so nothing of it is to fire later on.
            with suppress(StoreError):
                self._store.cancel([run.key for run in runs], self._clock.now())
            raise

    def due(self, until: int, limit: int, after: Run | None = None) -> builtins.list[Run]:
        return self._store.due(until, limit, after)

    def next_due(self) -> int | None:
        return self._store.next_due()

    def claim(self, claims: Sequence[Claim]) -> builtins.list[bool]:
        return self._store.claim(claims)

    def settle(self, settlements: Sequence[Settlement], claims: Sequence[Claim] = ()) -> builtins.list[Run]:
        released = self._store.settle(settlements, claims)
        again = [
            replace(it.run, attempt=it.attempt, due=it.retry_at, held=False)
            for it in settlements
            if it.outcome is None and it.retry_at is not None
        ]
        self._handover.arrived([*again, *released], self._clock.now())
        return released

    def running(self) -> builtins.list[Claim]:
        return self._store.running()

    def cancelled(self, keys: Sequence[RunKey]) -> builtins.list[RunKey]:
        return self._store.cancelled(keys)

    def cancel(self, keys: Sequence[RunKey], now: int) -> builtins.list[RunKey]:
        """As `RunStore.cancel`; ConflictError if a direct run of `keys` was handed to SQS already."""
        records = [record for key in keys if (record := self._store.get(key)) is not None]
        direct = {RunKey(record.schedule_id, record.scheduled) for record in self._direct(records)}
        ended = [key for key in keys if key in direct and self._withdrawn(key, now)]
        others = [key for key in keys if key not in direct]
        if others:
            ended += self._store.cancel(others, now)
        released = self._schedules.open_runs(sorted({key.schedule_id for key in ended if key not in direct}))
        open_records = [self._store.get(key) for found in released.values() for key in found.keys]
        self._handover.arrived([run_of(it) for it in open_records if it is not None and it.state == "pending"], now)
        return ended

    def _withdrawn(self, key: RunKey, now: int) -> bool:
        """Whether a direct run could be taken back; False if it was not pending any more."""
        if self._withdraw(key, now):
            return True
        record = self._store.get(key)
        if record is not None and record.state == "pending":
            raise ConflictError(
                f"{key.id} was handed to SQS already, so it cannot be cancelled any more; {_UNTIL}", run=key.id
            )
        return False

    def get(self, key: RunKey) -> RunRecord | None:
        record = self._store.get(key)
        return None if record is None else self._told([record])[0]

    def list(self, query: RunQuery) -> builtins.list[RunRecord]:
        return self._told(self._store.list(query))

    def counts(self) -> dict[str, int]:
        return self._store.counts()

    def dead_letters(
        self, schedule_id: str | None, limit: int, after: RunKey | None = None
    ) -> builtins.list[DeadLetter]:
        return self._store.dead_letters(schedule_id, limit, after)

    def dead_letter(self, key: RunKey) -> DeadLetter | None:
        return self._store.dead_letter(key)

    def redrive(self, keys: Sequence[RunKey], now: int) -> builtins.list[RunKey]:
        letters = {key: letter for key in keys if (letter := self._store.dead_letter(key)) is not None}
        # Should this die right after: by then the run is pending, or else nothing comes of it.
        self._handover.runs(
            [Run(*key, now + SETTLED, letter.spec, recurring=letter.recurring) for key, letter in letters.items()],
            now,
            direct=False,
        )
        found = self._store.redrive(keys, now)
        runs = [
            Run(*key, now, letters[key].spec, letters[key].payload, recurring=letters[key].recurring)
            for key in found
            if key in letters
        ]
        # Its record is to tell what came of it this time.
        self._handover.runs(runs, now, direct=False)
        return found

    def purge(self, keys: Sequence[RunKey]) -> builtins.list[RunKey]:
        return self._store.purge(keys)

    def forget_runs(self, before: int, limit: int) -> int:
        return self._store.forget_runs(before, limit)

    def _told(self, records: Sequence[RunRecord]) -> builtins.list[RunRecord]:
        """Direct runs whose time has come succeeded when they were handed over; nobody wrote that down, nor when."""
        now = self._clock.now()
        due = {RunKey(it.schedule_id, it.scheduled) for it in self._direct([it for it in records if it.due <= now])}
        if not due:
            return builtins.list(records)
        handed = self._far.handed(sorted({key.schedule_id for key in due}))
        return [
            replace(it, state="succeeded", value=HANDED)
            if RunKey(it.schedule_id, it.scheduled) in due and it.due <= handed[it.schedule_id]
            else it
            for it in records
        ]

    def _direct(self, records: Sequence[RunRecord]) -> builtins.list[RunRecord]:
        """Those that are pending and direct. The run of a stored schedule never is."""
        found = [it for it in records if it.state == "pending" and is_direct(run_of(it, recurring=False))]
        if not found:
            return []
        stored = {row.id for row in self._schedules.get(sorted({it.schedule_id for it in found}))}
        return [it for it in found if it.schedule_id not in stored]


def run_of(record: RunRecord, *, recurring: bool = True) -> Run:
    """The run whose record this is, with the attempts that have ended."""
    ended = record.attempt - (record.state == "running")
    return Run(
        record.schedule_id,
        record.scheduled,
        record.due,
        record.spec,
        record.payload,
        ended,
        recurring,
        record.state == "held",
    )
