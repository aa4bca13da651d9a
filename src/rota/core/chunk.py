"""A chunk: a description of some consecutive items of a source, small enough to be a message.

A chunk carries no items. Whoever gets it opens the source itself and reads just its range, so items never cross a pipe.
Ranges count in the unit of the source: `bytes` of the (decompressed) text, `rows` of a Parquet file, `items` of a
generator. The chunks of one origin tile it: the first starts at 0, each starts where the one before ends, the last ends
where the origin ends. A record belongs to the chunk in which it starts.

Some cuts are guesses: whether a newline of a CSV file lies inside a quoted field cannot be known without having read
everything before it. So no cut is trusted. A reader reads every record that starts in its chunk, to the record's end,
and reports the extent that it really read. The first chunk of an origin starts right by definition; a chunk that starts
right ends right; so if all neighbours meet, every cut was right (induction). Where two do not meet, the second was cut
wrongly and `recut` says what to read instead, until all meet. Luck decides only how much is read twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from rota.core.errors import InvalidError
from rota.core.limits import check_number

Unit = Literal["bytes", "rows", "items"]

SMALLEST_CHUNK_BYTES = 1


class ChunkSize(msgspec.Struct, frozen=True, omit_defaults=True):
    """How much one chunk holds: `items`, or `bytes` of the source, or whichever is reached first."""

    items: int | None = None
    bytes: int | None = None

    def __post_init__(self) -> None:
        if self.items is None and self.bytes is None:
            raise InvalidError("chunk size", None, "give chunk_items or chunk_bytes")
        if self.items is not None:
            check_number("chunk_items", self.items, 1, 2**53, whole=True)
        if self.bytes is not None:
            check_number("chunk_bytes", self.bytes, SMALLEST_CHUNK_BYTES, 2**53, whole=True)


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file, object or generator, pinned to one version by its fingerprint; `size` in bytes, as stored."""

    uri: str
    fingerprint: str = ""
    size: int = 0


class Chunk(msgspec.Struct, frozen=True, omit_defaults=True):
    """Items of one origin that start in `[start, end)`.

    `first` (ordinal of the first item within its origin) and `items` are what the planner expects where it knows; they
    serve progress and estimates, never the account. So does `reach`: how far into the origin's bytes, as stored, the
    chunk goes, where its range does not say. `last` marks the chunk that ends its origin. `spool` names the file that
    holds the chunk's bytes where the origin itself cannot be read from the middle.
    """

    number: int
    origin: Origin
    start: int
    end: int
    unit: Unit = "bytes"
    first: int | None = None
    items: int | None = None
    last: bool = False
    spool: str = ""
    reach: int = 0


class Extent(msgspec.Struct, frozen=True):
    """From where to where a reader really read: first byte of the first record to the byte after the last one."""

    start: int
    end: int


def meets(previous: Extent, following: Extent) -> bool:
    """Whether the second was read from exactly where the first stopped."""
    return previous.end == following.start


def recut(done: Iterable[tuple[Chunk, Extent]]) -> Iterator[Chunk]:
    """The chunks that were cut wrongly, corrected; read them again (same number, so the result replaces the old one).

    `done` is in chunk order, each chunk with what its reader reported. Give the outcome to `recut` again until it
    returns nothing: with every round the part of the origin that is proven right grows by at least one chunk.
    """
    origin: Origin | None = None
    at: int | None = 0
    for chunk, extent in done:
        if chunk.origin != origin:
            origin, at = chunk.origin, 0
        if at is not None and extent.start != at:
            yield msgspec.structs.replace(chunk, start=at, end=max(at, chunk.end), first=None, items=None)
            at = None  # where the corrected chunk will end is unknown, so its successor is judged in the next round
        else:
            at = extent.end
