"""The search for the item that kills functions, from invocation to invocation.

How far it has come is a note in the bucket, written before a stretch of items is attempted. A function that finds a
stretch noted and no outcome of it knows that the one before died on it, and halves it. Each stretch that ends is kept
apart, so nothing that ended is attempted again; at the end the part is put together from what was kept.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from rota.aws.batch.places import S3Places
from rota.core.errors import SourceError
from rota.core.isolation import Isolation, Stretch
from rota.processing.chunk_work import ChunkWork
from rota.processing.jobs import Job, Report

MOST_KILLERS = 50
"""From so many on, what has not been attempted is given up with them, so that a search ends."""
DIED = "a function died while it worked on this item"
_NOTE = "search.json"
_UNREADABLE = 4
_STRETCH = 30_000
"""Milliseconds that a function must have left to begin another stretch."""


class _Note(msgspec.Struct, frozen=True):
    open: tuple[Stretch, ...]
    ended: tuple[Stretch, ...]
    killers: tuple[int, ...]
    trying: Stretch | None = None


class Search:
    """Of one job. left: milliseconds that the function may still take."""

    def __init__(self, work: ChunkWork, places: S3Places, job: Job, left: Callable[[], int]) -> None:
        self._work = work
        self._places = places
        self._job = job
        self._left = left

    def go(self, received: int) -> Report | None:
        """The report of the whole job; None if another message is to go on."""
        isolation = self._resumed(received)
        if received > 1:
            # What counts deliveries must not count deaths that are expected.
            self._note(isolation)
            return None
        return self._search(isolation)

    def go_on(self, tries: int) -> Report | None:
        """Likewise, where deaths are not counted as deliveries; None if another function is to go on. tries: how often
        one was begun before."""
        return self._search(self._resumed(tries + 1))

    def _search(self, isolation: Isolation) -> Report | None:
        begun = False
        while (stretch := isolation.next()) is not None:
            if len(isolation.killers) >= MOST_KILLERS:
                isolation.end(stretch)
                isolation.ended.remove(stretch)
                isolation.killers += range(stretch.low, stretch.high)
                continue
            if begun and self._left() < _STRETCH:
                self._note(isolation, untried=stretch)
                return None
            self._note(isolation, trying=stretch)
            try:
                self._work.do(self._as("stretch", stretch))
            except Exception:
                # Source or sink failed, which is no item's fault.
                self._note(isolation, untried=stretch)
                raise
            isolation.end(stretch)
            begun = True
        self._note(isolation)
        whole = self._as("assemble", Stretch(0, 0))
        killers = tuple(sorted(isolation.killers))
        return self._work.do(
            msgspec.structs.replace(whole, stretches=tuple(isolation.stretches()), killers=killers, died=DIED)
        )

    def _resumed(self, received: int) -> Isolation:
        text = self._places.noted(_NOTE)
        if text is None:
            if received >= _UNREADABLE:
                number = self._job.chunk.number
                raise SourceError(f"functions die reading or writing chunk {number}, before any item")
            return Isolation(self._work.do(self._as("count", Stretch(0, 0))).counts.items)
        note = msgspec.json.decode(text, type=_Note)
        isolation = Isolation.resumed(note.open, note.ended, note.killers)
        if note.trying is not None:
            if self._places.has_apart(self._job.chunk.number, note.trying):
                isolation.end(note.trying)
            else:
                isolation.kill(note.trying)
        return isolation

    def _note(self, isolation: Isolation, trying: Stretch | None = None, untried: Stretch | None = None) -> None:
        waiting = (*isolation.open, untried) if untried is not None else isolation.open
        note = _Note(waiting, tuple(isolation.ended), tuple(isolation.killers), trying)
        self._places.note(_NOTE, msgspec.json.encode(note))

    def _as(self, kind: str, stretch: Stretch) -> Job:
        return msgspec.structs.replace(self._job, kind=kind, low=stretch.low, high=stretch.high)
