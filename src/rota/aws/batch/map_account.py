"""What a round of a map came to: which chunks its children's stretches are, and their marks.

Items of one object are numbered in the order of the source: chunks that were there before keep their numbers, those
behind them follow, and what nobody has done in between is a chunk that is open, as large as a batch may be. A stretch
that lies in an open chunk was done in another batch than was thought then; the chunk is done once such stretches tile
it, and its mark is put together from theirs. Objects, where each is a chunk, follow one another as they come.

The same results always give the same account, so the end of a round may be begun as often as need be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from rota.aws.batch.map_known import Known
from rota.aws.batch.map_plan import Prepared
from rota.aws.batch.map_results import Failed, Results
from rota.aws.batch.map_work import stretches
from rota.aws.batch.places import S3Places
from rota.core.chunk import Chunk, Extent, Origin
from rota.core.completion import DeadItem, FailureCount, Mark, count_failures
from rota.core.errors import SourceError
from rota.core.receipt import Counts


class Done(NamedTuple):
    """A chunk, and the marks of the pieces that tile it."""

    chunk: Chunk
    pieces: list[Mark]


class Account:
    """Of one round. state: its error says that there may be more than the results tell. whole: nothing is missing.
    slow: an Express child had no time left."""

    def __init__(self, state: Prepared, results: Results, known: Known, places: S3Places) -> None:
        self.whole: bool = True
        self.slow: bool = False
        self.planned: list[Chunk] = []
        self._state = state
        self._results = results
        self._known = known
        self._places = places
        self._numbers: dict[int, int] = {}
        self._pieces: dict[int, list[Mark]] = {}
        self._last = -1

    def settle(self, *, dead: bool) -> None:
        """Number what there is. dead: write the dead letters of children that failed."""
        found: dict[int, Chunk] = {}
        for mark in self._marks(dead=dead):
            place = mark.chunk.number - self._state.beside
            if place in found:
                raise SourceError(f"item {place} of {self._state.origin.uri!r} was given to two functions")
            found[place] = mark.chunk
        left = any(answer.left for answer in self._results.answers())
        self.whole = not (left or self.slow or self._state.error or self._results.pending())
        if self._state.reader == "objects":
            self._number_objects(found)
        else:
            self._number_items(found)

    def done(self) -> Iterator[Done]:
        """The chunks that are done, always in the same order."""
        for mark in self._marks(dead=False):
            number = self._numbers.get(mark.chunk.number - self._state.beside)
            if number is not None:
                yield Done(self.planned[number - self._before], [mark])
        for number, pieces in sorted(self._pieces.items()):
            known = self._known.chunks[number]
            chunk = Chunk(number, self._state.origin, known.start, known.end, "items")
            yield Done(chunk, sorted(pieces, key=lambda mark: mark.chunk.start))
        if self._ends_behind:
            yield Done(self.planned[-1], [])

    @property
    def sealed(self) -> int:
        """How many chunks there are if it is whole."""
        return self._before + len(self.planned)

    @property
    def _ends_behind(self) -> bool:
        """Whether the source ends with a chunk that is written down already, and does not say so."""
        known = self._known.chunks
        return self.whole and self._last < 0 and bool(known) and not known[-1].last

    @property
    def _before(self) -> int:
        return len(self._known.objects) if self._state.reader == "objects" else len(self._known.chunks)

    def _marks(self, *, dead: bool) -> Iterator[Mark]:
        """What became of the items, child by child."""
        for answer in self._results.answers():
            yield from answer.marks
        for failed in self._results.failed():
            if self._state.kind == "EXPRESS" and failed.slow:
                self.slow = True
                continue
            if self._state.reader == "objects":
                keys = ", ".join(str(one.v["Key"]) for one in failed.batch.items)
                raise SourceError(f"{keys} could not be dealt with: {failed.failure}")
            for first, values in stretches(failed.batch.items, self._known):
                yield _all_failed(self._state, first, values, failed, self._places if dead else None)

    # numbers

    def _number_objects(self, found: dict[int, Chunk]) -> None:
        for place in sorted(found):
            self._plan(place, found[place])

    def _number_items(self, found: dict[int, Chunk]) -> None:
        behind, inside = self._known.behind, set[int]()
        for place in sorted(found):
            chunk = msgspec.structs.replace(found[place], origin=self._state.origin)
            number = self._known.number(place)
            if number is not None:
                inside.add(number)
                continue
            if place < behind:
                raise SourceError(f"item {place} of {self._state.origin.uri!r} was given to two functions")
            self._open(behind, place)
            self._plan(place, chunk)
            behind = self._last = chunk.end
        self._tile(found, inside)
        self.whole &= all(one.done or number in self._pieces for number, one in enumerate(self._known.chunks))
        if self.whole and self._last >= 0:
            self.planned[-1] = msgspec.structs.replace(self.planned[-1], last=True)
        elif self._ends_behind:
            self.planned.append(self._end())

    def _plan(self, place: int, chunk: Chunk) -> None:
        number = self._before + len(self.planned)
        self._numbers[place] = number
        self.planned.append(msgspec.structs.replace(chunk, number=number))

    def _open(self, start: int, end: int) -> None:
        """Chunks for items that nobody has done."""
        while start < end:
            self.whole = False
            behind = min(end, start + self._state.batch_items)
            number = self._before + len(self.planned)
            self.planned.append(Chunk(number, self._state.origin, start, behind, "items", start, behind - start))
            start = behind

    def _tile(self, found: dict[int, Chunk], inside: Iterable[int]) -> None:
        """Which open chunks are done by stretches in them."""
        for number in inside:
            known = self._known.chunks[number]
            mine = sorted((one.start, one.end) for at, one in found.items() if known.start <= at < known.end)
            at = known.start
            for start, end in mine:
                at = end if start == at else -1
            if at == known.end:
                self._pieces[number] = []
        if self._pieces:
            for mark in self._marks(dead=False):
                owner = self._known.number(mark.chunk.start)
                if owner in self._pieces:
                    self._pieces[owner].append(mark)

    # marks

    def mark(self, done: Done) -> Mark:
        """The mark of a chunk that is done; its dead letters are put where they belong."""
        chunk, pieces = done
        revision = self._state.revision
        if not pieces:
            return Mark(chunk, Extent(chunk.start, chunk.end), Counts(0, 0), (), revision=revision)
        dead: list[DeadItem] = []
        for mark in pieces:
            if mark.counts.failed:
                shift = mark.chunk.start - chunk.start if chunk.unit == "items" else 0
                dead += [
                    msgspec.structs.replace(one, chunk=chunk.number, index=one.index + shift)
                    for one in self._places.read_dead(mark.chunk.number, revision)
                ]
        if dead:
            self._places.write_dead(chunk.number, revision, dead)
        first, last = pieces[0], pieces[-1]
        if len(pieces) == 1:
            return msgspec.structs.replace(first, chunk=chunk)
        counts = sum((mark.counts for mark in pieces), Counts(0, 0))
        parts = tuple(part for mark in pieces for part in mark.parts)
        extent = Extent(first.extent.start, last.extent.end)
        failures = _together(one for mark in pieces for one in mark.failures)
        return Mark(chunk, extent, counts, parts, failures, sum(mark.retries for mark in pieces), revision)

    def _end(self) -> Chunk:
        """A chunk without items that says where the source ends, since those before it are written down already."""
        behind = self._known.behind
        return Chunk(self._before, self._state.origin, behind, behind, "items", behind, 0, last=True)


def _all_failed(state: Prepared, first: int, values: list[object], failed: Failed, places: S3Places | None) -> Mark:
    """The mark of items whose function failed."""
    number, behind = state.beside + first, first + len(values)
    dead = [DeadItem(number, at, first + at, value, failed.failure, 1) for at, value in enumerate(values)]
    if places is not None:
        places.write_dead(number, state.revision, dead)
    origin = Origin(state.origin.uri, state.origin.fingerprint, state.origin.size)
    chunk = Chunk(number, origin, first, behind, "items", first, len(values))
    counts = Counts(len(values), 0, len(values))
    return Mark(chunk, Extent(first, behind), counts, (), count_failures(dead), 0, state.revision)


def _together(failures: Iterable[FailureCount]) -> tuple[FailureCount, ...]:
    found: dict[str, FailureCount] = {}
    for one in failures:
        known = found.get(one.signature.key)
        found[one.signature.key] = (
            one if known is None else FailureCount(one.signature, known.count + one.count, known.message)
        )
    return tuple(found.values())
