"""How results become bytes: JSON Lines, CSV or Parquet, a block of results at a time."""

from __future__ import annotations

import csv
import importlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from rota.connectors.jsonl import join_lines
from rota.connectors.options import ResultFormat
from rota.core.errors import InvalidError

_to_json = msgspec.json.Encoder().encode


class Encoding(Protocol):
    """Blocks of results to blocks of bytes; InvalidError names a result that the format cannot hold."""

    def encode(self, results: Iterable[Sequence[object]]) -> Iterator[bytes]: ...

    def refusal(self, result: object) -> str | None: ...


class JsonLinesEncoding:
    """One call of the encoder for each block."""

    def encode(self, results: Iterable[Sequence[object]]) -> Iterator[bytes]:
        for block in results:
            try:
                yield join_lines(block)
            except (TypeError, ValueError, RecursionError) as error:
                raise InvalidError("result", _first_refused(self, block), f"a JSON value is: {error}") from error

    def refusal(self, result: object) -> str | None:
        return json_refusal(result)


def json_refusal(result: object) -> str | None:
    """Why the value cannot be written as JSON, or None."""
    try:
        _to_json(result)
    except (TypeError, ValueError, RecursionError) as error:
        return f"the result is no JSON value: {error}"
    return None


def _first_refused(encoding: Encoding, block: Sequence[object]) -> object:
    return next((result for result in block if encoding.refusal(result)), None)


def plain_fields(result: object) -> dict[str, object] | None:
    """A result as fields (a mapping, a struct or a dataclass), nested values as JSON text; None if it has no fields."""
    fields = result if isinstance(result, Mapping) else msgspec.to_builtins(result)
    if not isinstance(fields, Mapping):
        return None
    return {
        str(name): value if value is None or isinstance(value, (str, int, float, bytes)) else _to_json(value).decode()
        for name, value in fields.items()
    }


class CsvEncoding:
    """Rows without a header; `agree` settles the columns when the first result is seen, for all processes alike."""

    def __init__(self, agree: Callable[[Sequence[str]], Sequence[str]], *, header: bool) -> None:
        self._agree = agree
        self._header = header
        self._columns: Sequence[str] | None = None

    def _settle(self, fields: dict[str, object]) -> Sequence[str]:
        if self._columns is None:
            self._columns = self._agree(list(fields))
        return self._columns

    def encode(self, results: Iterable[Sequence[object]]) -> Iterator[bytes]:
        begun = False
        for block in results:
            text = io.StringIO(newline="")
            writer = csv.writer(text, lineterminator="\n")
            for result in block:
                problem = self.refusal(result)
                fields = None if problem else plain_fields(result)
                if fields is None:
                    raise InvalidError("result", result, problem or "an object with named fields is")
                columns = self._settle(fields)
                if self._header and not begun:
                    writer.writerow(columns)
                begun = True
                writer.writerow([fields.get(name) for name in columns])
            yield text.getvalue().encode()

    def refusal(self, result: object) -> str | None:
        try:
            fields = plain_fields(result)
        except (TypeError, ValueError, RecursionError) as error:
            return f"the result cannot be written as CSV: {error}"
        if fields is None:
            return "a result for CSV must be an object with named fields"
        extra = [name for name in fields if name not in self._settle(fields)]
        return (
            f"the result has field {extra[0]!r}, which the other results do not have; give columns=[...]"
            if extra
            else None
        )


class ParquetEncoding:
    """One Parquet file a chunk, complete in memory before it is written: its footer comes last."""

    def __init__(self) -> None:
        try:
            self._writer = importlib.import_module("rota.connectors.parquet").ParquetWriter
        except ModuleNotFoundError as error:
            raise InvalidError(
                "format", "parquet", "it needs pyarrow, which `pip install 'rota[parquet]'` brings"
            ) from error

    def encode(self, results: Iterable[Sequence[object]]) -> Iterator[bytes]:
        out = io.BytesIO()
        writer = self._writer(out)
        for block in results:
            try:
                writer.write([self._fields(result) for result in block])
            except (TypeError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
                if isinstance(error, InvalidError):
                    raise
                raise InvalidError("result", block[0], f"rows of one schema are: {error}") from error
        writer.close()
        yield out.getvalue()

    def _fields(self, result: object) -> object:
        problem = self.refusal(result)
        if problem:
            raise InvalidError("result", result, problem)
        return msgspec.to_builtins(result)

    def refusal(self, result: object) -> str | None:
        try:
            fields = msgspec.to_builtins(result)
        except (TypeError, ValueError, RecursionError) as error:
            return f"the result cannot be written to Parquet: {error}"
        return (
            None if isinstance(fields, dict) and fields else "a result for Parquet must be an object with named fields"
        )


def open_encoding(kind: ResultFormat, agree: Callable[[Sequence[str]], Sequence[str]], *, header: bool) -> Encoding:
    """The encoding of a format; `agree` and `header` concern CSV alone."""
    if kind == "csv":
        return CsvEncoding(agree, header=header)
    return ParquetEncoding() if kind == "parquet" else JsonLinesEncoding()
