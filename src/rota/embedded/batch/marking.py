"""Writes the ledger behind the work, in groups, in a thread of its own: what gathers while one group is synced and
stored
is the next, and the workers never wait for a disk.

A group is stored in this order: parts and dead letters are made durable, then the marks are committed, then what was
spooled for the chunks is given up. So a mark never outlives its part, nor a spooled chunk its need.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from rota.connectors.atomic import sync_files
from rota.core.batch import BatchKey, BatchRun
from rota.core.chunk import Chunk
from rota.core.completion import Mark
from rota.core.receipt import Part
from rota.core.total import Total
from rota.embedded.batch.places import Places
from rota.ports.batches import BatchStore
from rota.ports.sink import Sink
from rota.ports.source import Source

EVERY = 0.05


class _Group(NamedTuple):
    planned: list[Chunk]
    marks: list[tuple[Mark, Part | None]]
    sealed: list[int]

    @property
    def is_empty(self) -> bool:
        return not any(self)


class Marking:
    """Gathers planned chunks and marks of one batch run. total: how many items there are, as far as is known. ring:
    called from the thread when a group is stored."""

    def __init__(
        self,
        store: BatchStore,
        key: BatchKey,
        source: Source,
        sink: Sink,
        places: Places,
        total: Callable[[], Total | None],
        ring: Callable[[], None],
    ) -> None:
        self._store = store
        self._key = key
        self._source = source
        self._sink = sink
        self._places = places
        self._total = total
        self._ring = ring
        self._group = _Group([], [], [])
        self._storing: tuple[_Group, Future[BatchRun]] | None = None
        self._thread = ThreadPoolExecutor(1, "rota-marking")
        self._next = 0.0

    def plan(self, chunks: list[Chunk]) -> None:
        self._group.planned.extend(chunks)

    def seal(self, chunks: int) -> None:
        self._group.sealed.append(chunks)

    def mark(self, mark: Mark, written: Part | None) -> None:
        """written: the part that is not durable yet."""
        self._group.marks.append((mark, written))

    @property
    def is_empty(self) -> bool:
        """Whether the ledger holds everything."""
        return self._group.is_empty and self._storing is None

    def advance(self, *, idle: bool) -> BatchRun | None:
        """Store what is due, and answer the batch run after a group that was stored since the last call. idle: there is
        nothing else to do, so do not wait for more. Raises StoreError; then the group is still here."""
        stored = None
        if self._storing is not None and self._storing[1].done():
            stored = self._collect()
        if self._storing is None and not self._group.is_empty and (idle or time.monotonic() >= self._next):
            group, self._group = self._group, _Group([], [], [])
            future = self._thread.submit(self._store_group, group)
            self._storing = (group, future)
            future.add_done_callback(lambda _: self._ring())
        return stored

    def flush(self) -> BatchRun | None:
        """Store everything now; answers as `advance` does."""
        stored = None
        while not self.is_empty:
            if self._storing is not None:
                stored = self._collect()
            self.advance(idle=True)
        return stored

    def _collect(self) -> BatchRun:
        assert self._storing is not None
        group, future = self._storing
        try:
            run = future.result()
        except BaseException:
            later = self._group
            self._group = _Group(group.planned + later.planned, group.marks + later.marks, group.sealed + later.sealed)
            raise
        finally:
            self._storing = None
        self._next = time.monotonic() + EVERY
        return run

    def _store_group(self, group: _Group) -> BatchRun:
        marks = [mark for mark, _ in group.marks]
        if marks:
            self._sink.sync([part for mark, part in group.marks if part in mark.parts])
            dead = [mark for mark in marks if mark.failures or mark.revision]
            names = [self._places.dead_path(mark.chunk.number, mark.revision).name for mark in dead]
            sync_files(self._places.dead, names)
        sealed = group.sealed[-1] if group.sealed else None
        run = self._store.record(self._key, group.planned, marks, sealed, self._total())
        self._source.release(mark.chunk for mark in marks)
        return run

    def close(self) -> None:
        self._thread.shutdown()
