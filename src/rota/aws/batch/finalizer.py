"""Says how a batch run ends, and finishes it.

Whoever marks the chunk that completes the ledger sends a message here, and so does whoever sees that a batch run may
have to end before: too many failures, its timeout, a cancel, a ledger that is about to expire. Messages may come twice,
and two finalizers may work at the same time: `decide` lets one verdict stand, `finish` lets one of them end it, and
what lies between gives the same when it is done again.

Cuts that were guessed are proven here, before a batch run may have succeeded: chunks whose neighbours do not meet are
cut anew and sent again, and the last of them brings the next message.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from rota.aws.batch.benches import places_of, prepared_sink
from rota.aws.batch.ledger import Ledger, find
from rota.aws.batch.messages import ChunkMessage, FinishMessage, PlanMessage, UnreadableError, decode_batch_message
from rota.aws.batch.post import Post
from rota.aws.batch.verdicts import judged
from rota.core.batch import BatchRun
from rota.core.chunk import recut
from rota.core.completion import Frontier
from rota.core.errors import RotaError, StoreError
from rota.core.receipt import Counts
from rota.core.run import Run
from rota.ports.batches import Finished
from rota.ports.clock import Clock
from rota.ports.sink import Sink
from rota.processing.ending import conclude, notices_of, rows
from rota.processing.jobs import Job
from rota.processing.marks import ATTEMPTS

log: logging.Logger = logging.getLogger("rota.batch")
GIVEN_UP = "the results could not be finished: the finalizer failed each time; its log tells why"
_EARLY = 1000


class Finalizer:
    """tell: hands over runs that were accepted to notify; telling of one twice is harmless."""

    def __init__(self, ledger: Ledger, post: Post, clock: Clock, tell: Callable[[Sequence[Run]], None]) -> None:
        self._ledger = ledger
        self._post = post
        self._clock = clock
        self._tell = tell

    def handle(self, body: str, received: int) -> None:
        """Deal with a message. StoreError if it must come again."""
        message = decode_batch_message(body)
        if not isinstance(message, FinishMessage):
            raise UnreadableError("message", body, "a message for the finalizer")
        run = find(self._ledger, message.key)
        if run is None:
            return
        if run.is_open and message.due > self._clock.now() + _EARLY:
            self._post.finish(run.id, message.due)
            return
        if run.state in ("pending", "running") and not self._decided(run, received):
            return
        self._finish(message, received)

    def give_up(self, message: FinishMessage) -> None:
        """The message was received too often: end the batch run without its results being put in place."""
        run = find(self._ledger, message.key)
        if run is None or run.state not in ("pending", "running", "finishing"):
            return
        if run.state != "finishing" and not self._decided(run, 1):
            return
        self._finish(message, 0, GIVEN_UP)

    # how it ends

    def _decided(self, run: BatchRun, received: int) -> bool:
        """Decide how it ends, if it does."""
        complete = self._ledger.is_complete(run.key)
        if complete:
            if not self._proven(run):
                return False
            # The marks that made it complete count too.
            run = find(self._ledger, run.key) or run
        elif received > 1 and run.sealed is not None and run.wish == "run":
            # A finalizer may have died between opening chunks again and sending them.
            self._post.plan(PlanMessage(run.id, "open", f"finish-{self._clock.now()}"))
        counts, now = self._counts(run, complete=complete), self._clock.now()
        found = judged(self._ledger, run, counts, now, complete=complete)
        if found is None:
            return False
        self._ledger.decide(run.key, found)
        return True

    def _proven(self, run: BatchRun) -> bool:
        """Whether all chunks meet; those that do not are sent to be read again."""
        done = ((row.chunk, row.mark.extent) for row in rows(self._ledger, run.key, "done") if row.mark is not None)
        wrong = list(recut(done))
        if not wrong:
            return True
        log.info("%s: %d chunks were cut wrongly", run.id, len(wrong))
        self._ledger.recut(run.key, wrong)
        self._post.chunks(run, [ChunkMessage(run.id, Job(0, "whole", chunk), again=True) for chunk in wrong])
        return False

    def _counts(self, run: BatchRun, *, complete: bool) -> Counts:
        """What is judged. Records of a chunk that was cut wrongly look broken, so before the end only what is proven
        counts, where cuts are guessed."""
        if complete or run.revision or run.spec.source.get("type") != "csv":
            return run.counts
        frontier = Frontier()
        for row in rows(self._ledger, run.key, "all"):
            if row.mark is None or list(frontier.add(row.chunk, row.mark.extent, row.mark.counts)):
                break
        return frontier.counts

    # ending it

    def _finish(self, message: FinishMessage, received: int, broken: str = "") -> None:
        run = find(self._ledger, message.key)
        if run is None:
            return
        if run.state == "finishing":
            sink: Sink | None = None
            if (run.planned or run.sealed is not None) and not broken:
                sink, broken = self._sink(run, received)
            places = places_of(run)
            try:
                conclude(run, self._ledger, sink, places, self._clock, broken)
            finally:
                places.close()
            run = find(self._ledger, message.key) or run
        if not run.is_open and run.outcome is not None:
            finished = Finished(run.outcome, run.finished or 0, run.error, run.version, run.root, run.manifest)
            self._tell(notices_of(run, finished))

    def _sink(self, run: BatchRun, received: int) -> tuple[Sink | None, str]:
        """The sink, or why there is none."""
        try:
            return prepared_sink(run), ""
        except StoreError as error:
            if received < ATTEMPTS:
                raise
            return None, f"the sink cannot be used: {error}"
        except RotaError as error:
            return None, str(error)
