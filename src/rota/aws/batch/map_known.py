"""What a round of a map finds done by the rounds before it.

Step Functions reads a source from its beginning whenever it reads it, so a later round hands out what is done as well;
the functions leave that out. Which chunks there are, and which of them are done, is written down when a round begins,
for its functions and for its end. Chunks of one object tile it from its start up to somewhere; what lies behind that is
not numbered yet. Of many objects, each is one chunk.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

import msgspec

from rota.connectors.folder import Folder
from rota.core.completion import ChunkRow
from rota.core.errors import SourceError


class Stretch(msgspec.Struct, frozen=True, array_like=True):
    """A chunk: its items from `start` to before `end`. last: it is known to end the source."""

    start: int
    end: int
    done: bool
    last: bool = False


class Known(msgspec.Struct):
    """chunks: by number. objects: name and fingerprint of each that is done, by number, where each is a chunk."""

    chunks: list[Stretch] = []
    objects: list[tuple[str, str]] = []
    _starts: list[int] = []
    _numbers: dict[str, int] = {}

    def __post_init__(self) -> None:
        self._starts = [one.start for one in self.chunks]
        self._numbers = {uri: number for number, (uri, _) in enumerate(self.objects)}

    @property
    def behind(self) -> int:
        """Before this item all are in chunks."""
        return self.chunks[-1].end if self.chunks else 0

    def number(self, item: int) -> int | None:
        """Which chunk an item belongs to; None behind them all."""
        return bisect_right(self._starts, item) - 1 if item < self.behind else None

    def object(self, uri: str) -> tuple[int, str] | None:
        """Number and fingerprint of an object that is done."""
        number = self._numbers.get(uri)
        return None if number is None else (number, self.objects[number][1])

    def left(self, first: int, behind: int) -> Iterator[tuple[int, int]]:
        """Of the items from `first` to before `behind`, what is not done: ranges that are each in one chunk, or behind
        them all."""
        while first < behind:
            number = self.number(first)
            end = behind if number is None else min(behind, self.chunks[number].end)
            if number is None or not self.chunks[number].done:
                yield first, end
            first = end


NOTHING_KNOWN = Known()


class _Kept(msgspec.Struct):
    chunks: list[Stretch]
    objects: list[tuple[str, str]]


def known_of(rows: Iterable[ChunkRow], *, objects: bool) -> Known:
    """What the ledger says."""
    if objects:
        return Known(objects=[(row.chunk.origin.uri, row.chunk.origin.fingerprint) for row in rows])
    chunks = ((row.chunk, row.mark is not None) for row in rows)
    return Known([Stretch(chunk.start, chunk.end, done, chunk.last) for chunk, done in chunks])


def write_known(folder: Folder, name: str, known: Known) -> None:
    folder.write(name, [msgspec.json.encode(_Kept(known.chunks, known.objects))])


def read_known(folder: Folder, name: str) -> Known:
    """Nothing for no name. SourceError if the file is not there."""
    if not name:
        return NOTHING_KNOWN
    text = folder.read(name)
    if text is None:
        raise SourceError(f"{folder.uri}/{name} is not there: it says what the rounds before have done")
    kept = msgspec.json.decode(text, type=_Kept)
    return Known(kept.chunks, kept.objects)
