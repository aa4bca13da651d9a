"""Sources of text: any format x any place x any compression.

Three ways to plan one origin:
- seek: a format that finds a cut near a given byte (JSON Lines, CSV by guess) reads a window per chunk and nothing
  else; where the place is far away, several at a time;
- scan: the planner passes over the whole text once, at the speed of counting newlines (needed for `chunk_items`);
- stream: compressed text, or an encoding in which bytes cannot be searched. The planner reads it once and spools it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from typing import Protocol

from rota.connectors.compression import compression_of, decompressed, is_cuttable, transcoded
from rota.connectors.folder import Folder
from rota.connectors.options import Compression
from rota.connectors.pinning import pinned_origins
from rota.connectors.place import BLOCK, Place
from rota.connectors.spool import Spool
from rota.core.block import Block, empty_block
from rota.core.chunk import Chunk, ChunkSize, Origin
from rota.core.cutting import Cut

_PIECE = 1 << 14
_BEGINNING = BLOCK >> 2


class Cutter(Protocol):
    """Finds cuts in a stream of blocks; see `rota.core.cutting`."""

    def feed(self, block: bytes) -> Iterator[Cut]: ...

    def finish(self) -> Iterator[Cut]: ...


class Text(Protocol):
    """The text of one origin as far as a chunk's reader may see it."""

    @property
    def origin(self) -> Origin: ...

    def read(self, start: int, end: int) -> bytes: ...

    def head(self) -> Iterator[bytes]: ...


class TextFormat(Protocol):
    """What tells one format of text from another."""

    @property
    def encoding(self) -> str: ...

    def check(self) -> None: ...

    def check_beginning(self, origin: Origin, text: bytes, encoding: str, *, whole: bool) -> None:
        """LastingSourceError if what a file begins with shows that the rest is of no use. whole: that is all of it."""

    def cutter(self, size: ChunkSize, at: int, origin: Origin) -> Cutter: ...

    def seek(self, text: Text, target: int) -> int | None:
        """A cut at or behind `target` found without reading what is before it; None if the format has no such way."""

    def blocks(self, text: Text, chunk: Chunk, encoding: str) -> Iterator[Block]: ...

    def items(self, cut: Cut, start: int) -> int: ...


class PlacedText:
    """The text as it lies in its place."""

    def __init__(self, place: Place, origin: Origin) -> None:
        self._place = place
        self.origin = origin

    def read(self, start: int, end: int) -> bytes:
        return self._place.read(self.origin, start, min(end, self.origin.size)) if start < self.origin.size else b""

    def head(self) -> Iterator[bytes]:
        at = 0
        while at < self.origin.size:
            block = self.read(at, at + (BLOCK >> 4))
            yield block
            at += len(block)


class SpooledText:
    """One chunk's text from the spool; the head, if a format needs it, from the stream's beginning."""

    def __init__(self, spool: Spool, chunk: Chunk, stream: Iterator[bytes]) -> None:
        self._spool = spool
        self._chunk = chunk
        self._stream = stream
        self.origin: Origin = chunk.origin

    def read(self, start: int, end: int) -> bytes:
        return self._spool.read(self._chunk, start - self._chunk.start, end - self._chunk.start)

    def head(self) -> Iterator[bytes]:
        return self._stream


class _Meter:
    """How much of a stored stream was taken; in pieces small enough to tell where a chunk lies in it."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self.passed: int = 0

    def __iter__(self) -> Iterator[bytes]:
        for block in self._blocks:
            for at in range(0, len(block), _PIECE):
                piece = block[at : at + _PIECE]
                self.passed += len(piece)
                yield piece


class TextSource:
    """A `Source` of one text format. seekers: how many cuts are looked for at the same time."""

    def __init__(
        self,
        place: Place,
        form: TextFormat,
        compression: Compression = "auto",
        spool: Folder | None = None,
        seekers: int = 1,
    ) -> None:
        self._seekers = seekers
        self._place = place
        self._form = form
        self._compression: Compression = compression
        self._folder = spool
        self._spool = Spool(spool)

    def check(self) -> None:
        """One file is looked into, and no further than its beginning: all of them are there, and may be many."""
        self._form.check()
        first: Origin | None = None
        for origin in self._place.find():
            first = first or origin
        if first is not None and first.size:
            self._check_beginning(first)

    def _check_beginning(self, origin: Origin) -> None:
        data = self._place.read(origin, 0, min(_BEGINNING, origin.size))
        whole, encoding = len(data) >= origin.size, self._form.encoding
        if self._is_stream(origin):
            # The first that comes of it; its end is not there.
            data, whole = next(self._stream(origin, iter((data,))), b""), False
            encoding = encoding if is_cuttable(encoding) else "utf-8"
        self._form.check_beginning(origin, data, encoding, whole=whole)

    def size(self) -> int:
        return sum(origin.size for origin in pinned_origins(self._place, self._folder))

    def plan(self, size: ChunkSize, after: Chunk | None = None) -> Iterator[Chunk]:
        number = after.number + 1 if after else 0
        for origin in pinned_origins(self._place, self._folder):
            if after and origin.uri < after.origin.uri:
                continue
            resumed = after if after and origin.uri == after.origin.uri else None
            if resumed and resumed.last:
                continue
            pinned = resumed.origin if resumed else origin
            for chunk in self._plan_origin(pinned, size, number, resumed):
                yield chunk
                number = chunk.number + 1

    def _plan_origin(self, origin: Origin, size: ChunkSize, number: int, after: Chunk | None) -> Iterator[Chunk]:
        start = after.end if after else 0
        if self._is_stream(origin):
            yield from self._plan_stream(origin, size, number, start)
            return
        text = PlacedText(self._place, origin)
        cuts = self._seek(text, size, start) if self._seekers == 1 else self._seek_ahead(text, size, start)
        first_cut = next(cuts, None)
        if first_cut is None and start < origin.size:
            cuts = self._scan(text, size, start)
            first_cut = next(cuts, None)
        first = (
            (after.first + after.items if after.first is not None and after.items is not None else None) if after else 0
        )
        for cut in chain([first_cut] if first_cut else [], cuts):
            items = self._form.items(cut, start) if cut.lines else None
            if items is None:
                first = None
            yield Chunk(number, origin, start, cut.end, "bytes", first, items, last=cut.end >= origin.size)
            number, start = number + 1, cut.end
            first = first + items if first is not None and items is not None else None

    def _seek(self, text: PlacedText, size: ChunkSize, start: int) -> Iterator[Cut]:
        total = text.origin.size
        while size.items is None and size.bytes is not None and start < total:
            target = start + size.bytes
            found = self._form.seek(text, target) if target < total else total
            if found is None:
                return
            start = found
            yield Cut(start, 0)

    def _seek_ahead(self, text: PlacedText, size: ChunkSize, start: int) -> Iterator[Cut]:
        """As `_seek`, but near the multiples of the size, which do not depend on each other."""
        total, step = text.origin.size, size.bytes
        if size.items is not None or step is None or start >= total:
            return
        targets = iter(range((start // step + 1) * step, total, step))
        with ThreadPoolExecutor(self._seekers, "rota-seek") as pool:
            ahead = deque(pool.submit(self._form.seek, text, at) for at in islice(targets, 2 * self._seekers))
            try:
                while ahead:
                    found = ahead.popleft().result()
                    if found is None:
                        return
                    ahead.extend(pool.submit(self._form.seek, text, at) for at in islice(targets, 1))
                    if found > start:
                        start = found
                        yield Cut(start, 0)
            finally:
                pool.shutdown(cancel_futures=True)
        if start < total:
            yield Cut(total, 0)

    def _scan(self, text: PlacedText, size: ChunkSize, start: int) -> Iterator[Cut]:
        cutter = self._form.cutter(size, start, text.origin)
        for at in range(start, text.origin.size, BLOCK):
            yield from cutter.feed(text.read(at, at + BLOCK))
        yield from cutter.finish()

    def _plan_stream(self, origin: Origin, size: ChunkSize, number: int, start: int) -> Iterator[Chunk]:
        """Holds one cut back until the next is known: only the end of the stream tells which chunk is the last."""
        held: tuple[Cut, list[bytes], int] | None = None
        meter = _Meter(self._place.stream(origin))
        for cut, data in self._cut_stream(origin, size, start, iter(meter)):
            if held:
                yield self._store(origin, number, start, held, last=False)
                number, start = number + 1, held[0].end
            held = (cut, data, meter.passed)
        if held:
            yield self._store(origin, number, start, held, last=True)

    def _store(
        self, origin: Origin, number: int, start: int, held: tuple[Cut, list[bytes], int], *, last: bool
    ) -> Chunk:
        cut, data, reach = held
        name, items = self._spool.store(number, data), self._form.items(cut, start)
        return Chunk(number, origin, start, cut.end, "bytes", None, items, last=last, spool=name, reach=reach)

    def _cut_stream(
        self, origin: Origin, size: ChunkSize, start: int, stored: Iterator[bytes]
    ) -> Iterator[tuple[Cut, list[bytes]]]:
        cutter = self._form.cutter(size, start, origin)
        passed, low = 0, start
        held: deque[bytes] = deque()

        def taken(end: int) -> list[bytes]:
            nonlocal low
            mine: list[bytes] = []
            while low < end:
                block = held.popleft()
                mine.append(block[: end - low])
                if end - low < len(block):
                    held.appendleft(block[end - low :])
                low += len(mine[-1])
            return mine

        for block in self._stream(origin, stored):
            for at in range(max(0, start - passed), len(block), BLOCK >> 4):
                fresh = block[at : at + (BLOCK >> 4)]
                held.append(fresh)
                for cut in cutter.feed(fresh):
                    yield cut, taken(cut.end)
            passed += len(block)
        for cut in cutter.finish():
            yield cut, taken(cut.end)

    def _is_stream(self, origin: Origin) -> bool:
        return compression_of(origin.uri, self._compression) != "none" or not is_cuttable(self._form.encoding)

    def _stream(self, origin: Origin, stored: Iterator[bytes]) -> Iterator[bytes]:
        blocks = decompressed(stored, compression_of(origin.uri, self._compression), origin.uri)
        return blocks if is_cuttable(self._form.encoding) else transcoded(blocks, self._form.encoding, origin.uri)

    def read(self, chunk: Chunk) -> Iterator[Block]:
        text: Text
        if chunk.spool:
            text = SpooledText(self._spool, chunk, self._stream(chunk.origin, self._place.stream(chunk.origin)))
        else:
            text = PlacedText(self._place, chunk.origin)
        encoding = self._form.encoding if is_cuttable(self._form.encoding) else "utf-8"
        at = chunk.start
        for block in self._form.blocks(text, chunk, encoding):
            yield block
            at = block.end
        if at == chunk.start or at < chunk.end:
            yield empty_block(at, max(at, chunk.end))

    def release(self, chunks: Iterable[Chunk]) -> None:
        self._spool.remove(chunks)
