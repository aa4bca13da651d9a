"""JSON Lines: one JSON value a line. Blank lines are no items; the file is UTF-8, with or without a byte order mark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

import msgspec

from rota.connectors.options import Jsonl
from rota.connectors.place import BLOCK
from rota.connectors.text import Text
from rota.core.block import Block, Broken, broken_record, empty_block
from rota.core.chunk import Chunk, ChunkSize, Origin
from rota.core.cutting import BOM, Cut, LineCutter

_READ = BLOCK >> 2
_PROBE = 1 << 14

_decode = msgspec.json.Decoder().decode


def decode_lines(data: bytes, base: int, longest: int | None = None) -> Block:
    """The block of whole lines that begins at `base`, decoded in C line by line, unless one is broken. longest: bytes
    that a line may take, its end included."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    if longest is not None and len(data) > longest:
        return _decode_each(lines, base, len(data), longest)
    try:
        values = list(map(_decode, lines))
    except (ValueError, RecursionError):  # msgspec.DecodeError and UnicodeDecodeError are ValueErrors
        return _decode_each(lines, base, len(data), len(data))

    def positions() -> Sequence[int]:
        return list(accumulate((len(line) + 1 for line in lines[:-1]), initial=base))

    return Block(base, base + len(data), values, (), positions)


def _decode_each(lines: list[bytes], base: int, length: int, longest: int) -> Block:
    values: list[object] = []
    broken: list[int] = []
    positions: list[int] = []
    at = base
    for line in lines:
        if line and not line.isspace():
            size = min(len(line) + 1, base + length - at)
            value = decode_item(line) if size <= longest else _too_long(line[:_PROBE], size, longest)
            if isinstance(value, Broken):
                broken.append(len(values))
            values.append(value)
            positions.append(at)
        at += len(line) + 1
    return Block(base, base + length, values, broken, lambda: positions)


def _too_long(beginning: bytes, size: int, longest: int) -> Broken:
    error = f"longer than max_item_bytes ({longest}): a line of {size} bytes"
    return Broken(error, broken_record("", beginning).raw, size)


def decode_item(text: bytes) -> object:
    """The JSON value, or a `Broken` that says why it is none."""
    try:
        return _decode(text)
    except UnicodeDecodeError as error:
        return broken_record(
            f"invalid UTF-8: byte 0x{text[error.start]:02x}, {error.reason}"
            if error.object is text
            else f"invalid UTF-8: {error.reason}",
            text,
        )
    except (ValueError, RecursionError) as error:
        return broken_record(f"invalid JSON: {error}", text)


class JsonLinesFormat:
    """The `TextFormat` of `Jsonl`."""

    encoding = "utf-8"

    def __init__(self, options: Jsonl) -> None:
        self._longest = options.max_item_bytes

    def check(self) -> None:
        """Nothing in the options can be wrong."""

    def check_beginning(self, origin: Origin, text: bytes, encoding: str, *, whole: bool) -> None:
        """Whatever it is, each line is an item or a dead letter."""

    def cutter(self, size: ChunkSize, at: int, origin: Origin) -> LineCutter:
        return LineCutter(size, at)

    def items(self, cut: Cut, start: int) -> int:
        return cut.lines

    def seek(self, text: Text, target: int) -> int | None:
        return line_end(text, target - 1) or text.origin.size

    def blocks(self, text: Text, chunk: Chunk, encoding: str) -> Iterator[Block]:
        at = chunk.start
        if at == 0 and text.read(0, 3) == BOM:
            yield empty_block(0, 3)
            at = 3
        while at < chunk.end:
            data = text.read(at, min(at + _READ, chunk.end))
            if at + len(data) < chunk.end:
                data = data[: data.rfind(b"\n") + 1]
            block = decode_lines(data, at, self._longest) if data else self._long_line(text, at, chunk.end)
            yield block
            at = block.end

    def _long_line(self, text: Text, at: int, limit: int) -> Block:
        end = line_end(text, at) or limit
        if end - at > self._longest:
            shown = _too_long(text.read(at, at + _PROBE), end - at, self._longest)
            return Block(at, end, [shown], (0,), lambda: [at])
        return decode_lines(text.read(at, end), at, self._longest)


def line_end(text: Text, at: int) -> int | None:
    """The offset behind the first newline at or behind `at`; None if there is none."""
    reach = _PROBE
    while window := text.read(at, at + reach):
        found = window.find(b"\n")
        if found >= 0:
            return at + found + 1
        at += len(window)
        reach = min(reach * 2, BLOCK)
    return None


def join_lines(values: Sequence[object]) -> bytes:
    """JSON Lines of the values, in one call."""
    return _encoder.encode_lines(values)


_encoder = msgspec.json.Encoder()
