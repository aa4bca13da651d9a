"""CSV: records as Python's csv module reads them, quoted newlines included; an item maps column names to text.

Columns come from the header (the first record that is not blank) or from `columns`. A record with another number of
fields, or with bytes that the encoding does not allow, is a dead letter.

How a chunk is read: a block of bytes is parsed at once by the csv module, followed by a line that no file contains.
If that line comes back as a record of its own, the block ended between records. If not, it was swallowed by a quoted
field: then the last record is incomplete, and is read again with more bytes, beyond the chunk's end if need be. So
every record that starts in the chunk is read whole, wherever the cut was guessed to be.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, islice, pairwise
from typing import Protocol

import msgspec

from rota.connectors.compression import encoding_name
from rota.connectors.jsonl import line_end
from rota.connectors.options import Csv
from rota.connectors.place import BLOCK
from rota.connectors.text import Text
from rota.core.block import Block, Broken, broken_record, empty_block
from rota.core.chunk import Chunk, ChunkSize, Origin
from rota.core.cutting import BOM, CsvCutter, Cut, LineCutter
from rota.core.errors import InvalidError, LastingSourceError

_READ = BLOCK >> 2
_GUESS_WINDOW = 1 << 15
_GUESSES = 64
_END = "\0end of block"
_NO_LIMIT = 2**31 - 1


class _Reader(Protocol):
    """What `csv.reader` returns."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...


class _Header(msgspec.Struct, frozen=True):
    """The columns, the length of the byte order mark, and the range of the header record (empty if there is none)."""

    names: tuple[str, ...]
    mark: int
    start: int
    end: int


class _Beginning:
    """A `Text` of which no more than the beginning is there."""

    def __init__(self, origin: Origin, data: bytes) -> None:
        self.origin: Origin = origin
        self._data = data

    def read(self, start: int, end: int) -> bytes:
        return self._data[start:end]

    def head(self) -> Iterator[bytes]:
        yield self._data


class CsvFormat:
    """The `TextFormat` of `Csv`."""

    def __init__(self, options: Csv) -> None:
        self._options = options
        name = encoding_name(options.encoding)
        self.encoding: str = "utf-8" if name == "utf-8-sig" else name
        self._headers: dict[Origin, _Header] = {}
        # What is parsed at once is bounded here; the module's own bound would end it where a quote stays open.
        csv.field_size_limit(_NO_LIMIT)

    def check(self) -> None:
        options = self._options
        encoding_name(options.encoding)
        if len(options.delimiter) != 1 or options.delimiter in '\r\n"':
            raise InvalidError("delimiter", options.delimiter, "one character other than a quote or a line end is")
        if options.quote is not None and (len(options.quote) != 1 or options.quote in "\r\n" + options.delimiter):
            raise InvalidError(
                "quote", options.quote, "one character other than the delimiter or a line end is, or None"
            )
        if options.cuts not in {"guess", "scan"}:
            raise InvalidError("cuts", options.cuts, "'guess' or 'scan' is")
        if options.columns is not None:
            if not options.columns:
                raise InvalidError("columns", options.columns, "at least one name is")
            self._distinct(options.columns, "columns")

    def _distinct(self, names: Sequence[str], field: str) -> None:
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InvalidError(field, twice[0], "every column needs a name of its own; give columns=[...]")

    def cutter(self, size: ChunkSize, at: int, origin: Origin) -> LineCutter:
        if self._options.quote is None:
            return LineCutter(size, at)
        delimiter, quote = self._options.delimiter.encode(self._wire), self._options.quote.encode(self._wire)
        return CsvCutter(size, at, delimiter, quote, self._options.max_item_bytes)

    @property
    def _wire(self) -> str:
        return "utf-8" if self.encoding.lower().startswith(("utf-16", "utf-32")) else self.encoding

    def items(self, cut: Cut, start: int) -> int:
        return cut.lines - (1 if start == 0 and self._has_header and cut.lines else 0)

    @property
    def _has_header(self) -> bool:
        return self._options.columns is None if self._options.header is None else self._options.header

    def _reader(self, lines: Iterable[str]) -> _Reader:
        options = self._options
        if options.quote is None:
            return csv.reader(lines, delimiter=options.delimiter, quoting=csv.QUOTE_NONE)
        return csv.reader(lines, delimiter=options.delimiter, quotechar=options.quote)

    def seek(self, text: Text, target: int) -> int | None:
        if self._options.cuts == "scan":
            return None
        near = line_end(text, target - 1)
        if near is None:
            return text.origin.size
        if self._options.quote is None:
            return near
        fields = len(self._header(text, self.encoding).names)
        window = text.read(near, near + _GUESS_WINDOW).decode(self.encoding, "surrogateescape")
        at = 0
        for line in islice(io.StringIO(window, newline=""), _GUESSES):
            rows = list(islice(self._reader(io.StringIO(window[at:], newline="")), 4))[:3]
            if rows and all(len(row) == fields for row in rows if row):
                return near + self._bytes(window[:at], self.encoding)
            at += len(line)
        return near

    def _bytes(self, text: str, encoding: str) -> int:
        return len(text.encode(encoding, "surrogateescape"))

    def check_beginning(self, origin: Origin, text: bytes, encoding: str, *, whole: bool) -> None:
        if whole or self._first_record(text, encoding, whole=False) is not None:
            self._read_header(_Beginning(origin, text), encoding)

    def _header(self, text: Text, encoding: str) -> _Header:
        known = self._headers.get(text.origin)
        if known is None:
            known = self._headers[text.origin] = self._read_header(text, encoding)
        return known

    def _read_header(self, text: Text, encoding: str) -> _Header:
        options = self._options
        data, end = b"", 0
        for block in text.head():
            data += block
            end = len(BOM) if encoding == "utf-8" and data.startswith(BOM) else 0
            found = self._first_record(data[end:], encoding, whole=False)
            if found or len(data) > options.max_item_bytes:
                break
        else:
            found = self._first_record(data[end:], encoding, whole=True)
        if not self._has_header:
            return _Header(options.columns or (), end, end, end)
        if found is None:
            raise LastingSourceError(
                f"source {text.origin.uri!r} has no header record; give columns=[...]", source=text.origin.uri
            )
        row, low, high = found
        names = options.columns or tuple(row)
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise LastingSourceError(
                f"the header of {text.origin.uri!r} names column {twice!r} twice; give columns=[...], header=True",
                source=text.origin.uri,
            )
        return _Header(names, end, end + low, end + high)

    def _first_record(self, data: bytes, encoding: str, *, whole: bool) -> tuple[list[str], int, int] | None:
        """The first record that is not blank, its start and its end; None if `data` does not hold all of it."""
        lines = list(io.StringIO(data.decode(encoding, "surrogateescape"), newline=""))
        if not whole and lines and not lines[-1].endswith("\n"):
            lines.pop()
        mark = [_END, _END]
        reader = self._reader(chain(lines, () if whole else (self._options.delimiter.join(mark),)))
        passed = 0
        for row in reader:
            if row == mark or (not whole and row and row[-1].endswith(self._options.delimiter.join(mark))):
                return None
            if row:
                start = sum(self._bytes(line, encoding) for line in lines[:passed])
                return row, start, start + sum(self._bytes(line, encoding) for line in lines[passed : reader.line_num])
            passed = reader.line_num
        return None

    def blocks(self, text: Text, chunk: Chunk, encoding: str) -> Iterator[Block]:
        if chunk.start >= chunk.end:
            return
        header = self._header(text, encoding)
        at = chunk.start
        if at == 0 and header.mark:
            yield empty_block(0, header.mark)
            at = header.mark
        if at <= header.start < header.end and header.start < chunk.end:
            yield empty_block(at, header.end)
            at = header.end
        while at < chunk.end:
            block = self._next_block(text, at, chunk, header.names, encoding)
            yield block
            at = block.end

    def _next_block(self, text: Text, at: int, chunk: Chunk, names: tuple[str, ...], encoding: str) -> Block:
        data = text.read(at, min(at + _READ, chunk.end))
        if at + len(data) < chunk.end:
            data = data[: data.rfind(b"\n") + 1]
        if data:
            parsed, valid = _decode(data, encoding)
            rows, used = self._parse(data, parsed, encoding)
            if used > self._options.max_item_bytes:
                rows, used = self._before_too_long(data[:used], rows, encoding)
            if used:
                return self._block(data[:used], at, rows, names, encoding, valid=valid)
        return self._long_record(text, at, chunk, names, encoding)

    def _before_too_long(self, data: bytes, rows: list[list[str]], encoding: str) -> tuple[list[list[str]], int]:
        """The records before the first that is too long, and how many bytes they fill."""
        bounds = pairwise([*self._offsets(data, encoding), len(data)])
        for number, (start, end) in enumerate(bounds):
            if end - start > self._options.max_item_bytes:
                return rows[:number], start
        return rows, len(data)

    def _long_record(self, text: Text, at: int, chunk: Chunk, names: tuple[str, ...], encoding: str) -> Block:
        """The one record at `at`, which the block does not hold whole."""
        reach = _READ
        limit = self._options.max_item_bytes
        while True:
            data = text.read(at, at + reach)
            found = self._first_record(data, encoding, whole=len(data) < reach)
            if found is None and len(data) < reach:
                return empty_block(at, at + len(data)) if data else empty_block(at, chunk.end)
            if found is not None and found[2] <= limit:
                whole, valid = _decode(data[: found[2]], encoding)
                rows = list(self._reader(io.StringIO(whole, newline="")))
                return self._block(data[: found[2]], at, rows, names, encoding, valid=valid)
            if len(data) > limit:
                end = line_end(text, at) or at + len(data)
                error = self._too_long(data, end - at, found and found[2], encoding)
                shown = broken_record(error, data[:BLOCK])
                return Block(at, end, [Broken(error, shown.raw, end - at)], (0,), lambda: [at])
            reach *= 4

    def _too_long(self, data: bytes, line: int, length: int | None, encoding: str) -> str:
        """What is wrong with the record that `data` begins with. line: length of its first line. length: its own, if
        it ends in `data`."""
        limit = self._options.max_item_bytes
        goes_on = line < len(data) and not self._parse(data[:line], _decode(data[:line], encoding)[0], encoding)[1]
        if not goes_on:
            return f"longer than max_item_bytes ({limit}): a record of {line} bytes"
        size = f"more than {len(data)}" if length is None else str(length)
        return f"longer than max_item_bytes ({limit}): a record of {size} bytes; is a quote not closed?"

    def _parse(self, data: bytes, text: str, encoding: str) -> tuple[list[list[str]], int]:
        """The records that lie whole in `data`, and how many bytes they fill."""
        mark = [_END, _END]
        lines = chain(io.StringIO(text, newline=""), (self._options.delimiter.join(mark),))
        rows = list(self._reader(lines))
        last = rows.pop()
        if last == mark:
            return rows, len(data)
        return rows, self._offsets(data, encoding)[-1]

    def _offsets(self, data: bytes, encoding: str) -> list[int]:
        """Where each record in `data` begins, blank ones included."""
        lines = list(io.StringIO(data.decode(encoding, "surrogateescape"), newline=""))
        ends = list(accumulate((self._bytes(line, encoding) for line in lines), initial=0))
        reader = self._reader(lines)
        starts = [0]
        starts.extend(ends[reader.line_num] for _ in reader)
        return starts[:-1]

    def _block(
        self, data: bytes, at: int, rows: list[list[str]], names: tuple[str, ...], encoding: str, *, valid: bool
    ) -> Block:
        if valid and set(map(len, rows)) <= {len(names)}:
            values: list[object] = [dict(zip(names, row, strict=True)) for row in rows]
            return Block(
                at, at + len(data), values, (), lambda: [at + offset for offset in self._offsets(data, encoding)]
            )
        return self._judge_each(data, at, rows, names, encoding)

    def _judge_each(self, data: bytes, at: int, rows: list[list[str]], names: tuple[str, ...], encoding: str) -> Block:
        values: list[object] = []
        broken: list[int] = []
        positions: list[int] = []
        bounds = pairwise([*self._offsets(data, encoding), len(data)])
        for row, (start, end) in zip(rows, bounds, strict=True):
            if not row:
                continue
            error = self._wrong(row, names, encoding)
            if error:
                broken.append(len(values))
            values.append(broken_record(error, data[start:end]) if error else dict(zip(names, row, strict=True)))
            positions.append(at + start)
        return Block(at, at + len(data), values, broken, lambda: positions)

    def _wrong(self, row: list[str], names: tuple[str, ...], encoding: str) -> str:
        if len(row) != len(names):
            return f"wrong number of fields: {len(row)} instead of {len(names)}"
        for name, field in zip(names, row, strict=True):
            try:
                field.encode(encoding)
            except UnicodeEncodeError as error:
                return f"invalid {encoding.upper()} in column {name!r}: byte 0x{ord(field[error.start]) & 0xFF:02x}"
        return ""


def _decode(data: bytes, encoding: str) -> tuple[str, bool]:
    """The text and whether all of it was valid; bytes that were not stand in it as lone surrogates."""
    try:
        return data.decode(encoding), True
    except UnicodeDecodeError:
        return data.decode(encoding, "surrogateescape"), False
