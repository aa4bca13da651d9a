"""Parquet files, cut by row group; needs the extra `rota[parquet]`.

A row group is the smallest part of a Parquet file that can be read alone, so a chunk is as many whole groups as hold
`chunk_items` rows (or `chunk_bytes`), and at least one. Positions count rows.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rota.connectors.folder import Folder
from rota.connectors.pinning import pinned_origins
from rota.connectors.place import BLOCK, Place
from rota.core.block import Block, empty_block
from rota.core.chunk import Chunk, ChunkSize, Origin
from rota.core.errors import LastingSourceError

_ROWS = 4096


class PlacedFile(io.RawIOBase):
    """A file object over a `Place`, so that Parquet on S3 is read by the same ranged requests."""

    def __init__(self, place: Place, origin: Origin) -> None:
        super().__init__()
        self._place = place
        self._origin = origin
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._origin.size}[whence]
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = self._origin.size if size < 0 else min(self._at + size, self._origin.size)
        data = self._place.read(self._origin, self._at, end) if end > self._at else b""
        self._at += len(data)
        return data


class ParquetSource:
    """The `Source` of Parquet files."""

    def __init__(self, place: Place, columns: tuple[str, ...] | None = None, folder: Folder | None = None) -> None:
        self._place = place
        self._folder = folder
        self._columns = list(columns) if columns is not None else None

    def check(self) -> None:
        for origin in self._place.find():
            self._open(origin)

    def _open(self, origin: Origin) -> Any:
        try:
            opened: Any = PlacedFile(self._place, origin)
            file = pq.ParquetFile(opened, buffer_size=BLOCK)
        except (pa.ArrowException, OSError) as error:
            raise LastingSourceError(
                f"source {origin.uri!r} is no intact Parquet file: {error}", source=origin.uri
            ) from error
        missing = [name for name in self._columns or () if name not in file.schema_arrow.names]
        if missing:
            raise LastingSourceError(
                f"source {origin.uri!r} has no column {missing[0]!r}; it has {', '.join(file.schema_arrow.names)}",
                source=origin.uri,
            )
        return file

    def size(self) -> int:
        return sum(origin.size for origin in pinned_origins(self._place, self._folder))

    def plan(self, size: ChunkSize, after: Chunk | None = None) -> Iterator[Chunk]:
        number = after.number + 1 if after else 0
        for origin in pinned_origins(self._place, self._folder):
            if after and (origin.uri < after.origin.uri or (origin.uri == after.origin.uri and after.last)):
                continue
            resumed = after is not None and origin.uri == after.origin.uri
            pinned = after.origin if after and resumed else origin
            for chunk in self._plan_origin(pinned, size, number, after.end if after and resumed else 0):
                yield chunk
                number = chunk.number + 1

    def _plan_origin(self, origin: Origin, size: ChunkSize, number: int, start: int) -> Iterator[Chunk]:
        metadata = self._open(origin).metadata
        total = metadata.num_rows
        passed, begin, held = 0, start, 0
        for index in range(metadata.num_row_groups):
            group = metadata.row_group(index)
            passed += group.num_rows
            if passed <= start:
                continue
            held += group.total_byte_size
            rows = passed - begin
            full = (size.items and rows >= size.items) or (size.bytes and held >= size.bytes)
            if rows and (full or passed == total):
                reach = origin.size * passed // total
                yield Chunk(number, origin, begin, passed, "rows", begin, rows, last=passed == total, reach=reach)
                number, begin, held = number + 1, passed, 0

    def read(self, chunk: Chunk) -> Iterator[Block]:
        file = self._open(chunk.origin)
        groups, passed = [], 0
        for index in range(file.metadata.num_row_groups):
            if chunk.start <= passed < chunk.end:
                groups.append(index)
            passed += file.metadata.row_group(index).num_rows
        at = chunk.start
        try:
            for batch in file.iter_batches(_ROWS, row_groups=groups, columns=self._columns) if groups else ():
                values: list[object] = batch.to_pylist()
                yield _rows_block(at, values)
                at += len(values)
        except (pa.ArrowException, OSError) as error:
            raise LastingSourceError(
                f"source {chunk.origin.uri!r} cannot be read at row {at}: {error}", source=chunk.origin.uri
            ) from error
        if at == chunk.start:
            yield empty_block(at, at)

    def release(self, chunks: Iterable[Chunk]) -> None:
        """Nothing is kept."""


def _rows_block(at: int, values: list[object]) -> Block:
    return Block(at, at + len(values), values, (), lambda: range(at, at + len(values)))


class ParquetWriter:
    """Writes results, which must be objects, as one row group a block."""

    def __init__(self, out: Any) -> None:
        self._out = out
        self._writer: Any = None

    def write(self, values: list[Any]) -> None:
        """Adds rows; the first block decides the schema."""
        if not values:
            return
        table = pa.Table.from_pylist(values, schema=self._writer.schema if self._writer else None)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._out, table.schema)
        self._writer.write_table(table)

    def close(self) -> None:
        """Completes the file; a chunk without results gives a file without columns."""
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._out, pa.schema([]))
        self._writer.close()
