"""A JSON array: one document `[item, item, ...]`, read as a stream.

The planner finds where each element ends with the C scanner of the json module (50 to 100 MB/s), on the text taken as
Latin-1: JSON's structure is ASCII, so offsets in that text are byte offsets. A chunk is the byte range from one element
to behind the comma of another; the worker puts brackets around it and decodes it in one call. A syntax error between or
inside elements leaves no way to tell where the next element begins, so it ends the plan with SourceError; an element
that is JSON but no valid item (NaN, invalid UTF-8) is a dead letter.
"""

from __future__ import annotations

import json.scanner
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from rota.connectors.jsonl import decode_item
from rota.connectors.options import JsonArray
from rota.connectors.place import BLOCK
from rota.connectors.text import Text
from rota.core.block import Block, Broken, broken_record
from rota.core.chunk import Chunk, ChunkSize, Origin
from rota.core.cutting import BOM, Cut
from rota.core.errors import LastingSourceError

_READ_WHOLE = 4 * BLOCK
_SPACE = re.compile(r"[ \t\r\n]*")
_NEVER = 1 << 62
_make_scanner: Any = json.scanner.make_scanner  # typeshed knows it as a class
_scan: Callable[[str, int], tuple[object, int]] = _make_scanner(json.JSONDecoder())
_BLANK = " \t\r\n"
_decode_list = msgspec.json.Decoder(list[object]).decode


def _after_space(text: str, at: int) -> int:
    if at < len(text) and text[at] in _BLANK:
        found = _SPACE.match(text, at)
        return found.end() if found else at
    return at


class ArrayCutter:
    """Finds the ends of elements in a stream of blocks."""

    def __init__(self, size: ChunkSize, at: int, uri: str, longest: int) -> None:
        self._want_items = size.items or _NEVER
        self._want_bytes = size.bytes or _NEVER
        self._uri = uri
        self._longest = longest
        self._base = at
        self._cut_at = at
        self._items = 0
        self._pending: list[str] = []
        self._held = 0
        self._retry_at = 0
        self._state = "start" if at == 0 else "element"

    def feed(self, block: bytes) -> Iterator[Cut]:
        self._pending.append(block.decode("latin-1"))
        self._held += len(block)
        # A long element is scanned again only when the text has doubled, so that the work stays linear.
        if self._held >= self._retry_at:
            yield from self._advance(final=False)
            self._retry_at = 2 * self._held
            if self._held > 4 * max(self._longest, BLOCK):
                raise self._wrong(
                    self._base, f"an element is longer than 4 x max_item_bytes ({self._longest}), or never ends"
                )

    def finish(self) -> Iterator[Cut]:
        yield from self._advance(final=True)
        if self._state != "end":
            where = self._base + self._held
            if where == 0:
                return
            raise self._wrong(where, "the array is not closed")
        yield Cut(self._base + self._held, self._items)

    def _wrong(self, at: int, what: str) -> LastingSourceError:
        return LastingSourceError(f"source {self._uri!r} is no intact JSON array: {what} (byte {at})", source=self._uri)

    def _advance(self, *, final: bool) -> Iterator[Cut]:
        text = "".join(self._pending)
        at = self._begin(text) if self._state == "start" else 0
        while self._state in {"first", "element"}:
            start = _after_space(text, at)
            if start == len(text):
                break
            if self._state == "first" and text[start] == "]":
                at, self._state = start + 1, "end"
                break
            try:
                _, end = _scan(text, start)
            except (ValueError, StopIteration) as error:
                if not final:
                    break
                raise self._wrong(self._base + start, str(error) or "an element is expected") from error
            except RecursionError as error:
                raise self._wrong(self._base + start, "an element is nested too deeply") from error
            end = _after_space(text, end)
            if end == len(text):
                break
            if text[end] not in ",]":
                raise self._wrong(self._base + end, f"a comma or ] must follow the element, not {text[end]!r}")
            at = end + 1
            self._items += 1
            self._state = "element" if text[end] == "," else "end"
            if self._state == "element" and self._is_full(self._base + at):
                yield Cut(self._base + at, self._items)
                self._cut_at, self._items = self._base + at, 0
        if self._state == "end":
            rest = _after_space(text, at)
            if rest < len(text):
                raise self._wrong(
                    self._base + rest, f"nothing may follow the array, but {text[rest : rest + 10]!r} does"
                )
            at = min(at, len(text))
        self._base += at
        self._pending, self._held = [text[at:]], len(text) - at

    def _is_full(self, at: int) -> bool:
        return self._items >= self._want_items or at - self._cut_at >= self._want_bytes

    def _begin(self, text: str) -> int:
        at = _after_space(text, len(BOM) if text.startswith(BOM.decode("latin-1")) else 0)
        if at == len(text):
            return 0
        if text[at] != "[":
            kind = "an object" if text[at] == "{" else f"something that begins with {text[at : at + 10]!r}"
            raise self._wrong(at, f"it holds {kind}; for one JSON value a line use rota.Jsonl")
        self._state = "first"
        return at + 1


class JsonArrayFormat:
    """The `TextFormat` of `JsonArray`."""

    encoding = "utf-8"

    def __init__(self, options: JsonArray) -> None:
        self._longest = options.max_item_bytes

    def check(self) -> None:
        """Nothing in the options can be wrong."""

    def check_beginning(self, origin: Origin, text: bytes, encoding: str, *, whole: bool) -> None:
        cutter = self.cutter(ChunkSize(bytes=BLOCK), 0, origin)
        for _ in cutter.feed(text):
            pass
        for _ in cutter.finish() if whole else ():
            pass

    def cutter(self, size: ChunkSize, at: int, origin: Origin) -> ArrayCutter:
        return ArrayCutter(size, at, origin.uri, self._longest)

    def items(self, cut: Cut, start: int) -> int:
        return cut.lines

    def seek(self, text: Text, target: int) -> int | None:
        """An array has no place that can be recognized from the middle."""
        return None

    def blocks(self, text: Text, chunk: Chunk, encoding: str) -> Iterator[Block]:
        if chunk.end - chunk.start <= _READ_WHOLE:
            yield self._block(text.read(chunk.start, chunk.end), chunk.start, last=chunk.last)
            return
        cutter = ArrayCutter(ChunkSize(bytes=BLOCK), chunk.start, chunk.origin.uri, self._longest)
        held, start = b"", chunk.start
        for at in range(chunk.start, chunk.end, BLOCK):
            data = text.read(at, min(at + BLOCK, chunk.end))
            held += data
            for cut in cutter.feed(data):
                yield self._block(held[: cut.end - start], start, last=False)
                held, start = held[cut.end - start :], cut.end
        if held:
            yield self._block(held, start, last=chunk.last)

    def _block(self, data: bytes, start: int, *, last: bool) -> Block:
        low, high = 0, len(data)
        if start == 0:
            low = data.find(b"[") + 1
        if last:
            high = data.rfind(b"]")
        inside = data[low:high].rstrip()
        inside = inside.removesuffix(b",")

        def positions() -> Sequence[int]:
            return [start + low + at for at, _ in _elements(inside)]

        try:
            if len(inside) > self._longest:
                return self._each(inside, start, low, len(data))
            return Block(start, start + len(data), _decode_list(b"[" + inside + b"]"), (), positions)
        except (ValueError, RecursionError):
            return self._each(inside, start, low, len(data))

    def _each(self, inside: bytes, start: int, low: int, length: int) -> Block:
        values: list[object] = []
        broken: list[int] = []
        positions: list[int] = []
        for at, end in _elements(inside):
            element = inside[at:end]
            if len(element) > self._longest:
                error = f"longer than max_item_bytes ({self._longest}): an element of {len(element)} bytes"
                value: object = broken_record(error, element)
            else:
                value = decode_item(element)
            if isinstance(value, Broken):
                broken.append(len(values))
            values.append(value)
            positions.append(start + low + at)
        return Block(start, start + length, values, broken, lambda: positions)


def _elements(inside: bytes) -> list[tuple[int, int]]:
    """Start and end of every element between the brackets."""
    text = inside.decode("latin-1")
    bounds, at = [], _after_space(text, 0)
    while at < len(text):
        _, end = _scan(text, at)
        bounds.append((at, end))
        at = _after_space(text, _after_space(text, end) + 1)
    return bounds
