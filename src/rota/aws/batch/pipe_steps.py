"""The two steps of a pipeline's workflow: one attempts the items of a chunk, the other writes what came of it.

The first is the processor of the queue, with all that it does about retries, killers and pauses; but where that marks
the ledger, this one passes mark and results on to the second step, which writes the results to the sink and then
marks the ledger. Whatever dies in between leaves nothing that counts: the message that started the workflow is not
acknowledged, or its dead letter is counted.

    PipeProcessor --- mark, results ---> PipeWriter ---> sink, ledger, and the finalizer if that was the last
"""

from __future__ import annotations

import logging

import msgspec

from rota.aws.batch.benches import Bench, Benches
from rota.aws.batch.ledger import Headers, Ledger
from rota.aws.batch.messages import ChunkMessage, encode_batch_message
from rota.aws.batch.pipe_passing import keep, pass_on, passed_on, written
from rota.aws.batch.pipe_sink import PassingBenches, held_by
from rota.aws.batch.post import Post
from rota.aws.batch.processor import Processor, Visit
from rota.aws.batch.verdicts import decide_failed, said
from rota.aws.batch_cost import LARGEST_INLINE, MEMORY
from rota.core.batch import BatchRun
from rota.core.completion import Mark
from rota.core.outcome import failure_of
from rota.ports.clock import Clock
from rota.processing.jobs import Report
from rota.processing.marks import FINAL

log: logging.Logger = logging.getLogger("rota.batch")


class TransientError(Exception):
    """The step may succeed when it is tried again; the state machine knows this error by its name."""


class PipeProcessor(Processor):
    """benches: those that pass results on. memory: MB of the function. inline: bytes that a message and what is passed
    on may take together in the state of a workflow."""

    def __init__(
        self,
        ledger: Ledger,
        post: Post,
        clock: Clock,
        benches: PassingBenches,
        memory: int = MEMORY,
        inline: int = LARGEST_INLINE,
    ) -> None:
        super().__init__(ledger, post, clock, benches, memory)
        self._passing = benches
        self._inline = inline
        self._passed: str | None = None

    def process(self, message: ChunkMessage, token: str, visit: Visit) -> str | None:
        """Attempt the items of a chunk; answers what the writer is to be told, None if nothing is to be written. token:
        of this attempt. TransientError if it must be tried again."""
        self._begin(token)
        if not self.handle(encode_batch_message(message), visit):
            raise TransientError(f"chunk {message.job.chunk.number} of {message.run} could not be read")
        return self._passed

    def bury(self, message: ChunkMessage, token: str, visit: Visit, why: str) -> str | None:
        """As `process`, with all items of the job dead letters, which say why."""
        self._begin(token)
        if not self.give_up(message, visit, why):
            raise TransientError(f"chunk {message.job.chunk.number} of {message.run} could not be read")
        return self._passed

    def _begin(self, token: str) -> None:
        self._passing.token = token
        self._passed = None

    def _done(self, run: BatchRun, message: ChunkMessage, bench: Bench, mark: Mark, report: Report) -> None:
        folder, held = bench.places.folder, held_by(bench)
        if report.later:
            # What the chunk has come to so far is taken up by another workflow.
            keep(folder, held)
            super()._done(run, message, bench, mark, report)
        else:
            room = self._inline - len(encode_batch_message(message))
            self._passed = pass_on(folder, self._passing.token, mark, held, room)


class PipeWriter:
    """benches: those of the sinks themselves."""

    def __init__(self, ledger: Ledger, post: Post, clock: Clock, benches: Benches) -> None:
        self._ledger = ledger
        self._post = post
        self._headers = Headers(ledger, clock)
        self._benches = benches

    def write(self, message: ChunkMessage, passed: str) -> None:
        """Write what was passed on, and mark the ledger. Raises TransientError; what another try cannot help ends the
        batch run."""
        run = self._going(message)
        if run is None:
            return
        try:
            bench = self._benches.bench(run)
            folder = bench.places.folder
            told = passed_on(folder, passed)
            mark = told.mark
            parts = tuple(written(folder, bench.sink, mark.chunk, part, told.results) for part in mark.parts)
        except Exception as error:
            failure = failure_of(error)
            if failure.type not in FINAL:
                raise TransientError(str(failure)) from error
            decide_failed(self._ledger, self._post, run, said(failure))
            return
        progress = self._ledger.mark(run.key, [msgspec.structs.replace(mark, parts=parts)])
        if mark.chunk.spool:
            bench.source.release([mark.chunk])
        if progress.completed:
            self._post.finish(run.id)

    def _going(self, message: ChunkMessage) -> BatchRun | None:
        """The batch run, if this chunk still counts in it. That it was to go on a second ago is good enough, as it is
        for processors; that it was not may have changed since. In a pause, what is attempted is written too."""
        job = message.job
        for look in (self._headers.get, self._headers.fresh):
            run = look(message.key)
            if run is None:
                return None
            redriven = job.redo is None or job.revision == run.revision
            if run.state in ("pending", "running") and run.wish != "cancel" and redriven:
                return run
        return None
