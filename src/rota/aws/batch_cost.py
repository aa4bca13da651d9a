"""What a batch run uses of AWS in each topology: pure, and checked against the emulator's counts by the tests.

Per chunk, whatever the topology: its row in the ledger and its share of the tree (2.010 write units), of a page of
planned chunks and of what the end reads again; a request for its bytes and one for its part; the time of a function.
They differ in how a chunk gets to its function:

    queue     a FIFO queue: sent by tens, received and deleted one by one; the state of the batch run now and then
    map       an Express child of a Distributed Map, whose start is a transition; what it did is told at once, and its
              mark stored with a hundred others
    pipeline  a FIFO queue, a function that starts an Express workflow and waits for it, and two functions in that;
              results go from one to the other in the workflow's state, or by the bucket where they are large

What is not counted by requests is estimated: milliseconds of functions beside the task, log lines, sampled traces. What
a task itself asks of AWS, what lies in S3, and what a stack costs while nothing runs come in addition.
"""

from __future__ import annotations

from math import ceil
from typing import Literal, NamedTuple

import msgspec

from rota.aws.bill import Usage
from rota.aws.holding import PATIENCE, STARTER_PATIENCE, beats
from rota.core.batch import BatchRun, BatchSpec
from rota.core.estimate import Estimate, Range
from rota.core.ledger_tree import FAN_OUT

Way = Literal["queue", "map", "pipeline"]
WAYS: dict[Way, str] = {
    "queue": "SQS and Lambda",
    "map": "Step Functions Distributed Map",
    "pipeline": "SQS, Step Functions Express and Lambda",
}
SinkKind = Literal["none", "parts", "object", "table"]
MEMORY = 1024
"""MB of the functions that run tasks, unless the stack is told otherwise (`WorkerMemory`)."""
_ENGINE_MEMORY = 512

# DynamoDB, as the tests count it.
_ROW, _TREE, _TREE_BY_HUNDREDS = 1.0, 1.010, 0.03
_TOLD = 1.0
"""Of a chunk of a map, so that one can see how far it is."""
_PAGE_WRITES = 0.045
"""Of a page of 200 chunks, compressed, in a transaction with the batch run's totals."""
_PAGE_READS = 0.005
_FAILURES = 1.0
"""Of a chunk with failures: their signatures."""
_END_READS = 0.40
"""All rows are read three times at the end: do chunks meet, which parts, what goes into the manifest."""
_GLANCE, _LOOK = 1.0, 6.0
"""The state once a second, the totals each five, in every lane."""
_LOOK_SECONDS = 5.0
_FIXED = Usage(
    write_units=30,
    read_units=50,
    queue_requests=12,
    invocations=4,
    gb_seconds=2.0,
    object_writes=12,
    object_reads=20,
    log_gb=8e-6,
)
"""Of a batch run, however small: accepting, sealing, deciding, finishing; marker, manifest, receipt."""

# Lambda: milliseconds beside the task.
_CHUNK_MS, _PLAN_MS, _END_MS = 60.0, 3.0, 1.0
_START_MS, _WRITE_MS = 40.0, 40.0
_ITEM_MS = 0.01
"""Decoding an item and encoding its result."""
_LOG_BYTES = 1000.0
_SAMPLED = 0.05

# Step Functions.
_STATES = 6.0
"""Transitions of a map run, however large."""
_EXPRESS_MB = 64
LARGEST_INLINE = 100_000
"""Bytes that the message of a chunk and what the processor of a pipeline passes on take together, at most, in the state
of the workflow. The rest of its 256 KB is for what Step Functions adds: answers of functions, up to 32 KB of an
error."""
_COMPRESSED = 0.4
"""Of the bytes of results, as text in a state: rows of JSON become a third or a quarter."""

_SQS_TOGETHER = 10
_MESSAGE = 65_536
_MAP_BATCH = 256 * 1024
"""Bytes of items that a child of a Distributed Map is handed."""
_WRITTEN_TOGETHER = 1024
"""Bytes that one write unit of a table takes."""
_COPIED_TOGETHER = 5 << 20

KEY_WRITES = 1000.0
"""Units a second that a partition key takes."""
KEY_READS = 3000.0
NEW_TABLE = 4000.0
"""Write units a second that an on-demand table takes from its first day; later up to twice its highest before."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A batch run, in figures. seconds: that the task takes for an item. size, result: bytes of an item and of its
    result. failed: share of the items that become dead letters. put_off: share of the chunks with items whose next
    attempt is so far away that a message is sent for them. memory: MB of the functions that run tasks. sink: part
    files, one object, a table, or nothing."""

    items: float
    chunk_items: float = 1000.0
    seconds: float = 0.0
    size: float = 200.0
    result: float = 200.0
    failed: float = 0.0
    put_off: float = 0.0
    memory: int = MEMORY
    concurrency: int = 10
    sink: SinkKind = "parts"

    @property
    def chunks(self) -> float:
        return max(1.0, self.items / self.chunk_items) if self.items else 0.0

    @property
    def together(self) -> float:
        """Items that a chunk really has."""
        return min(self.items, self.chunk_items)

    @property
    def chunk_seconds(self) -> float:
        """That a function works on a chunk."""
        return _CHUNK_MS / 1000 + self.together * (self.seconds + _ITEM_MS / 1000)

    @property
    def troubled(self) -> float:
        """Share of the chunks in which an item fails for good."""
        return 1.0 - float((1.0 - min(1.0, self.failed)) ** self.together)


class Dollars(msgspec.Struct, frozen=True):
    """What a batch run costs in one topology, in dollars."""

    way: Way
    cost: Range


def usage(way: Way, work: Work) -> Usage:
    """What all of a batch run uses."""
    fixed = _FIXED
    if way == "map":
        work, fixed = _as_mapped(work), _FIXED + Usage(transitions=_STATES)
    each = {"queue": _queued, "map": _mapped, "pipeline": _piped}[way](work)
    return fixed + each.times(work.chunks)


def tracking(work: Work) -> Usage:
    """What of it the ledger alone uses: to know what is done, and when all of it is."""
    ledger = _marked(work) + Usage(write_units=_PAGE_WRITES, read_units=_PAGE_READS + _END_READS)
    return Usage(write_units=_FIXED.write_units, read_units=_FIXED.read_units) + ledger.times(work.chunks)


def _as_mapped(work: Work) -> Work:
    """A child is handed items, which may be fewer than a chunk has."""
    return msgspec.structs.replace(work, chunk_items=max(1.0, min(work.chunk_items, _MAP_BATCH // (work.size + 64))))


def _queued(work: Work) -> Usage:
    again = (_lane(_CHUNK_MS / 1000) + _ran(work, _CHUNK_MS / 1000) + _read_state(work)).times(work.put_off)
    again += Usage(queue_requests=3, object_writes=1, object_reads=1, read_units=1).times(work.put_off)
    ran = _lane(work.chunk_seconds) + _ran(work, work.chunk_seconds)
    return _cut() + ran + _worked(work) + _read_state(work) + _marked(work) + again


def _mapped(work: Work) -> Usage:
    by_hundreds = Usage(
        write_units=_TOLD + _ROW + _TREE_BY_HUNDREDS + _FAILURES * work.troubled + _PAGE_WRITES,
        read_units=_PAGE_READS + _END_READS,
        object_writes=work.troubled,
        gb_seconds=_END_MS / 1000 * MEMORY / 1024,
    )
    # The map reads the source, so the function does not.
    handed = _worked(work) + Usage(object_reads=-1)
    state = _read_state(work)
    child = Usage(transitions=1) + _express(work.chunk_seconds)
    return child + _ran(work, work.chunk_seconds) + handed + state + by_hundreds


def _express(seconds: float) -> Usage:
    """An execution, billed by started tenths of a second."""
    return Usage(express_requests=1, express_gb_seconds=ceil(10 * seconds) / 10 * _EXPRESS_MB / 1024)


def _piped(work: Work) -> Usage:
    seconds = work.chunk_seconds + (_WRITE_MS + _ITEM_MS * work.together) / 1000
    started = _ran(msgspec.structs.replace(work, memory=_ENGINE_MEMORY), seconds + _START_MS / 1000)
    written = _ran(work, (_WRITE_MS + _ITEM_MS * work.together) / 1000)
    # Two functions look at the state of the batch run, each once a second.
    looked = _read_state(work) + Usage(read_units=_GLANCE * min(1.0, seconds))
    done = _worked(work) + looked + _marked(work)
    return (
        _cut()
        + _lane(seconds, STARTER_PATIENCE)
        + started
        + _express(seconds)
        + _ran(work, work.chunk_seconds)
        + written
        + _passed(work)
        + done
    )


def _passed(work: Work) -> Usage:
    """Results that are too large for the state of a workflow."""
    size = work.together * (1 - work.failed) * work.result * _COMPRESSED
    large = work.sink != "none" and size > LARGEST_INLINE
    return Usage(object_writes=1, object_reads=1) if large else Usage()


def _cut() -> Usage:
    """Planned and sent; and at the end read again."""
    return Usage(
        write_units=_PAGE_WRITES,
        read_units=_PAGE_READS + _END_READS,
        object_reads=1,
        fifo_requests=1 / _SQS_TOGETHER,
        gb_seconds=(_PLAN_MS + _END_MS) / 1000 * MEMORY / 1024,
    )


def _lane(seconds: float, patience: float = PATIENCE) -> Usage:
    """A message of a lane, which a function has alone for so long: received, hidden meanwhile, and deleted."""
    return Usage(fifo_requests=2 + beats(seconds, patience))


def _ran(work: Work, seconds: float) -> Usage:
    """An invocation."""
    return Usage(invocations=1, gb_seconds=seconds * work.memory / 1024, log_gb=_LOG_BYTES / 1e9, traces=_SAMPLED)


def _worked(work: Work) -> Usage:
    """Read a chunk, and write its results and its dead letters."""
    read = Usage(object_reads=1, object_writes=work.troubled)
    results = work.together * (1 - work.failed)
    size = results * work.result
    match work.sink:
        case "parts":
            return read + Usage(object_writes=1)
        case "object":
            # The end puts parts together, those of 5 MB and more without reading them.
            if size >= _COPIED_TOGETHER:
                return read + Usage(object_writes=2)
            return read + Usage(object_writes=1 + size / _COPIED_TOGETHER, object_reads=1)
        case "table":
            return read + Usage(write_units=results * max(1, ceil(work.result / _WRITTEN_TOGETHER)))
    return read


def _read_state(work: Work) -> Usage:
    """Whether the batch run goes on. A lane works on one chunk after the other, so short ones share what was read."""
    seconds = work.chunk_seconds
    open_leaves = 1 + work.concurrency / 200
    look = (_LOOK + open_leaves) * min(1.0, seconds / _LOOK_SECONDS)
    return Usage(read_units=_GLANCE * min(1.0, seconds) + look)


def _marked(work: Work) -> Usage:
    return Usage(write_units=_ROW + _TREE + _FAILURES * work.troubled)


# from what is known of a batch run


def sink_kind(spec: BatchSpec) -> SinkKind:
    """Which kind of sink it has."""
    kind = str(spec.sink.get("type", "none"))
    if kind == "none":
        return "none"
    if "table" in kind:
        return "table"
    return "parts" if kind == "parts" else "object"


def costs(spec: BatchSpec, found: Estimate, source_bytes: float = 0.0, memory: int = MEMORY) -> list[Dollars]:
    """What a sample says that a batch run will cost in each topology, the cheapest first."""
    lanes = max(1, min(spec.concurrency, found.chunks))

    def work(which: Literal["low", "likely", "high"]) -> Work:
        items = max(1.0, getattr(found.items, which))
        return Work(
            items=items,
            chunk_items=items / max(1, found.chunks),
            seconds=getattr(found.seconds, which) * lanes / items,
            size=source_bytes / items if source_bytes else 200.0,
            result=getattr(found.size, which) / items,
            failed=min(1.0, getattr(found.failed, which) / items),
            memory=memory,
            concurrency=spec.concurrency,
            sink=sink_kind(spec),
        )

    low, likely, high = work("low"), work("likely"), work("high")
    made = [
        Dollars(way, Range(usage(way, low).dollars, usage(way, likely).dollars, usage(way, high).dollars))
        for way in WAYS
    ]
    return sorted(made, key=lambda one: one.cost.likely)


def spent(way: Way, run: BatchRun, now: int, memory: int = MEMORY) -> float:
    """Dollars that a batch run has used by its counts. How long functions ran is not stored anywhere, so they are taken
    to have run all the time since it started: it is more than this rarely, and often less."""
    if run.started is None or not run.done:
        return 0.0
    items = max(1, run.counts.items)
    busy = (now - run.started) / 1000 * min(run.spec.concurrency, max(1, run.planned))
    work = Work(
        items=items,
        chunk_items=items / run.done,
        seconds=busy / items,
        result=run.result_bytes / items,
        failed=run.counts.failed / items,
        memory=memory,
        concurrency=run.spec.concurrency,
        sink=sink_kind(run.spec),
    )
    return usage(way, work).dollars


class Rates(NamedTuple):
    """Units a second at their highest. table_writes: of the whole table. key_writes: of the partition key that is
    written most, a leaf's. header_reads: of the partition in which the states of batch runs are."""

    table_writes: float
    key_writes: float
    header_reads: float

    @property
    def fit(self) -> bool:
        """Whether DynamoDB takes that from the first second on, of a table that was never busier."""
        return self.table_writes <= NEW_TABLE and self.key_writes <= KEY_WRITES and self.header_reads <= KEY_READS


def rates(concurrency: int, chunk_seconds: float) -> Rates:
    """What a batch run asks of DynamoDB. Chunks are given out in order, so no more than the 200 of a leaf, and no more
    than there are lanes, are marked in it at the same time."""
    chunks = concurrency / chunk_seconds
    return Rates(
        table_writes=chunks * (_ROW + _TREE + _PAGE_WRITES),
        key_writes=min(concurrency, FAN_OUT) / chunk_seconds,
        header_reads=concurrency * _GLANCE * min(1.0, 1 / chunk_seconds),
    )
