"""Drives a source as an engine does: plan, read every chunk, cut again until all meet."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import msgspec

from rota.connectors.open import SourceText, open_source
from rota.core.block import Broken, Record, records
from rota.core.chunk import Chunk, ChunkSize, Extent, recut
from rota.core.receipt import Counts, Entry, check_tiling, entry_of

MOST_ROUNDS = 10_000


class Driven(msgspec.Struct):
    """What came out: chunks as read in the end, their extents and records."""

    chunks: list[Chunk]
    extents: list[Extent]
    records: list[list[Record]]
    rounds: int = 0

    def values(self) -> list[object]:
        return [record.value for chunk in self.records for record in chunk]

    def positions(self) -> list[int]:
        return [record.position for chunk in self.records for record in chunk]

    def entries(self) -> list[Entry]:
        return [
            entry_of(chunk, extent, Counts(len(found), len(found)))
            for chunk, extent, found in zip(self.chunks, self.extents, self.records, strict=True)
        ]


def read_chunk(source_text: SourceText, chunk: Chunk, spool: Path | None) -> tuple[Extent, list[Record]]:
    """As a worker in another process does: the chunk comes as JSON, the source is opened anew."""
    received = msgspec.json.decode(msgspec.json.encode(chunk), type=Chunk)
    blocks = list(open_source(source_text, spool).read(received))
    assert blocks
    for before, after in pairwise(blocks):
        assert before.end == after.start
    for block in blocks:
        assert [i for i, value in enumerate(block.values) if isinstance(value, Broken)] == list(block.broken)
    return Extent(blocks[0].start, blocks[-1].end), list(records(blocks))


def drive(source_text: SourceText, size: ChunkSize, spool: Path | None = None) -> Driven:
    chunks = list(open_source(source_text, spool).plan(size))
    assert all(len(msgspec.json.encode(chunk)) < 1024 for chunk in chunks)
    return finish(source_text, chunks, spool)


def finish(source_text: SourceText, chunks: Iterable[Chunk], spool: Path | None = None) -> Driven:
    driven = Driven(list(chunks), [], [])
    for chunk in driven.chunks:
        extent, found = read_chunk(source_text, chunk, spool)
        driven.extents.append(extent)
        driven.records.append(found)
    while redo := list(recut(zip(driven.chunks, driven.extents, strict=True))):
        driven.rounds += 1
        assert driven.rounds < MOST_ROUNDS
        for chunk in redo:
            driven.chunks[chunk.number] = chunk
            driven.extents[chunk.number], driven.records[chunk.number] = read_chunk(source_text, chunk, spool)
    assert list(check_tiling(driven.entries())) == []
    return driven
