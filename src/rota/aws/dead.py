"""What the dispatcher or the worker could not deal with, however often it was received: the messages of their dead
queues, made visible.

A run becomes a dead letter, as if its attempts were used up, so that `rota dead list` shows it and a redrive brings it
back. A tick is decided on here, and what that accepts is handed over as usual: no schedule stops because its target's
function could not be started for a while. What fails here as well stays on the dead queue, where an alarm sees it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from rota.aws.dead_copies import DeadCopies
from rota.aws.dispatcher import Delivered
from rota.aws.handing import run_of
from rota.aws.handover import Handover, is_active
from rota.aws.messages import RunMessage, TickMessage, decode_message
from rota.aws.telemetry import Telemetry
from rota.core.errors import InvalidError
from rota.core.outcome import Failure
from rota.core.run import Settlement
from rota.ports.clock import Clock
from rota.ports.runs import RunStore
from rota.ports.schedules import ScheduleStore
from rota.service.tick import decide

log: logging.Logger = logging.getLogger("rota.dead")
UNDELIVERED = Failure(
    ("rota.Undelivered",), "its function failed each time it was told of this run; the function's log tells why"
)
_ROUNDS = 100


class Dead:
    """schedules, runs: the stores themselves."""

    def __init__(
        self,
        schedules: ScheduleStore,
        runs: RunStore,
        handover: Handover,
        clock: Clock,
        *,
        telemetry: Telemetry,
        copies: DeadCopies,
    ) -> None:
        self._schedules = schedules
        self._runs = runs
        self._handover = handover
        self._clock = clock
        self._telemetry = telemetry
        self._copies = copies

    def handle(self, messages: Sequence[Delivered]) -> list[str]:
        """Deal with these messages; answers the ids of those that must come again."""
        again = []
        for message in messages:
            try:
                decoded = decode_message(message.body)
            except InvalidError:
                # Nobody can do anything with it; the log keeps what it was.
                log.exception("a message that is none of rota's is dropped: %s", message.body)
                continue
            try:
                self._take(decoded)
            except Exception:
                log.exception("a dead message comes again: %s", message.body)
                again.append(message.id)
        return again

    def _take(self, message: RunMessage | TickMessage) -> None:
        if isinstance(message, TickMessage):
            self._decide(message)
        else:
            self._end(message)

    def _end(self, message: RunMessage) -> None:
        record = self._runs.get(message.key)
        if record is None or record.state not in ("pending", "running"):
            return
        run, now = run_of(record, recurring=message.recurring), self._clock.now()
        started = record.started if record.state == "running" and record.started is not None else now
        ended = Settlement(run, run.attempt + 1, started, max(now, started), "failed", failure=UNDELIVERED, dead=True)
        released = self._runs.settle([ended])
        self._handover.arrived(released, now)
        self._copies.copy_of(run.key)
        self._telemetry.count("DeadLetters")
        log.error("%s is a dead letter: %s", run.id, UNDELIVERED.message, extra={"run": run.id})

    def _decide(self, message: TickMessage) -> None:
        now = max(self._clock.now(), message.due)
        for _ in range(_ROUNDS):
            rows = self._schedules.get([message.id])
            due = [row for row in rows if is_active(row) and (row.state.next_tick or 0) <= now]
            if not due:
                return
            for change in decide(self._schedules, due, now):
                runs = [run for run in change.runs if not run.held and run.key not in change.cancel]
                self._handover.arrived(runs, now)
