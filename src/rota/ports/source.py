"""Where the items of a batch run come from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from rota.core.block import Block
from rota.core.chunk import Chunk, ChunkSize


class Source(Protocol):
    """Plans chunks and reads them, perhaps in another process, perhaps again.

    An implementer owes:
    - `check` raises `InvalidError` or `SourceError` for what cannot work, and stores nothing.
    - `plan` is lazy: it reads or produces no further than the chunk asked for, and holds a bounded amount in memory. A
      chunk that was yielded can be read from then on, also after a crash. Chunks are numbered from 0, and tile each
      origin (see `rota.core.chunk`). Exhaustion means that all chunks are known: the batch run can be sealed.
    - `plan(size, after=chunk)` goes on behind a chunk planned earlier, with the same numbers and cuts as if it had
      never stopped. A generator's unspooled items are made again.
    - `read` yields at least one block; the blocks are contiguous, and the first `start` and last `end` are the extent
      that the engine records for `recut` and the manifest. A record that cannot be decoded is a `Broken` in its place
      and stops nothing.
    - Both raise `SourceError` when an origin is missing, truncated, or no longer the version that was planned.
    - `size` is what the origins that `plan` reads have in bytes, as stored; 0 if that says nothing of the items.
    - `release` forgets what was kept for these chunks only. It may be told twice, and of chunks that kept nothing.
    """

    def check(self) -> None: ...

    def size(self) -> int: ...

    def plan(self, size: ChunkSize, after: Chunk | None = None) -> Iterator[Chunk]: ...

    def read(self, chunk: Chunk) -> Iterator[Block]: ...

    def release(self, chunks: Iterable[Chunk]) -> None: ...


def read_all(source: Source, chunk: Chunk) -> list[object]:
    """Every value of a chunk at once (`Broken` included); for chunks known to fit in memory."""
    return [value for block in source.read(chunk) for value in block.values]
