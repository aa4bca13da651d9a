"""The dispatcher: what becomes of messages when they are due. The worker is the same, with the user's tasks.

A message may come early, twice, or again after a function died in the middle, so each of its steps is conditional, or
harmless when repeated, and what is not known from the message is asked of the store:

    tick     decide on the schedule, as of now, with its stored state; then attempt the run that this accepted, and hand
             over the others
    run      look it up: pending    claim it (conditional write), attempt it, settle it
                         running    its lease is not over: look again when it is
                                    it is: ask the target what it knows, settle, go on
                         finished   nothing; but see whether a run that it released waits

Deaths. A message comes again within half a minute (see `rota.aws.receipts`). After a death before the claim it finds
the run pending. After it, it finds the run running, and waits until its lease is over (see `rota.aws.leases`); then
the attempt counts as interrupted. So an attempt that was cut off is repeated within some forty seconds, however long
its function might have taken, which is also well within the five minutes for which a FIFO queue knows what was sent to
it. After the settlement: whatever followed from it (a retry, a run that was held, a copy of the dead letter) may not
have been handed over, so a message that comes again looks after that too. For a tick that means the open runs of its
schedule.

Retries. The next attempt is due within two seconds: it is waited for. Otherwise the store has put it into the far tier,
and it is handed over if a feeder may have passed that time: minutes and months are the same.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from msgspec.structs import replace

from rota.aws.attempts import Perform, attempt
from rota.aws.dead_copies import DeadCopies
from rota.aws.handing import run_of
from rota.aws.handover import Handover, is_active
from rota.aws.heartbeat import Heartbeat
from rota.aws.holding import EVERY
from rota.aws.leases import LEASE, MARGIN, Leases
from rota.aws.messages import TickMessage, decode_message
from rota.aws.telemetry import Telemetry
from rota.core.errors import ConflictError, InvalidError, RotaError
from rota.core.outcome import Result
from rota.core.run import Claim, Run, RunKey, RunRecord
from rota.core.schedule import Change, StoredSchedule
from rota.ports.clock import Clock
from rota.ports.runs import RunStore
from rota.ports.schedules import ScheduleStore
from rota.ports.target import Inquiry
from rota.service.tick import decide, decide_ahead
from rota.service.work import INTERRUPTED, PolicyOf, settle

log: logging.Logger = logging.getLogger("rota.dispatcher")

SOON = 1000
"""Milliseconds ahead of its time at which a message is waited for; one that is earlier is sent on."""
SOON_PRECISE = 2500
LEAD = 150
"""Milliseconds ahead of its time at which a precise schedule is decided on, or a precise run claimed."""
RETRY_SOON = 2000
TRIES = 8
STUCK = 60_000
_REMEMBERED = 10_000


class Delivered(NamedTuple):
    """A received message. received: how often, this time included. receipt: by which SQS knows this delivery."""

    id: str
    body: str
    received: int = 1
    receipt: str = ""


class Dispatcher:
    """schedules, runs: the stores themselves; the dispatcher hands over what follows. queue: the URL of the queue whose
    messages come here; a target that is another's business is passed on. perform, policy: how and how
    often targets are tried. inquire: asks a target about an attempt that was cut off. leases: where long attempts say
    that they live, each `every` seconds. threads: messages at the same time; with 1 all happens in the caller's
    thread."""

    def __init__(
        self,
        schedules: ScheduleStore,
        runs: RunStore,
        handover: Handover,
        clock: Clock,
        queue: str,
        *,
        perform: Perform,
        policy: PolicyOf,
        inquire: Inquiry,
        telemetry: Telemetry,
        leases: Leases,
        dead: DeadCopies,
        threads: int = 10,
        every: float = EVERY,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._schedules = schedules
        self._runs = runs
        self._handover = handover
        self._clock = clock
        self._queue = queue
        self._perform = perform
        self._policy = policy
        self._inquire = inquire
        self._telemetry = telemetry
        self._leases = leases
        self._dead = dead
        self._threads = threads
        self._every = every
        self._sleep = sleep
        self._pool: ThreadPoolExecutor | None = None
        self._looked: dict[str, int] = {}

    def handle(self, messages: Sequence[Delivered], left: Callable[[], int]) -> list[str]:
        """Deal with these messages; answers the ids of those that must come again. left: milliseconds that this
        function may still take; at the start, that is its timeout."""
        visit = _Visit(left, min(LEASE, left() + MARGIN), {})

        def one(message: Delivered) -> str | None:
            try:
                self._take(message, visit)
            except InvalidError as error:
                log.error("message %s is none of rota's and goes to the dead: %s", message.id, error)  # noqa: TRY400 its trace says nothing
                self._telemetry.count("FailedMessages")
                return message.id
            except Exception:
                log.exception("message %s comes again: %s", message.id, message.body)
                self._telemetry.count("FailedMessages")
                return message.id
            return None

        with Heartbeat(lambda _: self._stay(visit), first=self._every, every=self._every):
            if len(messages) < 2 or self._threads < 2:
                answers = [one(message) for message in messages]
            else:
                self._pool = self._pool or ThreadPoolExecutor(self._threads, "rota-dispatch")
                answers = list(self._pool.map(one, messages))
        return [answer for answer in answers if answer is not None]

    def _stay(self, visit: _Visit) -> None:
        """Say of the runs in hand that this lives."""
        if keys := list(visit.claimed):
            self._leases.extend(keys, self._clock.now() + visit.lease)

    def _take(self, delivered: Delivered, visit: _Visit) -> None:
        message = decode_message(delivered.body)
        early = message.due - self._clock.now()
        if early > (SOON_PRECISE if message.precise else SOON):
            self._handover.send_on(message, self._queue)
            return
        again = delivered.received > 1
        if isinstance(message, TickMessage):
            self._tick(message, visit, again=again)
        else:
            record = self._runs.get(message.key)
            if record is not None:
                self._attend(run_of(record, recurring=message.recurring), record, visit, again=again)

    # ticks

    def _tick(self, message: TickMessage, visit: _Visit, *, again: bool) -> None:
        """Decide on a schedule at its time; attempt what that accepted."""
        self._wait_until(message.due - (LEAD if message.precise else 0))
        changes = self._decided(message)
        now = max(self._clock.now(), message.due)
        for change in changes:
            self._telemetry.count("Ticks", len(change.ticks))
        accepted = [run for it in changes for run in it.runs if not run.held and run.key not in it.cancel]
        first = next((run for run in accepted if run.due <= now + SOON), None)
        self._handover.arrived([run for run in accepted if run is not first], now)
        if again or (not changes and self._has_not_looked(message.id, now)):
            self._look_after(message.id, visit, now)
        elif any(row.reason == "overlap" for it in changes for row in it.ticks):
            self._look_after(message.id, visit, now, stuck=now - STUCK)
        if first is not None:
            self._fire(first, visit)

    def _decided(self, message: TickMessage) -> list[Change]:
        """Decide on all ticks of the schedule that are due; answers what was stored."""
        changes: list[Change] = []
        tries = 0
        while tries < TRIES:
            rows = self._schedules.get([message.id])
            now = self._clock.now()
            if message.precise and now < message.due and rows and _is_due(rows[0], message.due):
                made, waiting = decide_ahead(self._schedules, rows, now)
                if waiting:
                    self._wait_until(message.due)
                    continue
            else:
                now = max(now, message.due)
                if not rows or not _is_due(rows[0], now):
                    return changes
                made = decide(self._schedules, rows, now)
            changes += made
            tries += not made
        raise ConflictError(
            f"schedule {message.id!r} was changed by others {TRIES} times in a row", schedule=message.id
        )

    def _has_not_looked(self, schedule_id: str, now: int) -> bool:
        """Whether this process has not looked after a schedule for a while. With a backlog there are many ticks that
        others decided already; if each sent all open runs once more, the backlog would grow faster than it is worked
        off."""
        if now < self._looked.get(schedule_id, 0) + STUCK:
            return False
        if len(self._looked) >= _REMEMBERED:
            self._looked.clear()
        self._looked[schedule_id] = now
        return True

    def _look_after(self, schedule_id: str, visit: _Visit, now: int, stuck: int | None = None) -> None:
        """See to the open runs of a schedule: one may be left of a function that died. stuck: only those pending that
        were due before this."""
        found = self._schedules.open_runs([schedule_id]).get(schedule_id)
        records = [record for key in found.keys if (record := self._runs.get(key)) is not None] if found else []
        waiting = [record for record in records if record.state in ("pending", "running")]
        due = [record for record in waiting if record.due <= now + SOON]
        # Who accepted these may have died before handing them over.
        self._handover.arrived([run_of(record) for record in waiting if record.due > now + SOON], now)
        if stuck is not None:
            self._handover.runs(
                [run_of(it) for it in due if it.state == "pending" and it.due < stuck], now, direct=False
            )
        elif len(due) == 1:
            self._attend(run_of(due[0]), due[0], visit, again=False)
        else:
            self._handover.runs([run_of(record) for record in due], now, direct=False)

    # runs

    def _attend(self, run: Run, record: RunRecord, visit: _Visit, *, again: bool) -> None:
        """Do what the state of a run asks for. again: its message came before."""
        now = self._clock.now()
        if record.state == "pending":
            if run.due > now + (SOON_PRECISE if run.spec.precise else SOON):
                self._handover.arrived([run], now)
            else:
                self._fire(run, visit)
        elif record.state == "running":
            assert record.started is not None
            over = record.started + visit.lease
            if over <= now:
                over = self._leases.until(run.key)
            if over > now:
                self._handover.runs([replace(run, due=over)], now, direct=False)
            else:
                self._interrupted(run, record.started, visit)
        elif again and record.state != "held":
            if record.state == "failed":
                self._dead.copy_of(run.key)
            if run.recurring:
                self._look_after(run.schedule_id, visit, now)

    def _interrupted(self, run: Run, started: int, visit: _Visit) -> None:
        """The function that attempted `run` is no more: go by what the target knows of it."""
        known = self._inquire(run)
        if known is None:
            result = Result(started, max(self._clock.now(), started), failure=INTERRUPTED, interrupted=True)
        else:
            result = replace(known, started=started, finished=max(known.finished, started))
        log.warning("%s: attempt %d was cut off", run.id, run.attempt + 1)
        self._telemetry.count("Interrupted")
        following = self._conclude(run, result, visit)
        if following is not None:
            self._fire(following, visit)

    def _fire(self, run: Run, visit: _Visit) -> None:
        """Attempt `run`, which is due at any moment, and again as long as the next attempt is soon."""
        if self._handover.queue_of(run.spec.target) != self._queue:
            self._handover.runs([run], self._clock.now(), direct=False)
            return
        following: Run | None = run
        while following is not None:
            run = following
            self._wait_until(run.due - (LEAD if run.spec.precise else 0))
            started = self._clock.now() if not run.spec.precise else max(run.due, self._clock.now())
            if not self._runs.claim([Claim(run, started)])[0]:
                log.info("%s is claimed by another, or cancelled", run.id)
                return
            visit.claimed[run.key] = None
            try:
                following = self._attempt(run, visit)
            finally:
                del visit.claimed[run.key]

    def _attempt(self, run: Run, visit: _Visit) -> Run | None:
        """Attempt a run that is claimed, and settle it; answers it if its next attempt is soon."""
        self._wait_until(run.due)
        result = attempt(
            run,
            self._perform,
            self._clock,
            timeout=self._policy(run).timeout,
            left=visit.left,
            asked=lambda: self._is_asked(run.key),
        )
        self._telemetry.fired(run, result)
        return self._conclude(run, result, visit)

    def _is_asked(self, key: RunKey) -> bool:
        """Whether a run that is being attempted was asked to stop."""
        try:
            return bool(self._runs.cancelled([key]))
        except RotaError as error:
            log.warning("%s may have been asked to stop: %s", key.id, error)
            return False

    def _conclude(self, run: Run, result: Result, visit: _Visit) -> Run | None:
        """Settle, and hand over what follows; answers the run if its next attempt is soon."""
        settlements, released = settle(self._runs, [(run, result)], self._policy, claimed={run.key})
        settlement, now = settlements[0], self._clock.now()
        self._handover.arrived(released, now)
        if settlement.dead:
            self._dead.copy_of(run.key)
            self._telemetry.count("DeadLetters")
        self._telemetry.settled(settlement)
        if settlement.retry_at is None:
            return None
        following = replace(run, attempt=settlement.attempt, due=settlement.retry_at, held=False)
        if settlement.retry_at <= now + RETRY_SOON and visit.left() > settlement.retry_at - now + MARGIN:
            return following
        self._handover.arrived([following], now)
        return None

    def _wait_until(self, at: int) -> None:
        wait = at - self._clock.now()
        if wait > 0:
            self._sleep(wait / 1000)


class _Visit(NamedTuple):
    """One invocation. left: milliseconds it may still take. lease: milliseconds that a claim is good for. claimed: the
    runs that it is attempting."""

    left: Callable[[], int]
    lease: int
    claimed: dict[RunKey, None]


def _is_due(stored: StoredSchedule, until: int) -> bool:
    return is_active(stored) and stored.state.next_tick is not None and stored.state.next_tick <= until
