"""What the functions of a batch run want of its ledger beyond the port."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from rota.core.batch import BatchKey, BatchRun
from rota.core.chunk import Chunk
from rota.core.completion import ChunkRow, Mark
from rota.core.ledger_tree import Sums
from rota.ports.batches import BatchStore
from rota.ports.clock import Clock

FRESH = 1000
"""Milliseconds for which what was read of a batch run is good enough."""


class Marked(Protocol):
    """What marks came to."""

    @property
    def completed(self) -> bool: ...


class Ledger(BatchStore, Protocol):
    """See `rota.aws.dynamo.batches.DynamoBatches` for what each call owes."""

    def plan(self, key: BatchKey, chunks: Sequence[Chunk]) -> None: ...

    def mark(self, key: BatchKey, marks: Sequence[Mark]) -> Marked: ...

    def seal(self, key: BatchKey, chunks: int) -> bool: ...

    def expect(self, key: BatchKey, numbers: Iterable[int]) -> bool: ...

    def is_complete(self, key: BatchKey) -> bool: ...

    def deadline(self, key: BatchKey) -> int: ...

    def glance(self, key: BatchKey) -> BatchRun | None: ...

    def hold(self, key: BatchKey, why: str) -> bool: ...

    def watch(self, key: BatchKey, round_id: str, about: int) -> None: ...

    def tell(self, key: BatchKey, round_id: str, leaf: int, member: int, sums: Sums) -> None: ...


def row_of(ledger: Ledger, key: BatchKey, number: int) -> ChunkRow | None:
    """What the ledger says of one chunk."""
    rows = ledger.chunks(key, "all", number - 1, 1)
    return rows[0] if rows and rows[0].chunk.number == number else None


def find(ledger: Ledger, key: BatchKey) -> BatchRun | None:
    """The batch run as it is now."""
    found = ledger.get([key])
    return found[0] if found else None


class Headers:
    """Batch runs as they were within the last second, but for their totals, which take more to read the more is going
    on: it spares reading them for every message."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._known: dict[BatchKey, tuple[int, BatchRun]] = {}

    def get(self, key: BatchKey) -> BatchRun | None:
        """As it was a second ago at most."""
        at, run = self._known.get(key, (0, None))
        return run if run is not None and at + FRESH > self._clock.now() else self.fresh(key)

    def fresh(self, key: BatchKey) -> BatchRun | None:
        """As it is now."""
        run = self._ledger.glance(key)
        if run is None:
            self._known.pop(key, None)
        else:
            self._known = {known: it for known, it in self._known.items() if it[0] + FRESH > self._clock.now()}
            self._known[key] = (self._clock.now(), run)
        return run
