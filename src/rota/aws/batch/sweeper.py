"""Looks after open batch runs, once an hour: what a crash of several parts at once, or of a client, may have left.

A batch run that has come no further since the last look is taken up again from its ledger: chunks that are open are
sent once more, an end that was not finished is asked for. Nothing depends on it while all goes well.

It also has those ended whose ledger is about to expire, paused ones too, of which nobody else would think.
"""

from __future__ import annotations

import logging

import msgspec

from rota.aws.batch.benches import places_of
from rota.aws.batch.ledger import Ledger
from rota.aws.batch.messages import PlanMessage
from rota.aws.batch.post import Post
from rota.aws.batch.verdicts import is_out_of_time
from rota.core.batch import BatchRun
from rota.ports.clock import Clock

log: logging.Logger = logging.getLogger("rota.batch")
MOST = 1000
QUIET = 45 * 60_000
"""Milliseconds without progress after which chunks are overdue."""
SETTLING = 5 * 60_000
"""Milliseconds that a batch run may be young and nobody worries."""
_SHOWN = 10
_NOTE = "later/swept.json"


class _Seen(msgspec.Struct, frozen=True):
    """at: epoch ms of when it stood so for the first time."""

    at: int
    done: int
    planned: int
    revision: int


class Sweeper:
    """Of all batch runs in a ledger."""

    def __init__(self, ledger: Ledger, post: Post, clock: Clock) -> None:
        self._ledger = ledger
        self._post = post
        self._clock = clock

    def sweep(self) -> list[str]:
        """Take up what stands still; answers the ids of those batch runs."""
        return [run.id for run in self._ledger.open(MOST) if self._look(run)]

    def _look(self, run: BatchRun) -> bool:
        now = self._clock.now()
        if now - run.created < SETTLING:
            return False
        late = is_out_of_time(self._ledger, run, now)
        ending = run.wish == "cancel" or (late and run.wish == "run")
        if ending and run.spec.topology == "map" and run.state != "finishing":
            # The end of its execution is to count what was done, and its functions see that it is to end.
            self._post.plan(PlanMessage(run.id, "open", f"sweep-{now}"))
            return True
        if run.state == "finishing" or run.wish == "cancel" or late:
            self._post.finish(run.id)
            return True
        if run.wish == "pause" or not self._is_overdue(run, now):
            return False
        wave = f"sweep-{now}"
        if run.state == "pending":
            self._post.plan(PlanMessage(run.id, "start", wave))
            return True
        names = [str(row.chunk.number) for row in self._ledger.chunks(run.key, "open", -1, _SHOWN)]
        log.warning("%s has come no further; chunks that are overdue: %s", run.id, ", ".join(names) or "none")
        self._post.plan(PlanMessage(run.id, "redrive" if run.revision else "open", wave))
        if run.spec.topology != "map":
            self._post.finish(run.id)
        return True

    def _is_overdue(self, run: BatchRun, now: int) -> bool:
        folder = places_of(run).folder
        text = folder.read(_NOTE)
        before = None if text is None else msgspec.json.decode(text, type=_Seen)
        seen = _Seen(now, run.done, run.planned, run.revision)
        if before is not None and msgspec.structs.replace(before, at=now) == seen:
            return now - before.at >= QUIET
        folder.write(_NOTE, [msgspec.json.encode(seen)])
        return False
