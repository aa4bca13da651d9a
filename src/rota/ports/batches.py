"""Where batch runs and their ledgers live."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from rota.core.batch import BatchKey, BatchOutcome, BatchRun, Wish
from rota.core.chunk import Chunk
from rota.core.completion import ChunkRow, FailureGroup, Mark, Verdict
from rota.core.run import Run
from rota.core.total import Total

Which = Literal["all", "open", "done", "redrive"]


class BatchQuery(msgspec.Struct, frozen=True):
    """Which batch runs, newest first. state: pending, running, finishing or an outcome. after: the last one of the
    page before."""

    name: str | None = None
    state: str | None = None
    after: BatchKey | None = None
    limit: int = 50


class Finished(msgspec.Struct, frozen=True):
    """What is stored when a batch run has ended. at: epoch ms. version, root, manifest: of the manifest that was
    written, or what they were before if there is none."""

    outcome: BatchOutcome
    at: int
    error: str = ""
    version: int = 0
    root: str = ""
    manifest: str = ""


class BatchStore(Protocol):
    """An implementer owes:

    - durability and atomicity per call, as ScheduleStore does;
    - marks are idempotent: a mark replaces what an earlier one said of the same chunk, unless that one had a higher
      revision, in which case nothing changes; the totals of the batch run are always those of the marks that stand;
    - `begin`, `decide`, `finish` and `redrive` succeed for exactly one of several callers;
    - `finish` stores the outcome and accepts the runs that notify together, or neither.
    """

    def accept(self, runs: Sequence[BatchRun]) -> builtins.list[BatchRun]:
        """Store new batch runs; answers them as stored. One whose time is taken gets the next millisecond; for one
        whose `cause` is known, the batch run of that cause is answered and nothing is stored."""

    def get(self, keys: Sequence[BatchKey]) -> builtins.list[BatchRun]:
        """Those of `keys` that exist, in the order asked."""

    def list(self, query: BatchQuery) -> builtins.list[BatchRun]:
        """One page, newest first."""

    def open(self, limit: int) -> builtins.list[BatchRun]:
        """Batch runs that have not ended, oldest first."""

    def begin(self, key: BatchKey, now: int) -> bool:
        """pending becomes running."""

    def record(
        self,
        key: BatchKey,
        planned: Sequence[Chunk],
        marks: Sequence[Mark],
        sealed: int | None = None,
        total: Total | None = None,
    ) -> BatchRun:
        """Store newly planned chunks (one that is known is left as it is), marks, how many chunks there are, once that
        is known, and how many items, as far as it is. Marks of chunks that were never planned plan them. Answers the
        batch run as it is now."""

    def recut(self, key: BatchKey, chunks: Sequence[Chunk]) -> BatchRun:
        """These chunks were cut wrongly: they get this range and are not done any more."""

    def ask(self, key: BatchKey, wish: Wish) -> BatchRun | None:
        """Note what the user wants; None if the batch run has ended or is finishing. A cancel is never taken back."""

    def chunks(self, key: BatchKey, which: Which, after: int, limit: int) -> builtins.list[ChunkRow]:
        """A page of the ledger, behind chunk number `after`: at most `limit` chunks, and none only if there are no
        more. redrive: those with failures of the run's groups that were not marked at its revision yet."""

    def failures(self, key: BatchKey) -> builtins.list[FailureGroup]:
        """The dead letters in groups, largest first."""

    def decide(self, key: BatchKey, verdict: Verdict) -> bool:
        """pending or running becomes finishing, with that outcome."""

    def finish(self, key: BatchKey, finished: Finished, notify: Sequence[Run]) -> bool:
        """finishing becomes the outcome; `notify` is accepted."""

    def redrive(self, key: BatchKey, groups: Sequence[str], items: int = 0) -> BatchRun | None:
        """A batch run that has ended becomes pending again, at the next revision; None if it has not ended. items:
        how many these groups have."""

    def forget(self, before: int, limit: int) -> builtins.list[BatchRun]:
        """Remove up to `limit` batch runs that ended before `before` and have no dead letters, with their ledgers;
        answers them."""

    def purge(self, key: BatchKey) -> BatchRun | None:
        """Remove a batch run that has ended, with its ledger and its dead letters; None if it has not ended."""
