"""Marks: the row of the chunk first, then its failures, then what it adds to the tree.

A crash after any of these writes is healed by the same mark once more: it finds the row as it is to be, and does what
follows it again, all of which is conditional and changes nothing the second time. Whoever replaces a row first counts
what the one before was to add (`Row.tree`); so no change is lost, though its author died.

Costs of a mark in write units: row 1, tree 1.005, failures 1 if there are any. Marks of neighbours in one call share
the write to the tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rota.aws.dynamo.batches_failures import Failures
from rota.aws.dynamo.batches_keys import header_key, row_key
from rota.aws.dynamo.batches_rows import ABSENT, Row, Step, marked, recut, row_item, row_of, standing_of, stands
from rota.aws.dynamo.items import Put, Update, change
from rota.aws.dynamo.table import RefusedError, Table
from rota.aws.dynamo.tree import Trees
from rota.core.batch import BatchKey
from rota.core.chunk import Chunk
from rota.core.completion import Mark
from rota.core.errors import NotFoundError, StoreBusyError
from rota.core.ledger_tree import Sums
from rota.core.ledger_tree import marked as added

TOTALS: dict[str, str] = {name: f"other_{name}" for name in Sums.__struct_fields__}
"""Attributes of the batch run for what is counted beside the trees."""
_TRIES = 20
_REMEMBERED = 10_000


class _Stood(NamedTuple):
    """What stands of a chunk after its mark came. new: this mark made it so."""

    number: int
    row: Row
    new: bool


class Marks:
    """Marks chunks of all batch runs in `table`."""

    def __init__(self, table: Table, trees: Trees, failures: Failures) -> None:
        self._table = table
        self._trees = trees
        self._failures = failures
        self._revisions: dict[BatchKey, int] = {}

    def mark(self, key: BatchKey, marks: Sequence[Mark], expires: int) -> tuple[bool, int]:
        """Whether a tree was seen complete, or may be, and how many of the marks changed something."""
        chunks: dict[int, list[Mark]] = {}
        for mark in marks:
            chunks.setdefault(mark.chunk.number, []).append(mark)
        stood = self._table.map(lambda them: [self._stand(key, one, expires) for one in them], list(chunks.values()))
        completed = self._count(key, [them[-1] for them in stood], expires)
        return completed, sum(one.new for them in stood for one in them)

    def recut(self, key: BatchKey, chunks: Sequence[Chunk], expires: int) -> None:
        """These chunks are open, and to be read as is said here."""
        self._table.map(lambda chunk: self._recut(key, chunk, expires), chunks)

    def _stand(self, key: BatchKey, mark: Mark, expires: int) -> _Stood:
        number, standing = mark.chunk.number, standing_of(mark)
        # A mark of a redrive replaces another, which is read; any other is likely to be the first.
        row, new = self._row(key, number) if mark.revision else ABSENT, False
        for _ in range(_TRIES):
            if stands(row, standing):
                break
            # What the one before was to add comes first.
            self._count(key, [_Stood(number, row, new=False)], expires)
            step = marked(row, standing)
            if step.row.tree:
                self._reach(key, step.row.tree)
            there = self._write(key, number, row, step, expires)
            if there is None:
                row, new = step.row, True
                break
            row = there
        else:
            raise _crowded(key, number)
        if row.mark == standing and (mark.failures or row.edition > 1):
            self._failures.put(key, number, row.edition, mark.failures, expires)
        return _Stood(number, row, new)

    def _recut(self, key: BatchKey, chunk: Chunk, expires: int) -> None:
        row = self._row(key, chunk.number)
        for _ in range(_TRIES):
            if row.mark is None and row.chunk == chunk:
                break
            self._count(key, [_Stood(chunk.number, row, new=False)], expires)
            step = recut(row, chunk)
            there = self._write(key, chunk.number, row, step, expires)
            if there is None:
                row = step.row
                break
            row = there
        else:
            raise _crowded(key, chunk.number)
        self._failures.put(key, chunk.number, row.edition, (), expires)

    def _write(self, key: BatchKey, number: int, before: Row, step: Step, expires: int) -> Row | None:
        """Replace a row; answers the one that is there if it is another than `before`."""
        item = row_item(row_key(key, number), step.row, expires)
        when = "#edition = :was" if before.edition else "attribute_not_exists(#pk)"
        put = Put(item, when, {"was": before.edition})
        if step.alone:
            answer = self._table.write(put)
            return None if answer.done else row_of(answer.item)
        totals = zip(TOTALS.values(), step.total.values(), strict=True)
        adds = {name: value for name, value in totals if value}
        if step.reopened:
            adds["reopened"] = step.reopened
        total: Update = change(header_key(key), {}, adds=adds, when="attribute_exists(#pk)")
        try:
            self._table.transact([put, total])
        except RefusedError as refused:
            if 0 not in refused.failed:
                raise NotFoundError("batch run", key.id) from None
            return row_of(refused.failed[0])
        return None

    def _count(self, key: BatchKey, stood: Sequence[_Stood], expires: int) -> bool:
        """Add to the trees what the rows say; whether one was seen complete, or may be."""
        completed = any(row.tree is None and row.mark is not None for _, row, _ in stood)
        trees: dict[tuple[int, bool], dict[int, Sums]] = {}
        for number, row, new in stood:
            if row.tree is not None:
                trees.setdefault((row.tree, new), {})[number] = row.pending
        for (tree, new), members in trees.items():
            completed |= self._trees.add(key, tree, added(members), expires, look=not new)
        return completed

    def _row(self, key: BatchKey, number: int) -> Row:
        place = row_key(key, number)
        return row_of(self._table.get([place]).get(place))

    def _reach(self, key: BatchKey, revision: int) -> None:
        """Say that there is a tree of that number before anything is in it, so that readers count it."""
        if self._revisions.get(key, 0) >= revision:
            return
        when = "attribute_exists(#pk) AND #top < :top"
        answer = self._table.write(Update(header_key(key), "SET #top = :top", {"top": revision}, when))
        if not answer.done and answer.item is None:
            raise NotFoundError("batch run", key.id)
        if len(self._revisions) >= _REMEMBERED:
            self._revisions.clear()
        self._revisions[key] = revision


def _crowded(key: BatchKey, number: int) -> StoreBusyError:
    said = f"chunk {number} of batch run {key.id!r} was changed by others {_TRIES} times in a row; try again"
    return StoreBusyError(said, batch_run=key.id)
