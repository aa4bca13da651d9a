"""What goes between the states of the machine of the topology `map`, and which sources it can read.

Whatever can be known is checked before a batch run is accepted: what Step Functions cannot read is refused, with the
proposal to use the topology `queue`, which reads everything.
"""

from __future__ import annotations

from typing import Any, Literal

import boto3
import msgspec

from rota.aws.batch.map_machine import MOST_INPUT, Reader
from rota.connectors.inventory import InventorySource
from rota.connectors.json_array import ArrayCutter
from rota.connectors.s3 import S3Objects, split_uri
from rota.connectors.stored import GENERATOR, INVENTORY, is_spooled
from rota.core.batch import BatchRun, BatchSpec, filled
from rota.core.chunk import ChunkSize, Origin
from rota.core.errors import InvalidError

LARGEST_FILE = 10 * 1024**3
"""Bytes of a file that Distributed Map reads."""
LARGEST_OBJECT = 256 * 1024**2
"""Bytes of one of many objects, each of which is one chunk of one function."""
LONGEST_HEADER = 10 * 1024
"""Bytes of the header of a CSV file."""
MOST_ITEMS = 10_000
"""Items in a batch where only its bytes are given."""
SAMPLE = 1024 * 1024
_WRAPPED = 64
"""Bytes by which an item grows in the batch that it travels in."""
_UNLIMITED = 1_000_000_000
_MAGIC = "*?["
EARLY = "a map run that ended early cannot be taken up again: start a new batch run, or use the topology queue"
_QUEUE = 'or give topology="queue", which reads everything'
_FORMS: dict[str, Reader] = {"json_array": "json", "jsonl": "lines", "csv": "csv", "parquet": "parquet"}


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What the map is told. reader: which map, or nothing if there is nothing to do. origin: the pinned object, or of
    many the prefix. tolerated_percent, tolerated_count: of whole batches that fail, as Step Functions counts them."""

    run: str
    revision: int
    reader: Reader | Literal["none"]
    bucket: str = ""
    key: str = ""
    origin: Origin = Origin("")
    batch_items: int = 1
    batch_bytes: int = MOST_INPUT
    concurrency: int = 10
    tolerated_percent: float = 100
    tolerated_count: int = _UNLIMITED
    results_bucket: str = ""
    results_prefix: str = ""
    error: str = ""


def reader_of(spec: BatchSpec) -> Reader:
    """The map that reads the source. InvalidError if there is none."""
    options = spec.source
    path, form = str(options.get("path", "")), str(options.get("type", ""))
    if form == GENERATOR or not path.startswith("s3://"):
        raise InvalidError("source", path or form, f's3://bucket/key or a prefix for topology="map"; {_QUEUE}')
    if form == INVENTORY:
        return "inventory"
    _, key = split_uri(path)
    if not key or key.endswith("/") or any(sign in key for sign in _MAGIC):
        return "objects"
    if is_spooled(options):
        raise InvalidError("source", path, f'a file that is not compressed for topology="map"; {_QUEUE}')
    if form == "csv":
        _check_csv(options, path)
    if form == "parquet" and options.get("columns") is not None:
        raise InvalidError("source", path, f'all columns of a Parquet file for topology="map"; {_QUEUE}')
    return _FORMS[form]


def _check_csv(options: dict[str, Any], path: str) -> None:
    usual = {"delimiter": ",", "quote": '"', "encoding": "utf-8", "columns": None, "header": None}
    for name, value in usual.items():
        if options.get(name, value) != value:
            allowed = f"a CSV file in UTF-8 with commas, double quotes and a header row; {_QUEUE}"
            raise InvalidError(f"source.{name}", options[name], f'{allowed} (of {path}, for topology="map")')


def check_map(spec: BatchSpec, run_id: str = "", client: Any = None) -> None:
    """What can be known before a batch run is accepted. InvalidError for what Distributed Map does not do, SourceError
    for what is not there or may not be read."""
    reader = reader_of(spec)
    path = str(filled(spec.source, run_id)["path"])
    client = client or boto3.client("s3")
    if reader == "inventory":
        InventorySource(path, client=client).check()
    objects = S3Objects(path, client)
    for origin in objects.find():
        _check_size(origin, LARGEST_OBJECT if reader == "objects" else LARGEST_FILE, reader)
        if reader != "objects":
            _check_sample(reader, origin, objects.read(origin, 0, min(SAMPLE, origin.size)))


def _check_size(origin: Origin, most: int, reader: Reader) -> None:
    if origin.size > most:
        kind = "one of many objects" if reader == "objects" else "a file"
        allowed = f'{kind} of at most {most:,} bytes for topology="map", not {origin.size:,}; {_QUEUE}'
        raise InvalidError("source", origin.uri, allowed)


def _check_sample(reader: Reader, origin: Origin, text: bytes) -> None:
    """What the beginning of a file tells of the rest."""
    if reader == "csv" and len(text.split(b"\n", 1)[0]) > LONGEST_HEADER:
        raise InvalidError("source", origin.uri, f'a header of at most {LONGEST_HEADER:,} bytes for "map"; {_QUEUE}')
    longest = 0
    if reader in ("lines", "csv"):
        longest = max(map(len, text.split(b"\n")))
    if reader == "json":
        cutter = ArrayCutter(ChunkSize(items=1), 0, origin.uri, LARGEST_OBJECT)
        at = 0
        for cut in cutter.feed(text):
            longest, at = max(longest, cut.end - at), cut.end
        longest = max(longest, len(text) - at)
    if longest + _WRAPPED > MOST_INPUT:
        allowed = f'items of less than {MOST_INPUT:,} bytes for topology="map", not {longest:,}; {_QUEUE}'
        raise InvalidError("source", origin.uri, allowed)


def prepared(run: BatchRun, client: Any = None) -> Prepared:
    """What the first map of a batch run is told; its source is pinned here. SourceError, InvalidError."""
    spec = run.spec
    reader = reader_of(spec)
    path = str(filled(spec.source, run.id)["path"])
    bucket, key = split_uri(path)
    if reader == "objects":
        key = key[: min((key.index(sign) for sign in _MAGIC if sign in key), default=len(key))]
        origin = Origin(path)
    else:
        [origin] = S3Objects(path, client or boto3.client("s3")).find()
    percent = spec.tolerated.percent
    return msgspec.structs.replace(
        nothing(run),
        reader=reader,
        bucket=bucket,
        key=key,
        origin=origin,
        batch_items=1 if reader == "objects" else min(spec.size.items or MOST_ITEMS, _UNLIMITED),
        batch_bytes=min(spec.size.bytes or MOST_INPUT, MOST_INPUT),
        tolerated_percent=100 if percent is None else percent,
        tolerated_count=spec.tolerated.count if percent is None else _UNLIMITED,
    )


def nothing(run: BatchRun, error: str = "") -> Prepared:
    """That there is nothing to map. error: why not."""
    bucket, prefix = split_uri(run.place)
    return Prepared(
        run=run.id,
        revision=run.revision,
        reader="none",
        concurrency=run.spec.concurrency,
        results_bucket=bucket,
        results_prefix=f"{prefix.rstrip('/')}/map/r{run.revision}",
        error=error,
    )


def changed(origin: Origin, client: Any = None) -> bool:
    """Whether the object is another one than was pinned. SourceError if it is gone."""
    [now] = S3Objects(origin.uri, client or boto3.client("s3")).find()
    return now.fingerprint != origin.fingerprint
