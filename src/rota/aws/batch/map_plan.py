"""What goes between the states of the machine of the topology `map`, and which sources it can read.

Whatever can be known is checked before a batch run is accepted: what Step Functions cannot read is refused, with the
proposal to use the topology `queue`, which reads everything.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from rota.aws.batch.map_machine import MOST_INPUT, Kind, Reader, state_of
from rota.connectors.aws_clients import aws_client
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
BESIDE = 1_000_000_000
"""From here on are numbers of chunks that are not in the ledger yet."""
MOST_ITEMS = 10_000
"""Items in a batch where only its bytes are given."""
SAMPLE = 1024 * 1024
_WRAPPED = 64
"""Bytes by which an item grows in the batch that it travels in."""
_UNLIMITED = 1_000_000_000
_MAGIC = "*?["
MOST_ROUNDS = 100
"""Of an execution."""
_QUEUE = 'or give topology="queue", which reads everything'
_FORMS: dict[str, Reader] = {"json_array": "json", "jsonl": "lines", "csv": "csv", "parquet": "parquet"}


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What a round of the map is told.

    each: the state that maps; "" if there is nothing to do. revision, turn, nth: which round it is: of which redrive,
    of which execution (another begins when a paused batch run is resumed), and the how manieth in that. beside: from
    here on are numbers of chunks that are not in the ledger yet. known: the file that says what the rounds before have
    done, or "". kind: of its children. origin: the pinned object, or of many the prefix. tolerated_percent,
    tolerated_count: of whole batches that fail, as Step Functions counts them. next: the state that follows."""

    run: str
    revision: int
    turn: int = 0
    nth: int = 0
    each: str = ""
    reader: Reader | Literal["none"] = "none"
    kind: Kind = "STANDARD"
    bucket: str = ""
    key: str = ""
    origin: Origin = Origin("")
    beside: int = BESIDE
    known: str = ""
    batch_items: int = 1
    batch_bytes: int = MOST_INPUT
    concurrency: int = 10
    tolerated_percent: float = 100
    tolerated_count: int = _UNLIMITED
    results_bucket: str = ""
    results_prefix: str = ""
    error: str = ""
    round: str = ""
    next: str = "read"


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
    client = client or aws_client("s3", "source", path)
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
        for _ in cutter.finish() if len(text) >= origin.size else ():
            pass
    if longest + _WRAPPED > MOST_INPUT:
        allowed = f'items of less than {MOST_INPUT:,} bytes for topology="map", not {longest:,}; {_QUEUE}'
        raise InvalidError("source", origin.uri, allowed)


def prepared(run: BatchRun, turn: int, nth: int, kind: Kind, client: Any = None) -> Prepared:
    """A round over the source, which is pinned here. SourceError, InvalidError."""
    spec = run.spec
    reader = reader_of(spec)
    path = str(filled(spec.source, run.id)["path"])
    bucket, key = split_uri(path)
    if reader == "objects":
        key = key[: min((key.index(sign) for sign in _MAGIC if sign in key), default=len(key))]
        origin = Origin(path)
    else:
        [origin] = S3Objects(path, client).find()
    percent = spec.tolerated.percent
    return msgspec.structs.replace(
        nothing(run, turn, nth),
        each=state_of(reader, kind),
        reader=reader,
        kind=kind,
        bucket=bucket,
        key=key,
        origin=origin,
        # Another list of objects gives a place to another object, whose files must be others too.
        beside=BESIDE * (1 + turn * MOST_ROUNDS + nth) if reader == "objects" else BESIDE,
        batch_items=1 if reader == "objects" else min(spec.size.items or MOST_ITEMS, _UNLIMITED),
        batch_bytes=min(spec.size.bytes or MOST_INPUT, MOST_INPUT),
        tolerated_percent=100 if percent is None else percent,
        tolerated_count=spec.tolerated.count if percent is None else _UNLIMITED,
    )


def nothing(run: BatchRun, turn: int, nth: int = 0, error: str = "") -> Prepared:
    """That there is nothing to map. error: why not."""
    bucket, prefix = split_uri(run.place)
    name = f"{run.revision}.{turn}.{nth}"
    return Prepared(
        run=run.id,
        revision=run.revision,
        turn=turn,
        nth=nth,
        concurrency=run.spec.concurrency,
        results_bucket=bucket,
        results_prefix=f"{prefix.rstrip('/')}/map/r{name}",
        error=error,
        round=name,
    )


def about(reader: str, origin: Origin, client: Any = None) -> int:
    """How many items there are, as the first of them let expect; 0 if they tell nothing."""
    if reader not in ("json", "lines", "csv") or not origin.size:
        return 0
    text = S3Objects(origin.uri, client).read(origin, 0, min(SAMPLE, origin.size))
    if reader == "json":
        ends = [cut.end for cut in ArrayCutter(ChunkSize(items=1), 0, origin.uri, LARGEST_OBJECT).feed(text)]
        items, behind = len(ends), ends[-1] if ends else 0
    else:
        items, behind = text.count(b"\n"), text.rfind(b"\n") + 1
    return max(0, round(items * origin.size / behind) - (reader == "csv")) if behind else 0


def changed(origin: Origin, client: Any = None) -> bool:
    """Whether the object is another one than was pinned. SourceError if it is gone."""
    [now] = S3Objects(origin.uri, client).find()
    return now.fingerprint != origin.fingerprint
