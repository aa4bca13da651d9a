"""A batch store whose writes set the functions of a stack in motion: what clients and the worker write through.

Each call writes to the ledger first and sends afterwards. A caller that dies in between was never answered; the
sweeper finds what it left.
"""

from __future__ import annotations

import builtins
import logging
from collections.abc import Callable, Sequence

import msgspec

from rota.aws.batch.ledger import Ledger
from rota.aws.batch.messages import PlanMessage, Step
from rota.aws.batch.post import Post
from rota.aws.batch.verdicts import is_out_of_time
from rota.aws.batch_choice import choose, reason
from rota.aws.batch_cost import Way
from rota.core.batch import BatchKey, BatchRun, Wish
from rota.core.chunk import Chunk
from rota.core.completion import ChunkRow, FailureGroup, Mark, Verdict
from rota.core.errors import ConflictError, InvalidError, SourceError
from rota.core.run import Run
from rota.core.topology import Choice
from rota.core.total import Total
from rota.ports.batches import BatchQuery, Finished, Which
from rota.ports.clock import Clock

log: logging.Logger = logging.getLogger("rota.batch")


class SendingBatches:
    """A `BatchStore` over `ledger`. look: at the source of a batch run that is to be accepted, for callers that may."""

    def __init__(
        self, ledger: Ledger, post: Post, clock: Clock, look: Callable[[BatchRun], None] = lambda _run: None
    ) -> None:
        self._ledger = ledger
        self._post = post
        self._clock = clock
        self._look = look

    def accept(self, runs: Sequence[BatchRun]) -> builtins.list[BatchRun]:
        chosen = [self._chosen(run) for run in runs]
        for run in chosen:
            self._check(run)
        stored = self._ledger.accept(chosen)
        for run in stored:
            if run.state == "pending":
                self._post.plan(PlanMessage(run.id))
        return stored

    def choice(self, run: BatchRun) -> Choice:
        """The topology of this batch run, and why: the one that is asked for, or what `auto` stands for. Raises what
        `accept` does."""
        asked = run.spec.topology
        if asked != "auto":
            self._check(run)
        refused: dict[str, str] = {}
        ways: tuple[Way, ...] = ("map", "pipeline")
        for way in ways:
            if way == asked:
                continue
            tried = msgspec.structs.replace(run, spec=msgspec.structs.replace(run.spec, topology=way))
            try:
                self._check(tried)
            except (InvalidError, SourceError) as error:
                refused[way] = reason(error)
        if asked != "auto":
            return Choice(asked, f"{asked}, as asked for", refused)
        return choose(run.spec, refused)

    def _check(self, run: BatchRun) -> None:
        self._post.check(run)
        self._look(run)

    def _chosen(self, run: BatchRun) -> BatchRun:
        if run.spec.topology != "auto":
            return run
        found = self.choice(run)
        log.info("batch %s: %s", run.name, found.why)
        return msgspec.structs.replace(run, spec=msgspec.structs.replace(run.spec, topology=found.way))

    def ask(self, key: BatchKey, wish: Wish) -> BatchRun | None:
        asked = self._ledger.ask(key, wish)
        if asked is not None and asked.wish == "cancel":
            if asked.spec.topology == "map":
                # The end of its execution is to count what was done.
                self._post.plan(PlanMessage(asked.id, "open", f"cancel-{self._clock.now()}"))
            else:
                self._post.finish(asked.id)
        elif asked is not None and asked.wish == "run":
            step: Step = "start" if asked.state == "pending" else "redrive" if asked.revision else "open"
            self._post.plan(PlanMessage(asked.id, step, f"resume-{self._clock.now()}"))
        return asked

    def redrive(self, key: BatchKey, groups: Sequence[str], items: int = 0) -> BatchRun | None:
        for run in self._ledger.get([key]):
            if not run.is_open and is_out_of_time(self._ledger, run, self._clock.now()):
                said = f"the ledger of batch run {run.id} is about to expire; start a new one for what is left"
                raise ConflictError(said, batch_run=run.id)
        again = self._ledger.redrive(key, groups, items)
        if again is not None:
            self._post.plan(PlanMessage(again.id, wave=f"redrive-{again.revision}"))
        return again

    # the rest is the ledger's alone

    def get(self, keys: Sequence[BatchKey]) -> builtins.list[BatchRun]:
        return self._ledger.get(keys)

    def list(self, query: BatchQuery) -> builtins.list[BatchRun]:
        return self._ledger.list(query)

    def open(self, limit: int) -> builtins.list[BatchRun]:
        return self._ledger.open(limit)

    def begin(self, key: BatchKey, now: int) -> bool:
        return self._ledger.begin(key, now)

    def record(
        self,
        key: BatchKey,
        planned: Sequence[Chunk],
        marks: Sequence[Mark],
        sealed: int | None = None,
        total: Total | None = None,
    ) -> BatchRun:
        return self._ledger.record(key, planned, marks, sealed, total)

    def recut(self, key: BatchKey, chunks: Sequence[Chunk]) -> BatchRun:
        return self._ledger.recut(key, chunks)

    def chunks(self, key: BatchKey, which: Which, after: int, limit: int) -> builtins.list[ChunkRow]:
        return self._ledger.chunks(key, which, after, limit)

    def failures(self, key: BatchKey) -> builtins.list[FailureGroup]:
        return self._ledger.failures(key)

    def decide(self, key: BatchKey, verdict: Verdict) -> bool:
        return self._ledger.decide(key, verdict)

    def finish(self, key: BatchKey, finished: Finished, notify: Sequence[Run]) -> bool:
        return self._ledger.finish(key, finished, notify)

    def forget(self, before: int, limit: int) -> builtins.list[BatchRun]:
        return self._ledger.forget(before, limit)

    def purge(self, key: BatchKey) -> BatchRun | None:
        return self._ledger.purge(key)
