"""The account of a finished batch run, chunk by chunk, and the one hash that stands for all of it.

The manifest has a line (`Entry`) a chunk, in chunk order; the receipt has the totals and the root: a hash chain in
which each link is the SHA-256 of the link before and the entry's line. Entries hold the hashes of the result parts,
so whoever knows the root knows that no range, count or result was altered. All of it is computed as the entries pass,
in bounded memory. A redrive writes a new version of the manifest, whose first link is the root of the version before.

A batch run that ends early has a manifest too. In it, chunks that were planned and not done are marked as open: they
have the range that was planned, and no items. Ranges behind an open chunk of the same origin may be guesses that nobody
has proven yet (see `rota.core.chunk`), so there neighbours need not meet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from rota.core.chunk import Chunk, Extent, Unit
from rota.core.errors import InvalidError

_encode = msgspec.json.Encoder().encode


class Part(msgspec.Struct, frozen=True):
    """Results of one chunk: where they are, how many, how long, and their SHA-256 (of the encoded results)."""

    name: str
    items: int
    bytes: int
    sha256: str


class Delivered(msgspec.Struct, frozen=True):
    """Where a sink put everything: part files in a directory, one file (`head` bytes, then the parts), a table, or
    nowhere, if the results were not wanted or could not be kept."""

    layout: Literal["parts", "file", "table", "nowhere"]
    location: str
    head: int = 0


class Counts(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the items of a chunk ended."""

    items: int
    succeeded: int
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.items + other.items,
            self.succeeded + other.succeeded,
            self.failed + other.failed,
            self.skipped + other.skipped,
        )


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One chunk's line: the range that was really read, how its items ended, where their results are.

    `size` is the length of the origin where it is known from the origin itself (uncompressed text), else 0. `open`: the
    chunk was planned and not done.
    """

    chunk: int
    uri: str
    fingerprint: str
    unit: Unit
    start: int
    end: int
    counts: Counts
    parts: tuple[Part, ...] = ()
    last: bool = False
    size: int = 0
    open: bool = False


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """Totals and root of one version of a manifest; `previous` is the root of the version before, if any.

    `ended` says how a batch run ended that ended early, else it is empty; then `open` chunks were planned and not done,
    and `planned` tells whether the source was planned to its end.
    """

    batch: str
    run: str
    version: int
    delivered: Delivered
    chunks: int
    counts: Counts
    results: int
    root: str
    previous: str = ""
    ended: str = ""
    open: int = 0
    planned: bool = True


def entry_of(chunk: Chunk, extent: Extent, counts: Counts, parts: Iterable[Part] = ()) -> Entry:
    """The line of a finished chunk."""
    size = chunk.origin.size if chunk.unit == "bytes" and not chunk.spool else 0
    origin = chunk.origin
    return Entry(
        chunk.number,
        origin.uri,
        origin.fingerprint,
        chunk.unit,
        extent.start,
        extent.end,
        counts,
        tuple(parts),
        chunk.last,
        size,
    )


def open_entry(chunk: Chunk) -> Entry:
    """The line of a chunk that was planned and not done."""
    entry = entry_of(chunk, Extent(chunk.start, chunk.end), Counts(0, 0))
    return msgspec.structs.replace(entry, open=True)


class Tally:
    """Adds entries up as they pass and forges the chain."""

    def __init__(self, previous: str = "") -> None:
        self._previous = previous
        self._link = bytes.fromhex(previous)
        self._chunks = 0
        self._open = 0
        self._results = 0
        self._counts = Counts(0, 0)

    def add(self, entry: Entry) -> bytes:
        """Counts the entry; returns its line without a line end."""
        line = _encode(entry)
        self._link = hashlib.sha256(self._link + line).digest()
        self._chunks += 1
        self._open += entry.open
        self._results += sum(part.items for part in entry.parts)
        self._counts += entry.counts
        return line

    def receipt(
        self, batch: str, run: str, version: int, delivered: Delivered, ended: str = "", *, planned: bool = True
    ) -> Receipt:
        """The receipt of all entries added."""
        if version < 1:
            raise InvalidError("version", version, "a whole number from 1 up is")
        return Receipt(
            batch,
            run,
            version,
            delivered,
            self._chunks,
            self._counts,
            self._results,
            self._link.hex(),
            self._previous,
            ended,
            self._open,
            planned,
        )


def check_tiling(entries: Iterable[Entry], *, planned: bool = True) -> Iterator[str]:
    """What is wrong with the ranges: gaps, overlaps, missing or repeated chunks, origins that do not start or end.
    planned: whether the source was planned to its end."""
    before: Entry | None = None
    guessed = False
    for number, entry in enumerate(entries):
        if entry.chunk != number:
            yield f"chunk {number} is missing: chunk {entry.chunk} stands in its place"
        if entry.end < entry.start:
            yield f"chunk {entry.chunk} ends at {entry.end}, before its start {entry.start}"
        same = (
            before is not None
            and (entry.uri, entry.fingerprint) == (before.uri, before.fingerprint)
            and not before.last
        )
        guessed = entry.unit == "bytes" and (entry.open or (guessed and same))
        if before is not None and same and not guessed and entry.start != before.end:
            kind = "a gap" if entry.start > before.end else "an overlap"
            between = f"chunks {before.chunk} and {entry.chunk} of {entry.uri}"
            yield f"{kind} between {between}: {before.end} to {entry.start}"
        if not same:
            if before is not None and not before.last:
                yield _unfinished(before)
            if entry.start != 0:
                yield f"a gap at the beginning of {entry.uri}: chunk {entry.chunk} starts at {entry.start}"
        if entry.last and entry.size and entry.end != entry.size:
            yield f"{entry.uri} has {entry.size} bytes, and its last chunk {entry.chunk} ends at {entry.end}"
        before = entry
    if planned and before is not None and not before.last:
        yield _unfinished(before)


def _unfinished(entry: Entry) -> str:
    return f"{entry.uri} is not read to its end: chunk {entry.chunk} ends at {entry.end} and is not the last"


def check_counts(entry: Entry) -> Iterator[str]:
    """What is wrong with the numbers of one chunk."""
    counts = entry.counts
    if counts.items != counts.succeeded + counts.failed + counts.skipped:
        ended = f"{counts.succeeded} succeeded + {counts.failed} failed + {counts.skipped} skipped"
        yield f"chunk {entry.chunk}: {counts.items} items in are not {ended}"
