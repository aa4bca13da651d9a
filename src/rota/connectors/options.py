"""What a user says about a source or a sink. Plain values: they import no library and travel as JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec

from rota.core.errors import InvalidError

Compression = Literal["auto", "none", "gzip", "zstd"]
ResultFormat = Literal["jsonl", "csv", "parquet"]

MAX_ITEM_BYTES = 1 << 24
_Limit = Annotated[int, msgspec.Meta(ge=1)]
_PHRASES: dict[Any, str] = {
    str: "a text",
    bool: "True or False",
    tuple: "a list of texts",
    NoneType: "None",
    Annotated: "a whole number from 1 up",
}
_MAGIC = re.compile(r"[*?\[]")


class Jsonl(msgspec.Struct, frozen=True, tag="jsonl", omit_defaults=True):
    """JSON Lines files: a path, a glob or `s3://bucket/*.jsonl`. A line over `max_item_bytes` is a dead letter."""

    path: str
    compression: Compression = "auto"
    max_item_bytes: _Limit = MAX_ITEM_BYTES


class Csv(msgspec.Struct, frozen=True, tag="csv", omit_defaults=True):
    """CSV files: a path, a glob or `s3://...`.

    `columns` names the fields; then the file has no header, unless `header=True` says that there is one to pass over.
    `quote=None` is for files without quoting. `cuts="scan"` makes `chunk_bytes` read the file once to cut it, instead
    of guessing near every cut and checking that the chunks meet.
    """

    path: str
    delimiter: str = ","
    quote: str | None = '"'
    encoding: str = "utf-8"
    columns: tuple[str, ...] | None = None
    header: bool | None = None
    compression: Compression = "auto"
    max_item_bytes: _Limit = MAX_ITEM_BYTES
    cuts: Literal["guess", "scan"] = "guess"

    def __post_init__(self) -> None:
        # A list is what one writes; a tuple is what a frozen value holds.
        if isinstance(self.columns, list):
            msgspec.structs.force_setattr(self, "columns", tuple(self.columns))


class JsonArray(msgspec.Struct, frozen=True, tag="json_array", omit_defaults=True):
    """Files that hold one JSON array each: a path, a glob or `s3://...`."""

    path: str
    compression: Compression = "auto"
    max_item_bytes: _Limit = MAX_ITEM_BYTES


class Parquet(msgspec.Struct, frozen=True, tag="parquet", omit_defaults=True):
    """Parquet files: a path, a glob or `s3://...`; `columns` limits what is read. Needs `rota[parquet]`."""

    path: str
    columns: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.columns, list):
            msgspec.structs.force_setattr(self, "columns", tuple(self.columns))


class Inventory(msgspec.Struct, frozen=True, tag="inventory", omit_defaults=True):
    """An S3 inventory in CSV, by `s3://.../manifest.json`: an item for each row (`Bucket`, `Key`, `Size`, ... as text).
    Needs `rota[aws]`. InvalidError for any other path."""

    path: str

    def __post_init__(self) -> None:
        check_options("source", self)
        bucket, _, key = self.path.removeprefix("s3://").partition("/")
        named = key == "manifest.json" or key.endswith("/manifest.json")
        if not self.path.startswith("s3://") or not bucket or not named or _MAGIC.search(key):
            raise InvalidError("source", self.path, "s3://bucket/.../manifest.json of an S3 inventory is")


class Generator(msgspec.Struct, frozen=True):
    """A function of no argument, or of `start`, `payload` or both, that returns an iterable of JSON values.
    InvalidError for what is no function."""

    make: Callable[..., Iterable[object]]

    def __post_init__(self) -> None:
        if not callable(self.make):
            raise InvalidError("source", self.make, "a function that returns an iterable is")


class Parts(msgspec.Struct, frozen=True, tag="parts", omit_defaults=True):
    """A directory or `s3://bucket/prefix/` that gets one part file a chunk. `columns` fixes those of CSV."""

    path: str
    format: ResultFormat = "jsonl"
    columns: tuple[str, ...] | None = None


class OneFile(msgspec.Struct, frozen=True, tag="one_file", omit_defaults=True):
    """One file with all results in the order of their items, put together at the end."""

    path: str
    format: Literal["jsonl", "csv"] = "jsonl"
    columns: tuple[str, ...] | None = None


class SqliteTable(msgspec.Struct, frozen=True, tag="sqlite_table", omit_defaults=True):
    """A table of an SQLite database; a result replaces the row with the same `key`. The table is made if missing."""

    path: str
    table: str
    key: str


class DynamoTable(msgspec.Struct, frozen=True, tag="dynamodb_table", omit_defaults=True):
    """A DynamoDB table that exists; a result replaces the item with the same key. key: names of the key's attributes;
    given, the table must have that key. Needs `rota[aws]`."""

    table: str
    key: str | tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The names, however they were given."""
        return (self.key,) if isinstance(self.key, str) else tuple(self.key)


class NoSink(msgspec.Struct, frozen=True, tag="none"):
    """Results are counted and not kept; what `sink=None` stands for."""


def check_options(face: Literal["source", "sink"], options: msgspec.Struct) -> None:
    """InvalidError for an option whose value is not of its type; making one of these values does not look, but for
    `Inventory`."""
    for option in msgspec.structs.fields(options):
        value = getattr(options, option.name)
        try:
            msgspec.convert(value, option.type)
        except msgspec.ValidationError as error:
            allowed = " or ".join(map(_phrase, get_args(option.type) if _is_union(option.type) else (option.type,)))
            raise InvalidError(f"{face}.{option.name}", value, f"{allowed} is") from error


def _is_union(kind: Any) -> bool:
    return NoneType in get_args(kind) or get_origin(kind) is UnionType


def _phrase(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    return _PHRASES[get_origin(kind) or kind]


FileSource = Jsonl | Csv | JsonArray | Parquet | Inventory
SinkOptions = Parts | OneFile | SqliteTable | DynamoTable | NoSink
