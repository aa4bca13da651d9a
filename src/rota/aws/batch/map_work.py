"""Works on what one child execution of a map run was given: items, objects, or jobs of a redrive.

Items come with their place in the source, and those that follow one another are a chunk. Which number it will have in
the ledger is known only when all are there: Step Functions makes a batch smaller where its items are large. So its part
and its dead letters are named by its place, from `BESIDE` on; the answer is its mark, which the end of the map run puts
into the ledger.

An item that fails is a dead letter and no failure of the child. A child fails if source or sink do not work, or if its
function dies; then all of its items count as failed (see `map_finish`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

import msgspec

from rota.aws.batch.benches import Bench, Benches
from rota.aws.batch.ledger import Headers, Ledger, row_of
from rota.aws.batch_choice import overspent
from rota.aws.batch_cost import MEMORY
from rota.connectors.s3 import key_pattern
from rota.connectors.stored import open_stored_source
from rota.core.batch import BatchRun, filled
from rota.core.block import Block
from rota.core.chunk import Chunk, ChunkSize, Origin
from rota.core.completion import FailureCount, Mark, verdict
from rota.core.current import CURRENT, CurrentRun
from rota.core.errors import SourceError
from rota.core.receipt import Counts
from rota.ports.clock import Clock
from rota.processing.chunk_work import ChunkWork
from rota.processing.jobs import Job
from rota.processing.marks import mark_of
from rota.service.batches import batch_key

BESIDE = 1_000_000_000
"""From here on are numbers of chunks that are not in the ledger yet."""
_WHOLE = ChunkSize(bytes=1 << 62)
_LONGEST = 500


class PausedError(Exception):
    """The batch run is paused: ask again later. Its name is known to the state machine."""


class Given(msgspec.Struct, frozen=True):
    """An item with its place in the source."""

    i: int
    v: Any


class Shared(msgspec.Struct, frozen=True):
    """What all batches of a map run are told."""

    run: str
    revision: int
    reader: str
    origin: Origin


class Batched(msgspec.Struct, frozen=True):
    """The input of a child execution."""

    items: list[Given] = msgspec.field(name="Items")
    shared: Shared = msgspec.field(name="BatchInput")


class Answer(msgspec.Struct, frozen=True):
    """The output of a child execution. left: how many of its items were left out, since the batch run had ended."""

    marks: list[Mark]
    left: int = 0


class _Signal:
    """A function that is to stop is ended, so a task in it is never asked to."""

    cancel = False


class _Items:
    """The source of items that are there already."""

    def __init__(self, first: int, values: list[object]) -> None:
        self._first = first
        self._values = values

    def check(self) -> None:
        """Nothing can be wrong with them."""

    def plan(self, size: ChunkSize, after: Chunk | None = None) -> Iterator[Chunk]:
        """They are no more than a chunk."""
        del size, after
        return iter(())

    def read(self, chunk: Chunk) -> Iterator[Block]:
        places = range(chunk.start, chunk.end)
        yield Block(chunk.start, chunk.end, self._values, (), lambda: places)

    def release(self, chunks: Iterable[Chunk]) -> None:
        """Nothing was kept."""


def stretches(items: Iterable[Given]) -> Iterator[tuple[int, list[object]]]:
    """Items that follow one another, with the place of the first."""
    ordered = sorted(items, key=lambda one: one.i)
    for _, group in groupby(enumerate(ordered), lambda pair: pair[1].i - pair[0]):
        some = [one for _, one in group]
        yield some[0].i, [one.v for one in some]


class MapWorker:
    """benches: opens source, sink and task; their calls wait for the retries of items here. memory: MB of the
    function."""

    def __init__(self, ledger: Ledger, clock: Clock, benches: Benches, memory: int = MEMORY) -> None:
        self._ledger = ledger
        self._clock = clock
        self._benches = benches
        self._memory = memory
        self._headers = Headers(ledger, clock)

    def handle(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Deal with a batch. PausedError if the batch run is paused, SourceError and StoreError if source or sink do
        not work."""
        batch = msgspec.convert(event, Batched)
        run = self._going(batch.shared)
        if run is None:
            return _encoded(Answer([], len(batch.items)))
        self._check_spending(run, batch)
        bench = self._benches.bench(run)
        token = CURRENT.set(CurrentRun(run.name, run.created, 1, _Signal()))
        try:
            return _encoded(Answer([_short(mark) for mark in self._marks(run, bench, batch)]))
        finally:
            CURRENT.reset(token)

    def _going(self, shared: Shared) -> BatchRun | None:
        """The batch run if it goes on."""
        key = batch_key(shared.run)
        run = self._headers.get(key)
        if run is None or not _goes_on(run, shared):
            # It may have been redriven a moment ago.
            run = self._headers.fresh(key)
        if run is None or not _goes_on(run, shared):
            return None
        found = verdict(run, run.counts, self._clock.now(), complete=False)
        if found is not None:
            self._ledger.decide(run.key, found)
            return None
        if run.wish == "pause":
            raise PausedError(f"batch run {run.id} is paused")
        return run

    def _check_spending(self, run: BatchRun, batch: Batched) -> None:
        """PausedError if more than `max_cost` is spent. Nothing is marked before the end; but children begin in the
        order of the source, so the place of this one tells how far it is."""
        if run.spec.max_cost is None:
            return
        behind, lanes = batch.items[-1].i + 1, run.spec.concurrency
        done = max(1, behind // len(batch.items))
        counted = msgspec.structs.replace(run, planned=max(done, lanes), done=done, counts=Counts(behind, behind))
        why = overspent(counted, self._clock.now(), self._memory)
        if why and self._ledger.hold(run.key, why):
            raise PausedError(why)

    def _marks(self, run: BatchRun, bench: Bench, batch: Batched) -> Iterator[Mark]:
        if batch.shared.reader == "jobs":
            for one in batch.items:
                yield self._again(run, bench, msgspec.convert(one.v, Job))
        elif batch.shared.reader == "objects":
            for one in batch.items:
                yield from self._object(run, bench, one)
        else:
            for first, values in stretches(batch.items):
                behind = first + len(values)
                chunk = Chunk(BESIDE + first, batch.shared.origin, first, behind, "items", first, len(values))
                job = _job(run, chunk)
                report = ChunkWork(_Items(first, values), bench.sink, bench.calls, bench.places).do(job)
                yield mark_of(job, report, None)

    def _object(self, run: BatchRun, bench: Bench, one: Given) -> Iterator[Mark]:
        """One of many objects is a chunk, if the source means it."""
        bucket = str(filled(run.spec.source, run.id)["path"]).removeprefix("s3://").partition("/")[0]
        if not means(run, f"s3://{bucket}/{one.v['Key']}"):
            return
        options = {**run.spec.source, "path": f"s3://{bucket}/{one.v['Key']}"}
        source = open_stored_source(options, f"{run.place}/spool/{one.i}")
        for chunk in source.plan(_WHOLE):
            if chunk.origin.fingerprint.partition("@")[0].strip('"') != str(one.v["Etag"]).strip('"'):
                raise SourceError(f"source {chunk.origin.uri!r} changed while the batch run read its list of objects")
            job = _job(run, msgspec.structs.replace(chunk, number=BESIDE + one.i))
            yield mark_of(job, ChunkWork(source, bench.sink, bench.calls, bench.places).do(job), None)

    def _again(self, run: BatchRun, bench: Bench, job: Job) -> Mark:
        row = row_of(self._ledger, run.key, job.chunk.number)
        before = None if row is None else row.mark
        if before is None:
            raise SourceError(f"chunk {job.chunk.number} of batch run {run.id} has no mark")
        report = ChunkWork(bench.source, bench.sink, bench.calls, bench.places).do(_paced(run, job))
        return mark_of(job, report, before)


def _goes_on(run: BatchRun, shared: Shared) -> bool:
    return run.state in ("pending", "running") and run.revision == shared.revision


def means(run: BatchRun, uri: str) -> bool:
    """Whether an object under the prefix is one that the source of a batch run names."""
    wanted = str(filled(run.spec.source, run.id)["path"])
    if uri.endswith("/"):
        return False
    return wanted.endswith("/") or key_pattern(wanted).fullmatch(uri) is not None


def _job(run: BatchRun, chunk: Chunk) -> Job:
    return _paced(run, Job(0, "whole", chunk, revision=run.revision))


def _paced(run: BatchRun, job: Job) -> Job:
    """So that all children together keep to the rate limit."""
    if run.spec.rate_limit is None:
        return job
    return msgspec.structs.replace(job, pace=run.spec.concurrency / run.spec.rate_limit)


def _short(mark: Mark) -> Mark:
    """So that it is far from what Step Functions takes as an output."""
    failures = [FailureCount(one.signature, one.count, one.message[:_LONGEST]) for one in mark.failures]
    return msgspec.structs.replace(mark, failures=tuple(failures))


def _encoded(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(answer)
    return found
