"""Runs and dead letters in memory."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Sequence

import msgspec

from rota.core.errors import ExistsError
from rota.core.run import Claim, DeadLetter, Run, RunKey, RunRecord, Settlement
from rota.ports.runs import RunQuery
from rota.testing.memory.state import MemoryState


class MemoryRunStore:
    """A `RunStore` that lasts as long as its state."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    def accept(self, runs: Sequence[Run], *, fresh: bool = False) -> None:
        with self._state.lock:
            new: set[RunKey] = set()
            for run in runs:
                if run.key in new or self._state.find(run.key) is not None:
                    raise ExistsError("run", run.id)
                new.add(run.key)
            for run in runs:
                self._state.admit(run)
            self._release(run.key for run in runs)

    def due(self, until: int, limit: int, after: Run | None = None) -> builtins.list[Run]:
        with self._state.lock:
            runs = [
                entry.run for entry in self._state.all_open() if entry.state == "pending" and entry.run.due <= until
            ]
        if after is not None:
            runs = [run for run in runs if _order(run) > _order(after)]
        return sorted(runs, key=_order)[:limit]

    def next_due(self) -> int | None:
        with self._state.lock:
            return min((entry.run.due for entry in self._state.all_open() if entry.state == "pending"), default=None)

    def claim(self, claims: Sequence[Claim]) -> builtins.list[bool]:
        with self._state.lock:
            return [self._claim(claim) for claim in claims]

    def _claim(self, claim: Claim) -> bool:
        entry = self._state.find(claim.run.key)
        if entry is None or entry.state != "pending":
            return False
        entry.started = claim.started
        return True

    def settle(self, settlements: Sequence[Settlement], claims: Sequence[Claim] = ()) -> builtins.list[Run]:
        with self._state.lock:
            self.claim(claims)
            released = []
            for settlement in settlements:
                self._settle(settlement)
                run = self._state.release(settlement.run.schedule_id)
                if run is not None:
                    released.append(run)
            return released

    def _settle(self, settlement: Settlement) -> None:
        run, entry = settlement.run, self._state.find(settlement.run.key)
        self._state.note_attempt(settlement)
        if settlement.outcome is not None:
            self._state.finish(settlement, settlement.outcome)
        elif entry is not None and entry.asked:
            self._state.finish(settlement, "cancelled")
        elif entry is not None and settlement.retry_at is not None and entry.run.attempt < settlement.attempt:
            again = msgspec.structs.replace(run, attempt=settlement.attempt, due=settlement.retry_at, held=False)
            self._state.reopen(again)

    def running(self) -> builtins.list[Claim]:
        with self._state.lock:
            return [Claim(entry.run, entry.started) for entry in self._state.all_open() if entry.started is not None]

    def cancelled(self, keys: Sequence[RunKey]) -> builtins.list[RunKey]:
        with self._state.lock:
            return [key for key in keys if (entry := self._state.find(key)) is not None and entry.asked]

    def cancel(self, keys: Sequence[RunKey], now: int) -> builtins.list[RunKey]:
        with self._state.lock:
            found = [key for key in keys if self._state.cancel(key, now)]
            self._release(found)
            return found

    def get(self, key: RunKey) -> RunRecord | None:
        with self._state.lock:
            record = self._state.record(key)
            if record is None:
                return None
            return msgspec.structs.replace(record, attempts=tuple(self._state.attempts.get(key, ())))

    def list(self, query: RunQuery) -> builtins.list[RunRecord]:
        with self._state.lock:
            keys = {entry.run.key for entry in self._state.all_open()} | self._state.records.keys()
            records = [record for key in keys if (record := self._state.record(key)) is not None]
        return sorted((one for one in records if _matches(one, query)), key=_newest)[: query.limit]

    def counts(self) -> dict[str, int]:
        with self._state.lock:
            counts = {"pending": 0, "held": 0, "running": 0, "dead": len(self._state.dead)}
            for entry in self._state.all_open():
                counts[entry.state] += 1
            return counts

    def dead_letters(
        self, schedule_id: str | None, limit: int, after: RunKey | None = None
    ) -> builtins.list[DeadLetter]:
        with self._state.lock:
            letters = [self._letter(key) for key in self._state.dead]
        if schedule_id is not None:
            letters = [letter for letter in letters if letter.schedule_id == schedule_id]
        if after is not None:
            letters = [one for one in letters if _newest(one) > (-after.scheduled, after.schedule_id)]
        return sorted(letters, key=_newest)[:limit]

    def dead_letter(self, key: RunKey) -> DeadLetter | None:
        with self._state.lock:
            return self._letter(key) if key in self._state.dead else None

    def _letter(self, key: RunKey) -> DeadLetter:
        attempts = tuple(self._state.attempts.get(key, ()))
        return msgspec.structs.replace(self._state.dead[key], attempts=attempts)

    def redrive(self, keys: Sequence[RunKey], now: int) -> builtins.list[RunKey]:
        with self._state.lock:
            found = [key for key in dict.fromkeys(keys) if key in self._state.dead]
            for key in found:
                letter = self._state.dead.pop(key)
                del self._state.records[key]
                self._state.reopen(Run(*key, now, letter.spec, letter.payload, recurring=letter.recurring))
            return found

    def purge(self, keys: Sequence[RunKey]) -> builtins.list[RunKey]:
        with self._state.lock:
            return [key for key in keys if self._state.dead.pop(key, None) is not None]

    def forget_runs(self, before: int, limit: int) -> int:
        with self._state.lock:
            old = sorted(
                (key for key in self._state.records if key.scheduled < before and key not in self._state.dead),
                key=lambda key: key.scheduled,
            )[:limit]
            for key in old:
                del self._state.records[key]
                self._state.attempts.pop(key, None)
            return len(old)

    def _release(self, keys: Iterable[RunKey]) -> None:
        for schedule_id in dict.fromkeys(key.schedule_id for key in keys):
            self._state.release(schedule_id)


def _order(run: Run) -> tuple[int, str, int]:
    return run.due, run.schedule_id, run.scheduled


def _newest(row: RunRecord | DeadLetter) -> tuple[int, str]:
    return -row.scheduled, row.schedule_id


def _matches(record: RunRecord, query: RunQuery) -> bool:
    return (
        (query.schedule_id is None or record.schedule_id == query.schedule_id)
        and (query.state is None or record.state == query.state)
        and (query.start is None or record.scheduled >= query.start)
        and (query.end is None or record.scheduled <= query.end)
        and (query.after is None or _newest(record) > (-query.after.scheduled, query.after.schedule_id))
    )
