"""What a source gives: blocks of decoded items, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

RAW_SHOWN = 1000


class Broken(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record that cannot be an item: it stands in the item's place and ends as a dead letter.

    `error` says what is wrong, `raw` shows the first 1,000 characters, `size` is the record's length in bytes.
    """

    error: str
    raw: str = ""
    size: int = 0


class Record(msgspec.Struct, frozen=True):
    """One item (or `Broken`) with its position: where it starts in its origin, in the unit of the chunk."""

    position: int
    value: object


class Block:
    """Consecutive records that fill `[start, end)` of their origin.

    `values` holds every record in order; where the index is in `broken`, the value is a `Broken`. The positions are
    worked out only when asked for: a run in which nothing fails never pays for them.
    """

    __slots__ = ("_positions", "broken", "end", "start", "values")

    def __init__(
        self, start: int, end: int, values: list[object], broken: Sequence[int], positions: Callable[[], Sequence[int]]
    ) -> None:
        self.start: int = start
        self.end: int = end
        self.values: list[object] = values
        self.broken: Sequence[int] = broken
        self._positions = positions

    def positions(self) -> Sequence[int]:
        """The position of each value, in the same order."""
        return self._positions()


def empty_block(start: int, end: int) -> Block:
    """A stretch of the origin in which no record starts: blank lines, a header, the end of a list."""
    return Block(start, end, [], (), list)


def records(blocks: Iterable[Block]) -> Iterator[Record]:
    """Every record with its position."""
    for block in blocks:
        for position, value in zip(block.positions(), block.values, strict=True):
            yield Record(position, value)


def broken_record(error: str, raw: bytes) -> Broken:
    """A `Broken` that shows the beginning of the bytes concerned."""
    return Broken(error, raw[: 4 * RAW_SHOWN].decode("utf-8", "backslashreplace")[:RAW_SHOWN], len(raw))
