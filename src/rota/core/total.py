"""How many items a batch run has, before the last of them is done: for those who watch, and for what is tolerated.

Whoever cuts the source also counts it, where counting lines or rows is what cutting takes; then the number is exact as
soon as the source is cut to its end. Before that, and where cuts are found without counting, the source's length in
bytes tells about how many there are (see `Survey`); where nobody surveys, the chunks that are done do, once it is known
how many there are. Only of a generator nothing can be said before it ends.

Watching, an estimate is good enough. Ending a batch run as failed is not undone by finding out that it was wrong:
records of one part of a source may be longer, or fail more often, than those of another. See `certain` and `cautious`.
"""

from __future__ import annotations

from typing import NamedTuple

from rota.core.batch import BatchRun
from rota.core.chunk import Chunk, Extent
from rota.core.receipt import Counts

JUDGED_FROM = 1000
"""Items; fewer say nothing of the others."""
MARGIN = 10
"""So many times as many items as is expected may be in what is left."""


class Total(NamedTuple):
    """Items in all. exact: they were counted; else it is about so many."""

    items: int
    exact: bool


def total_of(run: BatchRun) -> Total | None:
    """How many items `run` has, as far as is known."""
    done = run.counts.items
    if run.sealed is not None and run.done >= run.sealed:
        return Total(done, exact=True)
    if run.about or run.counted:
        return Total(max(run.about, done), run.counted)
    if run.sealed is not None and run.done > 0:
        return Total(round(done * run.sealed / run.done), exact=False)
    return None


def certain(run: BatchRun, counts: Counts) -> int | None:
    """Of how many items a percentage is meant before the end, where the source can be counted while it is worked on:
    of all, once they are counted; of a generator, of those so far."""
    total = total_of(run)
    if total is not None and total.exact:
        return max(total.items, counts.items)
    return _so_far(run, counts)


def cautious(run: BatchRun, counts: Counts) -> int | None:
    """As `certain`, where nobody counts a source that is cut without counting: of as many items as there can be, with
    a margin."""
    total = total_of(run)
    if total is not None and not total.exact:
        return counts.items + MARGIN * max(0, total.items - counts.items) if counts.items >= JUDGED_FROM else None
    return certain(run, counts)


def suspicious(run: BatchRun, counts: Counts) -> bool:
    """Whether more has failed than is tolerated of as many items as are expected, so that counting them is worth its
    price."""
    tolerated = run.spec.tolerated
    if tolerated.percent is None or run.revision or counts.items < JUDGED_FROM or _is_endless(run):
        return False
    total = total_of(run)
    return total is not None and not total.exact and tolerated.exceeded(counts, total.items)


def _is_endless(run: BatchRun) -> bool:
    """Whether nobody can count the items but by making them."""
    return run.spec.source.get("type") == "generator"


def _so_far(run: BatchRun, counts: Counts) -> int | None:
    return counts.items if _is_endless(run) and counts.items >= JUDGED_FROM else None


class Survey:
    """What planned and done chunks let expect of the whole. size: bytes of the source, as stored; 0 if that means
    nothing. `plan` is told of each chunk once, in order; `finish` when there are no more."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._passed = 0
        self._reach = 0
        self._items = 0
        self._vague = 0
        self._vague_done = 0
        self._vague_items = 0
        self._finished = False

    def plan(self, chunk: Chunk) -> None:
        if chunk.items is None:
            self._vague += chunk.end - chunk.start
        else:
            self._items += chunk.items
        if chunk.last:
            self._passed, self._reach = self._passed + chunk.origin.size, 0
        else:
            self._reach = chunk.reach or (chunk.end if chunk.unit == "bytes" and not chunk.spool else 0)

    def mark(self, chunk: Chunk, extent: Extent, counts: Counts) -> None:
        """A planned chunk is done."""
        if chunk.items is None:
            self._vague_done += extent.end - extent.start
            self._vague_items += counts.items

    def finish(self) -> None:
        self._finished = True

    def total(self) -> Total | None:
        """Of all items, as far as is known."""
        if self._finished and not self._vague:
            return Total(self._items, exact=True)
        covered, items = self._passed + self._reach, float(self._items)
        if self._vague:
            if not self._vague_done:
                return None
            items += self._vague * self._vague_items / self._vague_done
        if self._finished:
            return Total(round(items), exact=False)
        if not covered or not self._size:
            return None
        return Total(round(items * max(1.0, self._size / covered)), exact=False)
