"""client.runs: what was accepted, what runs, what became of it."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Literal, get_args

from rota.client.schedules import When, check_limit
from rota.core.errors import ConflictError, InvalidError, NotFoundError
from rota.core.ids import parse_run_id, when_ms
from rota.core.limits import check_text
from rota.core.run import OUTCOMES, RunKey, RunRecord
from rota.ports.clock import Clock
from rota.ports.runs import RunQuery, RunStore

RunState = Literal["pending", "held", "running", "succeeded", "failed", "cancelled", "interrupted"]


class Runs:
    """Runs by id, SCHEDULE@TIME."""

    def __init__(self, store: RunStore, clock: Clock, notify: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._notify = notify

    def get(self, id: str) -> RunRecord:
        """All that is known of one run, failed attempts included. Raises InvalidError, NotFoundError."""
        record = self._store.get(run_key(id))
        if record is None:
            raise NotFoundError("run", id, "it is not due yet, it never was, or it is older than what is kept")
        return record

    def list(
        self,
        *,
        schedule: str | None = None,
        state: RunState | None = None,
        start: When | None = None,
        end: When | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> builtins.list[RunRecord]:
        """Runs, newest scheduled time first, failed attempts left out. state: pending, held, running or an outcome.
        start, end: scheduled time, both included. after: the last id of the page before."""
        if state is not None and state not in get_args(RunState):
            raise InvalidError("state", state, "one of " + ", ".join(get_args(RunState)))
        return self._store.list(
            RunQuery(
                None if schedule is None else check_text("schedule", schedule),
                state,
                None if start is None else when_ms("start", start),
                None if end is None else when_ms("end", end),
                None if after is None else run_key(after),
                check_limit(limit),
            )
        )

    def cancel(self, id: str) -> RunRecord:
        """End a pending or held run, ask a running one to stop; answers what it is now. ConflictError if it has
        ended."""
        record = self.get(id)
        if record.state in OUTCOMES or not self._store.cancel([run_key(id)], self._clock.now()):
            raise ConflictError(f"run {id!r} has ended already: {self.get(id).state}", run=id)
        self._notify()
        return self.get(id)


def run_key(id: object) -> RunKey:
    """The key of a run id; InvalidError if it is none."""
    return RunKey(*parse_run_id(id))
