"""A generator as source: the "batcher" that makes items instead of finding them, be it a hundred or a hundred million.

It runs in the planner alone, one chunk ahead of what is asked for. Each chunk is spooled durably before it is made
known, so a restart does not lose it, and makes again only what came after: a generator that takes `start` is called
with the number of items to leave out, any other is run from the beginning and its first items are dropped.

The encoder writes more than JSON can say (a set becomes a list, a datetime text), so items are read back and compared.
For all of them that would add a half to the time of planning; so it is the first thousand, and then one of fifty.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from rota.connectors.folder import Folder
from rota.connectors.jsonl import decode_lines, join_lines
from rota.connectors.options import Generator
from rota.connectors.spool import Spool
from rota.core.block import Block, empty_block
from rota.core.chunk import Chunk, ChunkSize, Origin
from rota.core.errors import InvalidError, LastingSourceError, SourceError
from rota.core.payload import stranger_to_json

_READ = 1 << 18
_SLICE = 1000
_COMPARED, _THEN_ONE_OF = 1000, 50
"""Items."""


class GeneratorSource:
    """The `Source` of `Generator`; positions count items."""

    def __init__(self, options: Generator, spool: Folder | None = None) -> None:
        self._make = options.make
        self._name = getattr(options.make, "__qualname__", type(options.make).__qualname__)
        self._spool = Spool(spool)

    def check(self) -> None:
        if not callable(self._make):
            raise InvalidError("source", self._make, "a function that returns an iterable is")
        required = [
            name
            for name, parameter in inspect.signature(self._make).parameters.items()
            if parameter.default is parameter.empty
            and parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
            and name != "start"
        ]
        if required:
            raise InvalidError(
                "source", self._name, f"a generator takes no argument but `start`; it demands {', '.join(required)}"
            )

    def size(self) -> int:
        return 0

    def plan(self, size: ChunkSize, after: Chunk | None = None) -> Iterator[Chunk]:
        if after and after.last:
            return
        origin = Origin(f"generator:{self._name}")
        number, start = (after.number + 1, after.end) if after else (0, 0)
        held: tuple[bytes, int] | None = None
        for chunk in self._chunks(size, start):
            if held:
                yield self._store(origin, number, start, held, last=False)
                number, start = number + 1, start + held[1]
            held = chunk
        if held:
            yield self._store(origin, number, start, held, last=True)
        elif after:
            # What was planned before happened to be all; an empty chunk says so.
            yield Chunk(number, origin, start, start, "items", start, 0, last=True)

    def _store(self, origin: Origin, number: int, start: int, held: tuple[bytes, int], *, last: bool) -> Chunk:
        name = self._spool.store(number, [held[0]])
        return Chunk(number, origin, start, start + held[1], "items", start, held[1], last=last, spool=name)

    def _items(self, start: int) -> Iterator[object]:
        if "start" in inspect.signature(self._make).parameters:
            return iter(self._make(start=start))
        return islice(self._make(), start, None)

    def _chunks(self, size: ChunkSize, start: int) -> Iterator[tuple[bytes, int]]:
        """The JSON Lines of each chunk and the number of its items."""
        at = start
        items = self._watched(self._items, start)
        while True:
            lines: list[bytes] = []
            held = count = 0
            while (size.items is None or count < size.items) and (size.bytes is None or held < size.bytes):
                batch = list(islice(items, self._slice(size, count)))
                if not batch:
                    break
                lines.append(self._encode(batch, at))
                count, at, held = count + len(batch), at + len(batch), held + len(lines[-1])
            if not count:
                return
            yield b"".join(lines), count

    def _slice(self, size: ChunkSize, count: int) -> int:
        if size.bytes is not None:
            return 64
        return min(_SLICE, (size.items or _SLICE) - count)

    def _watched(self, items: Callable[[int], Iterator[object]], start: int) -> Iterator[object]:
        at = start
        try:
            for item in items(start):
                yield item
                at += 1
        except Exception as error:
            raise SourceError(
                f"generator {self._name!r} failed after {at} items: {type(error).__name__}: {error}", source=self._name
            ) from error

    def _encode(self, batch: list[object], at: int) -> bytes:
        try:
            text = join_lines(batch)
            step = 1 if at < _COMPARED else _THEN_ONE_OF
            self._compare(batch[::step], text if step == 1 else join_lines(batch[::step]), at, step)
            return text
        except (TypeError, ValueError, RecursionError) as error:
            place = next((at + index for index, item in enumerate(batch) if not _is_json(item)), at)
            raise LastingSourceError(
                f"item {place} of generator {self._name!r} is no JSON value: {error}", source=self._name
            ) from error

    def _compare(self, items: list[object], text: bytes, at: int, step: int) -> None:
        if decode_lines(text, 0).values == items:
            return
        for index, item in enumerate(items):
            if stranger := stranger_to_json(item):
                raise LastingSourceError(
                    f"item {at + index * step} of generator {self._name!r} is no JSON value: {stranger}",
                    source=self._name,
                )

    def read(self, chunk: Chunk) -> Iterator[Block]:
        offset, at = 0, chunk.start
        while at < chunk.end:
            data = self._spool.read(chunk, offset, offset + _READ)
            whole = data.rfind(b"\n") + 1
            reach = _READ
            while data and not whole:
                reach *= 4
                data = self._spool.read(chunk, offset, offset + reach)
                whole = data.rfind(b"\n") + 1
            if not data:
                raise LastingSourceError(
                    f"the spooled chunk {chunk.number} of {chunk.origin.uri!r} is incomplete", source=chunk.origin.uri
                )
            values = decode_lines(data[:whole], 0).values
            yield _items_block(at, values)
            offset, at = offset + whole, at + len(values)
        if chunk.start == chunk.end:
            yield empty_block(at, at)

    def release(self, chunks: Iterable[Chunk]) -> None:
        self._spool.remove(chunks)


def _items_block(at: int, values: list[object]) -> Block:
    return Block(at, at + len(values), values, (), lambda: range(at, at + len(values)))


def _is_json(item: object) -> bool:
    try:
        join_lines([item])
    except (TypeError, ValueError, RecursionError):
        return False
    return True
