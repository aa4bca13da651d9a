"""From the far tier to the near one: who is told of what is due, and how schedules go on.

Three ways lead to a target. A *direct* run is a plain one-off for a queue: it goes straight to that queue, held by SQS
until it is due, and nobody looks at it again; that is why a million of them cost less than a dollar. Any other run is a
message for the dispatcher, or for the worker if user's code is to run. A schedule is a message for each of its ticks:
the feeder computes them from the definition and nothing else, so that a firing that fails never breaks the chain, and
what becomes of a tick is decided when it is due, by the state of then.

Ticks and the fence. Having handed over all ticks up to a time, the next one is stored in the far tier. Another feeder
may have read past it by then, in the same shard or, since the number of shards changed, in another. So whoever stores
it asks for the fence afterwards, and goes on handing over until the stored tick lies beyond it.

Deaths of writers. A schedule was acknowledged long ago; now its definition is changed, and the writer dies between
storing that and asking for the fence. Nobody would ever read the new next tick, if a feeder is past it. So a change is
announced before it is stored: reminders for the ticks up to some minutes beyond the fence, and the tick after those in
the far tier, under the version that the definition will have. If the change is stored, they are what is needed; if it
is not, the reminders find nothing due, and the entry is of a version that there is not.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from rota.aws.messages import AnyMessage, TickMessage, encode_message, run_message
from rota.aws.near import MISSING, NearTier, Outgoing, Refused
from rota.aws.settings import LONGEST_DELAY, SLACK, StackSettings
from rota.core.aws_names import region_of
from rota.core.errors import NotFoundError, StoreError, TargetError
from rota.core.ids import iso
from rota.core.run import Run
from rota.core.schedule import StoredSchedule
from rota.core.target import AnyTarget, BatchTarget, QueueTarget, SqsTarget, TaskTarget
from rota.ports.far_tier import DueTick, FarTier
from rota.targets.sqs import message
from rota.targets.sqs import queue_url as sqs_url

log: logging.Logger = logging.getLogger("rota.handover")

REACH = (LONGEST_DELAY + SLACK) * 1000
"""Milliseconds ahead of now beyond which no feeder can have read."""
_CROWD = 100
"""Ticks of one schedule within so many milliseconds share a message: whoever decides takes all that are due."""
_LATE = 1000
AHEAD = 120_000
"""Milliseconds beyond the fence for which a definition is announced: no feeder gets so far while it is stored."""
SETTLED = 5000
"""Milliseconds after which what was about to be stored is stored, or never will be."""


class Onward(NamedTuple):
    """Hand over the ticks of `stored` from `at` to `until`."""

    stored: StoredSchedule
    at: int
    until: int


def definition_version(stored: StoredSchedule) -> int:
    """What tells the far-tier entries of one definition from those of an older one."""
    return stored.state.updated


def is_active(stored: StoredSchedule) -> bool:
    return stored.state.paused is None and stored.state.next_tick is not None


def ticks_between(onward: Onward, now: int) -> tuple[list[int], int | None]:
    """The times to decide at, and the first tick after `onward.until`. What has passed at `now` is decided at once, so
    one time stands for all of it."""
    trigger, until = onward.stored.schedule.trigger, onward.until
    times: list[int] = []
    at: int | None = onward.at
    if onward.at <= now:
        passed = trigger.latest_tick(onward.at - 1, min(now, until))
        at = max(onward.at, passed.at) if passed else onward.at
    while at is not None and at <= until:
        if times and at // _CROWD == times[-1] // _CROWD:
            times[-1] = at
        else:
            times.append(at)
        following = trigger.next_tick(at)
        at = following.at if following else None
    return times, at


class Handover:
    """near, far: the tiers. settings: names the queues."""

    def __init__(self, near: NearTier, far: FarTier, settings: StackSettings) -> None:
        self.near: NearTier = near
        self._far = far
        self._settings = settings

    def runs(self, runs: Iterable[Run], now: int, *, direct: bool = True, new: bool = False) -> None:
        """Hand these over, whatever the fence. direct: those that may go straight to their queue do. new: whoever asks
        for them waits for the answer, so a queue that is not there is a NotFoundError. StoreError."""
        messages: list[Outgoing] = []
        straight: dict[Outgoing, Run] = {}
        for run in runs:
            sent = self._straight(run, now) if direct else None
            if sent is not None:
                straight[sent] = run
            messages.append(sent or self.reminder(run))
        for refused in self.near.send(messages):
            mine = straight.get(refused.message)
            if mine is None:
                raise _impossible(refused)
            if new and refused.code in MISSING:
                raise NotFoundError(
                    "queue", refused.message.queue, "SQS has none at this URL, so nothing was scheduled"
                )
            # The dispatcher tries the same and fails the same way, but as a run, with its record and dead letter.
            log.warning("%s: its queue refuses it, so the dispatcher takes it: %s", mine.id, refused.reason)
            self.runs((mine,), now, direct=False)

    def arrived(self, runs: Sequence[Run], now: int, *, new: bool = False) -> None:
        """What was just written to the far tier: hand over what a feeder may have missed. A late one is not sent
        straight to its queue, so that its record says how late it was. new: as of `runs`."""
        near = [run for run in runs if not run.held and run.due <= now + REACH]
        if not near:
            return
        fences = self._far.fences(list(dict.fromkeys(run.schedule_id for run in near)))
        late = [run for run in near if run.due < now - _LATE or (run.due <= now and not is_direct(run))]
        missed = [run for run in near if run.due <= fences.get(run.schedule_id, 0)]
        known = {run.key for run in late}
        self.runs(late, now, direct=False)
        self.runs([run for run in missed if run.key not in known], now, new=new)

    def ticks(self, onward: Sequence[Onward], now: int) -> None:
        """Hand over ticks and store where the schedules go on."""
        left = list(onward)
        while left:
            messages: list[Outgoing] = []
            following: list[tuple[StoredSchedule, DueTick]] = []
            for one in left:
                times, after = ticks_between(one, now)
                messages += [self.tick(one.stored, at) for at in times]
                if after is not None:
                    following.append((one.stored, DueTick(one.stored.id, after, definition_version(one.stored))))
            self.remind(messages)
            if not following:
                return
            self._far.put_ticks([tick for _, tick in following])
            fences = self._far.fences(list(dict.fromkeys(tick.schedule_id for _, tick in following)))
            left = [
                Onward(stored, tick.at, fence)
                for stored, tick in following
                if (fence := fences.get(tick.schedule_id, 0)) >= tick.at
            ]

    def announce(self, rows: Sequence[StoredSchedule], now: int) -> dict[str, int | None]:
        """These definitions are about to be stored: see to it that they go on should their writer die right after.
        Answers, of those that are due soon, the tick that is in the far tier already."""
        near = _soon(rows, now)
        fences = self._far.fences([row.id for row, _ in near]) if near else {}
        messages: list[Outgoing] = []
        announced: dict[str, int | None] = {}
        for row, at in near:
            until = max(fences.get(row.id, 0), now) + AHEAD
            if at > until:
                continue
            times, announced[row.id] = ticks_between(Onward(row, at, until), now)
            messages += [self.tick(row, max(time, now + SETTLED)) for time in times]
        self.remind(messages)
        following = [(row, tick) for row, _ in near if (tick := announced.get(row.id)) is not None]
        self._far.put_ticks([DueTick(row.id, tick, definition_version(row)) for row, tick in following])
        return announced

    def defined(self, rows: Sequence[StoredSchedule], announced: Mapping[str, int | None], now: int) -> None:
        """These definitions were just stored: hand over the ticks that a feeder may have missed, and those that are
        due before what was announced."""
        near = _soon(rows, now)
        if not near:
            return
        self.remind([self.tick(row, at) for row, at in near if row.id in announced and at < now + SETTLED])
        fences = self._far.fences([row.id for row, _ in near])
        missed: list[Onward] = []
        for row, at in near:
            first = announced.get(row.id, at)
            if first is not None and first <= max(now, fences.get(row.id, 0)):
                missed.append(Onward(row, first, max(first, fences.get(row.id, 0))))
        self.ticks(missed, now)

    def look_after(self, rows: Sequence[StoredSchedule], now: int) -> None:
        """Runs of these schedules are about to be accepted: have somebody look after them in a moment."""
        self.remind([self.tick(row, now + SETTLED) for row in rows])

    def remind(self, messages: Sequence[Outgoing]) -> None:
        """Send messages for the stack's own queues."""
        for refused in self.near.send(messages):
            raise _impossible(refused)

    def reminder(self, run: Run) -> Outgoing:
        """The message that has `run` attempted when it is due."""
        body = encode_message(run_message(run))
        return Outgoing(self.queue_of(run.spec.target), body, run.due, early=run.spec.precise)

    def tick(self, stored: StoredSchedule, at: int) -> Outgoing:
        """The message that has a schedule decided on at `at`."""
        schedule = stored.schedule
        body = encode_message(TickMessage(schedule.id, at, schedule.precise))
        return Outgoing(self.queue_of(schedule.target), body, at, early=schedule.precise)

    def send_on(self, message: AnyMessage, queue: str) -> None:
        """Send on a message that came before it is due, to the queue with this URL."""
        self.remind([Outgoing(queue, encode_message(message), message.due, early=message.precise)])

    def queue_of(self, target: AnyTarget) -> str:
        """The URL of the queue of the function that carries out such a target."""
        settings = self._settings
        return settings.worker_queue if isinstance(target, TaskTarget | BatchTarget) else settings.dispatch_queue

    def _straight(self, run: Run, now: int) -> Outgoing | None:
        """The message that is all that `run` amounts to; None if it takes more than that."""
        if not is_direct(run) or run.due > now + LONGEST_DELAY * 1000:
            return None
        target = run.spec.target
        if isinstance(target, QueueTarget):
            return Outgoing(queue_url(target.name, self._settings), run.payload.decode(), run.due, attributes_of(run))
        assert isinstance(target, SqsTarget)
        here, there = region_of(self._settings.dispatch_queue), region_of(target.queue)
        if here is not None and there is not None and here != there:
            return None
        try:
            sent = message(run)
        except TargetError:
            return None
        return Outgoing(
            sqs_url(target.queue), sent["MessageBody"], run.due, attributes_of(run), sent.get("MessageGroupId")
        )


def is_direct(run: Run) -> bool:
    """Whether nothing but a message in its queue is to come of `run`: no attempt is recorded, and none is repeated."""
    spec, target = run.spec, run.spec.target
    queue = isinstance(target, QueueTarget) or (isinstance(target, SqsTarget) and not target.fifo)
    plain = spec.retry is None and spec.timeout is None and spec.delivery == "at_least_once" and not spec.precise
    return queue and plain and not run.recurring and run.attempt == 0


def attributes_of(run: Run) -> tuple[tuple[str, str], ...]:
    """What a message says of the run it comes from."""
    return ("rota-run-id", run.id), ("rota-scheduled", iso(run.scheduled))


def queue_url(name: str, settings: StackSettings) -> str:
    """The URL of the SQS queue that stands for the embedded queue of this name."""
    return f"{settings.queue_prefix}{name}"


def _soon(rows: Sequence[StoredSchedule], now: int) -> list[tuple[StoredSchedule, int]]:
    """Those with a tick that a feeder may be about to read, and that tick."""
    active = [(row, row.state.next_tick) for row in rows if is_active(row)]
    return [(row, at) for row, at in active if at is not None and at <= now + REACH]


def _impossible(refused: Refused) -> StoreError:
    """The queues of the stack take all that rota sends, unless the stack is not what its template says."""
    queue = refused.message.queue
    return StoreError(f"SQS refuses a message for {queue}: {refused.why}", queue=queue)
