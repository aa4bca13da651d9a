"""Batch runs and their ledgers in DynamoDB: the `BatchStore` of the AWS engine, and the narrow calls of its functions.

`record` does all that the port says, and answers the batch run; a function that has planned some chunks or done some
work says just that by `plan`, `mark` and `seal`, which touch no item that others write at the same time, and learns
whether the batch run is complete. That is reported by the mark that completes it, and by whoever repeats a mark after
that, since the report may be what a crash took; `decide` lets one of them through.

Everything of a batch run expires `lifetime` after it was accepted, its ledger with it, so that nothing need be removed,
which would cost as much as writing it. So a batch run must have ended by then, and `deadline` says by when: its
functions end it as failed if it has not. A longer timeout is refused.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from rota.aws.dynamo.batches_failures import Failures
from rota.aws.dynamo.batches_headers import awaited_name, awaited_of, chunks_of, groups_of
from rota.aws.dynamo.batches_index import Index
from rota.aws.dynamo.batches_keys import header_key
from rota.aws.dynamo.batches_live import Live
from rota.aws.dynamo.batches_marks import Marks
from rota.aws.dynamo.batches_pages import Pages
from rota.aws.dynamo.batches_reading import Reading
from rota.aws.dynamo.batches_states import Joining, States
from rota.aws.dynamo.items import Item, Update, change, number_of
from rota.aws.dynamo.lifetimes import DAY
from rota.aws.dynamo.table import Table
from rota.aws.dynamo.tree import Trees
from rota.core.batch import BatchKey, BatchRun, Wish
from rota.core.chunk import Chunk
from rota.core.completion import ChunkRow, FailureGroup, Mark, Verdict
from rota.core.errors import ConflictError, NotFoundError
from rota.core.ledger_tree import Sums, seals, sparse_seals
from rota.core.run import Run
from rota.core.total import Total
from rota.ports.batches import BatchQuery, Finished, Which

LIFETIME = 90 * DAY


class Progress(msgspec.Struct, frozen=True):
    """What marks came to. completed: every chunk there is is done. changed: how many marks said something new."""

    completed: bool
    changed: int


class DynamoBatches:
    """The `BatchStore` in `table`. runs: accepts those that notify. lifetime: milliseconds."""

    def __init__(self, table: Table, runs: Joining, lifetime: int = LIFETIME) -> None:
        trees, failures = Trees(table), Failures(table)
        self._table = table
        self._trees = trees
        self._failures = failures
        self._live = Live(table)
        self._index = Index(table, trees, self._live, lifetime)
        self._states = States(table, runs)
        self._pages = Pages(table)
        self._marks = Marks(table, trees, failures)
        self._reading = Reading(table, trees, failures)

    # what the functions of a stack call

    def plan(self, key: BatchKey, chunks: Sequence[Chunk]) -> None:
        """Store newly planned chunks, before anybody is told of them. NotFoundError if there is no such batch run."""
        self._pages.plan(key, chunks, self._index.expires(key))

    def mark(self, key: BatchKey, marks: Sequence[Mark]) -> Progress:
        """Store marks of chunks that are planned. To be called before the message that asked for the work is
        acknowledged, and again when it comes again."""
        seen, changed = self._marks.mark(key, marks, self._index.expires(key))
        return Progress(seen and self.is_complete(key), changed)

    def seal(self, key: BatchKey, chunks: int) -> bool:
        """Say how many chunks there are; whether all of them are done. ConflictError if something else was said
        before."""
        place = header_key(key)
        when = "attribute_exists(#pk) AND (attribute_not_exists(#sealing) OR #sealing = :sealing)"
        answer = self._table.write(Update(place, "SET #sealing = :sealing", {"sealing": chunks}, when), "ALL_NEW")
        if answer.item is None:
            raise NotFoundError("batch run", key.id)
        if not answer.done:
            known = number_of(answer.item, "sealing")
            raise ConflictError(f"batch run {key.id!r} has {known} chunks, not {chunks}", batch_run=key.id)
        if number_of(answer.item, "sealed") is None:
            self._trees.seal(key, 0, seals(chunks), self._index.expires(key))
            # Last: who reads that it is sealed need not seal it.
            self._table.write(change(place, {"sealed": chunks}, when="attribute_exists(#pk)"))
        return self.is_complete(key)

    def expect(self, key: BatchKey, numbers: Iterable[int]) -> bool:
        """Say which chunks the present redrive does again, in rising order, before anybody is told of them; whether
        the batch run is complete all the same, because there are none. What was said first stands."""
        header = self._found(key)
        revision = number_of(header, "revision") or 0
        if not revision:
            raise ConflictError(f"batch run {key.id!r} is not redriven", batch_run=key.id)
        if awaited_name(revision) not in header:
            counted = _Counted(numbers)
            self._trees.seal(key, revision, sparse_seals(counted), self._index.expires(key))
            sets = {awaited_name(revision): counted.behind}
            self._table.write(
                change(header_key(key), sets, when="#revision = :revision", values={"revision": revision})
            )
        return self.is_complete(key)

    def is_complete(self, key: BatchKey) -> bool:
        """Whether it is known how many chunks there are, and all are done; in a redrive, those it does again too."""
        header = self._index.header(key)
        trees = None if header is None else awaited_of(header)
        return trees is not None and all(self._table.map(self._trees.is_complete, trees))

    def deadline(self, key: BatchKey) -> int:
        """When a batch run must have ended (epoch ms), so that its end is known for a while before it expires."""
        return self._index.deadline(key)

    def glance(self, key: BatchKey) -> BatchRun | None:
        """The batch run as it is now, but for totals, for one read unit: what became of chunks is not counted."""
        return self._index.glance(key)

    def hold(self, key: BatchKey, why: str) -> bool:
        """Pause a batch run and keep `why` as its error, until it is redriven or has ended; whether this call did. It
        is held once: who resumes it knows."""
        return self._states.hold(key, why)

    def watch(self, key: BatchKey, round_id: str, about: int) -> None:
        """A round of a map begins: chunks without a number are counted beside what the ledger says now. round_id: as
        it is told of; its first number is the revision. about: items in all, 0 if nobody knows."""
        self._live.watch(key, round_id, self._index.counted(key), about)

    def tell(self, key: BatchKey, round_id: str, leaf: int, member: int, sums: Sums) -> None:
        """A chunk without a number is done; told twice it counts once. leaf, member: its place, some 200 to a leaf."""
        self._live.tell(key, round_id, leaf, member, sums, self._index.expires(key))

    # the port

    def accept(self, runs: Sequence[BatchRun]) -> builtins.list[BatchRun]:
        """As the port says; all or nothing up to 25 at once. InvalidError for a timeout beyond the deadline."""
        return self._index.accept(runs)

    def get(self, keys: Sequence[BatchKey]) -> builtins.list[BatchRun]:
        return self._index.get(keys)

    def list(self, query: BatchQuery) -> builtins.list[BatchRun]:
        return self._index.page(query)

    def open(self, limit: int) -> builtins.list[BatchRun]:
        return self._index.open(limit)

    def begin(self, key: BatchKey, now: int) -> bool:
        return self._states.begin(key, now)

    def record(
        self,
        key: BatchKey,
        planned: Sequence[Chunk],
        marks: Sequence[Mark],
        sealed: int | None = None,
        total: Total | None = None,
    ) -> BatchRun:
        """As the port says; what was said of a chunk stands or not, each for itself, if the call dies in the middle."""
        self.plan(key, [*planned, *(mark.chunk for mark in marks)])
        if marks:
            self._marks.mark(key, marks, self._index.expires(key))
        if sealed is not None:
            self.seal(key, sealed)
        if total is not None:
            self._table.write(change(header_key(key), {"about": total.items, "counted": int(total.exact)}))
        return self._one(key)

    def recut(self, key: BatchKey, chunks: Sequence[Chunk]) -> BatchRun:
        self._marks.recut(key, chunks, self._index.expires(key))
        return self._one(key)

    def ask(self, key: BatchKey, wish: Wish) -> BatchRun | None:
        return self._one(key) if self._states.ask(key, wish) else None

    def chunks(self, key: BatchKey, which: Which, after: int, limit: int) -> builtins.list[ChunkRow]:
        header = self._index.header(key)
        return [] if header is None else self._reading.chunks(header, groups_of(header), which, after, limit)

    def failures(self, key: BatchKey) -> builtins.list[FailureGroup]:
        header = self._index.header(key)
        return [] if header is None else self._failures.groups(key, chunks_of(header))

    def decide(self, key: BatchKey, verdict: Verdict) -> bool:
        return self._states.decide(key, verdict)

    def finish(self, key: BatchKey, finished: Finished, notify: Sequence[Run]) -> bool:
        """As the port says. ExistsError if a run of `notify` is open already."""
        return self._states.finish(key, finished, notify)

    def redrive(self, key: BatchKey, groups: Sequence[str], items: int = 0) -> BatchRun | None:
        done = self._states.redrive(key, groups, items, self._index.expires(key))
        return self._one(key) if done else None

    def forget(self, before: int, limit: int) -> builtins.list[BatchRun]:
        return self._index.forget(before, limit)

    def purge(self, key: BatchKey) -> BatchRun | None:
        return next(iter(self._index.remove([self._one(key)])), None)

    def _found(self, key: BatchKey) -> Item:
        header = self._index.header(key)
        if header is None:
            raise NotFoundError("batch run", key.id)
        return header

    def _one(self, key: BatchKey) -> BatchRun:
        found = self._index.get([key])
        if not found:
            raise NotFoundError("batch run", key.id)
        return found[0]


class _Counted:
    """Numbers as they pass. behind: after the highest of them."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._numbers = numbers
        self.behind: int = 0

    def __iter__(self) -> Iterator[int]:
        for number in self._numbers:
            self.behind = number + 1
            yield number
