"""From what a user writes to a source or a sink.

Connectors that need an optional library are imported by name when they are asked for: `import rota` must not cost the
load of pyarrow or boto3, and whoever has neither must not miss them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

from rota.connectors.counting import CountingSink
from rota.connectors.csv import CsvFormat
from rota.connectors.files import LocalFiles
from rota.connectors.folder import Folder, LocalFolder
from rota.connectors.generator import GeneratorSource
from rota.connectors.json_array import JsonArrayFormat
from rota.connectors.jsonl import JsonLinesFormat
from rota.connectors.one_file import OneFileSink
from rota.connectors.options import (
    Csv,
    DynamoTable,
    FileSource,
    Generator,
    Inventory,
    JsonArray,
    Jsonl,
    NoSink,
    OneFile,
    Parquet,
    Parts,
    SinkOptions,
    SqliteTable,
    check_options,
)
from rota.connectors.part_files import PartFilesSink
from rota.connectors.place import Place
from rota.connectors.sqlite_table import SqliteTableSink
from rota.connectors.text import TextFormat, TextSource
from rota.core.errors import InvalidError
from rota.ports.sink import Sink
from rota.ports.source import Source

SourceText = str | FileSource | Generator | Callable[..., Iterable[object]]
SinkText = str | SinkOptions | None

_EXTRAS = {"rota.connectors.parquet": ("parquet", "pyarrow"), "rota.connectors.s3": ("aws", "boto3")}
_EXTRAS |= dict.fromkeys(
    (
        "rota.connectors.s3_parts",
        "rota.connectors.s3_file",
        "rota.connectors.s3_folder",
        "rota.connectors.dynamodb_table",
        "rota.connectors.inventory",
    ),
    ("aws", "boto3"),
)
_SUFFIXES: dict[str, type[Jsonl | Csv | JsonArray | Parquet]] = {
    ".jsonl": Jsonl,
    ".ndjson": Jsonl,
    ".csv": Csv,
    ".json": JsonArray,
    ".parquet": Parquet,
}
_PACKED = (".gz", ".gzip", ".zst", ".zstd")


def load_connector(module: str, name: str, field: str, value: object) -> Any:
    """What a connector's module calls `name`; InvalidError for `field` if the library that it needs is missing."""
    extra, library = _EXTRAS[module]
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise InvalidError(field, value, f"it needs {library}, which `pip install 'rota[{extra}]'` brings") from error


def source_options(source: SourceText) -> FileSource | Generator:
    """The options that a path's suffix or a function stands for; InvalidError if it tells no format."""
    if isinstance(source, str):
        bare = source
        for packed in _PACKED:
            bare = bare.removesuffix(packed)
        for suffix, kind in _SUFFIXES.items():
            if bare.endswith(suffix):
                if kind is Csv and bare.endswith(".csv"):
                    return Csv(source)
                return kind(source)
        if bare.endswith(".tsv"):
            return Csv(source, delimiter="\t")
        allowed = (
            "a path or glob that ends in .jsonl, .ndjson, .csv, .tsv, .json or .parquet (text also .gz or .zst) is; "
        )
        raise InvalidError("source", source, allowed + "for another name use rota.Jsonl(...), rota.Csv(...), ...")
    if isinstance(source, (Jsonl, Csv, JsonArray, Parquet, Inventory)):
        check_options("source", source)
        return source
    if isinstance(source, Generator):
        return source
    if callable(source):
        return Generator(source)
    raise InvalidError("source", source, "a path, a generator function or an object such as rota.Csv(...) is")


def open_source(source: SourceText, spool: str | Path | None = None, seekers: int = 1) -> Source:
    """The source to plan and to read.

    `spool` is the directory of the batch run, or its `s3://` prefix, in which the list of its files, and chunks of
    streams and generators are kept; planner and workers give the same one. `seekers` cuts are looked for at the same
    time. Nothing is read yet: call `check` for that.
    """
    options = source_options(source)
    folder = None if spool is None else open_folder(spool)
    if isinstance(options, Generator):
        return GeneratorSource(options, folder)
    if isinstance(options, Inventory):
        opened = load_connector("rota.connectors.inventory", "InventorySource", "source", options.path)
        return cast(Source, opened(options.path, folder))
    place = open_place(options.path)
    if isinstance(options, Parquet):
        make = load_connector("rota.connectors.parquet", "ParquetSource", "source", options.path)
        return cast(Source, make(place, options.columns, folder))
    form: TextFormat
    if isinstance(options, Csv):
        form = CsvFormat(options)
    elif isinstance(options, JsonArray):
        form = JsonArrayFormat(options)
    else:
        form = JsonLinesFormat(options)
    return TextSource(place, form, options.compression, folder, seekers)


def open_folder(place: str | Path) -> Folder:
    """The folder at a path of this machine or at `s3://bucket/prefix`."""
    if isinstance(place, str) and place.startswith("s3://"):
        return cast(Folder, load_connector("rota.connectors.s3_folder", "S3Folder", "directory", place)(place))
    return LocalFolder(Path(place))


def open_place(path: str) -> Place:
    """Where the files of a source lie: local files, or S3."""
    if not path.startswith("s3://"):
        return LocalFiles(path)
    return cast(Place, load_connector("rota.connectors.s3", "S3Objects", "source", path)(path))


def sink_options(sink: SinkText) -> SinkOptions:
    """The options that a path stands for: a directory gets part files, a name with a suffix is one file. None: results
    are not kept."""
    if sink is None:
        return NoSink()
    if not isinstance(sink, str):
        if isinstance(sink, (Parts, OneFile, SqliteTable, DynamoTable, NoSink)):
            check_options("sink", sink)
            return sink
        raise InvalidError("sink", sink, "a path or an object such as rota.Parts(...) is")
    if sink.endswith((".jsonl", ".ndjson")):
        return OneFile(sink)
    if sink.endswith(".csv"):
        return OneFile(sink, "csv")
    if sink.endswith("/"):
        return Parts(sink)
    allowed = "a directory that ends in / (part files) or a name that ends in .jsonl or .csv (one file) is; "
    raise InvalidError(
        "sink", sink, allowed + "for the rest there are rota.Parts, rota.OneFile, rota.SqliteTable, rota.DynamoTable"
    )


def open_sink(sink: SinkText) -> Sink:
    """The sink to prepare, write and finish."""
    options = sink_options(sink)
    if isinstance(options, NoSink):
        return CountingSink()
    if isinstance(options, SqliteTable):
        return SqliteTableSink(options)
    if isinstance(options, DynamoTable):
        return cast(
            Sink, load_connector("rota.connectors.dynamodb_table", "DynamoTableSink", "sink", options.table)(options)
        )
    if options.path.startswith("s3://"):
        if isinstance(options, OneFile):
            return cast(Sink, load_connector("rota.connectors.s3_file", "S3FileSink", "sink", options.path)(options))
        return cast(Sink, load_connector("rota.connectors.s3_parts", "S3PartsSink", "sink", options.path)(options))
    return OneFileSink(options) if isinstance(options, OneFile) else PartFilesSink(options)
