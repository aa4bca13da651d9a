"""Works on what one child execution of a map run was given: items, objects, or jobs of a redrive.

Items come with their place in the source, and those that follow one another are a chunk. Which number it will have in
the ledger is known only when all are there: Step Functions makes a batch smaller where its items are large. So its part
and its dead letters are named by its place, from `beside` on; the answer is its mark, which the end of the round puts
into the ledger. Until then what it adds up to is counted beside (`Ledger.tell`), for those who watch, and to see early
that too much has failed. A job of a redrive has a number, and is marked at once.

An item that fails is a dead letter and no failure of the child. A child fails if source or sink do not work. If its
function dies, the child goes on with a search for the item that kills (see `rota.aws.batch.search`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

import msgspec

from rota.aws.batch.benches import Bench, Benches
from rota.aws.batch.ledger import Headers, Ledger, find, row_of
from rota.aws.batch.map_known import Known, read_known
from rota.aws.batch.map_plan import BESIDE
from rota.aws.batch.search import Search
from rota.aws.batch.verdicts import judged
from rota.aws.batch_choice import overspent
from rota.aws.batch_cost import MEMORY
from rota.connectors.s3 import key_pattern
from rota.connectors.stored import open_stored_source
from rota.core.batch import BatchRun, filled
from rota.core.block import Block
from rota.core.chunk import Chunk, ChunkSize, Origin
from rota.core.completion import FailureCount, Mark
from rota.core.current import CURRENT, CurrentRun
from rota.core.errors import LastingSourceError, SourceError
from rota.core.ledger_tree import FAN_OUT, sums_of
from rota.ports.clock import Clock
from rota.ports.source import Source
from rota.processing.chunk_work import ChunkWork
from rota.processing.jobs import Job, Report
from rota.processing.marks import mark_of
from rota.service.batches import batch_key

log: logging.Logger = logging.getLogger("rota.batch")
_WHOLE = ChunkSize(bytes=1 << 53)
_LONGEST = 500
_LOOK_AGAIN = 5000


class GoesOnError(Exception):
    """The search is not through: ask again. Its name is known to the state machine."""


class Given(msgspec.Struct, frozen=True):
    """An item with its place in the source."""

    i: int
    v: Any


class Shared(msgspec.Struct, frozen=True):
    """What all batches of a round are told; see `Prepared`. together: items in a batch, at the most."""

    run: str
    revision: int
    round: str
    reader: str
    origin: Origin
    beside: int = BESIDE
    together: int = 1
    known: str = ""


class Batched(msgspec.Struct, frozen=True):
    """The input of a child execution. search: a function died on it. tries: how often one did since that is known."""

    items: list[Given] = msgspec.field(name="Items")
    shared: Shared = msgspec.field(name="BatchInput")
    search: bool = False
    tries: int = 0


class Answer(msgspec.Struct, frozen=True):
    """The output of a child execution. left: how many of its items were left as they are, since the batch run does not
    go on."""

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

    def size(self) -> int:
        return 0

    def plan(self, size: ChunkSize, after: Chunk | None = None) -> Iterator[Chunk]:
        """They are no more than a chunk."""
        del size, after
        return iter(())

    def read(self, chunk: Chunk) -> Iterator[Block]:
        places = range(chunk.start, chunk.end)
        yield Block(chunk.start, chunk.end, self._values, (), lambda: places)

    def release(self, chunks: Iterable[Chunk]) -> None:
        """Nothing was kept."""


def stretches(items: Iterable[Given], known: Known) -> Iterator[tuple[int, list[object]]]:
    """Items that follow one another and are not done, with the place of the first; cut where chunks are."""
    ordered = sorted(items, key=lambda one: one.i)
    for _, group in groupby(enumerate(ordered), lambda pair: pair[1].i - pair[0]):
        some = [one for _, one in group]
        first = some[0].i
        for low, high in known.left(first, first + len(some)):
            yield low, [one.v for one in some[low - first : high - first]]


class MapWorker:
    """benches: opens source, sink and task; their calls wait for the retries of items here. memory: MB of the
    function."""

    def __init__(self, ledger: Ledger, clock: Clock, benches: Benches, memory: int = MEMORY) -> None:
        self._ledger = ledger
        self._clock = clock
        self._benches = benches
        self._memory = memory
        self._headers = Headers(ledger, clock)
        self._known: tuple[str, str, Known] = ("", "", Known())
        self._looks: dict[str, tuple[int, bool]] = {}

    def handle(self, event: Mapping[str, Any], left: Callable[[], int]) -> dict[str, Any]:
        """Deal with a batch. left: milliseconds that the function may still take. GoesOnError if a search is not
        through, SourceError and StoreError if source or sink do not work."""
        batch = msgspec.convert(event, Batched)
        run = self._going(batch.shared)
        if run is None:
            return _encoded(Answer([], len(batch.items)))
        bench = self._benches.bench(run)
        token = CURRENT.set(CurrentRun(run.name, run.created, 1, _Signal()))
        try:
            work = _Work(self._ledger, run, bench, batch, self._what_is_known(bench, batch.shared), left)
            return _encoded(Answer([_short(mark) for mark in work.marks()]))
        finally:
            CURRENT.reset(token)

    def _going(self, shared: Shared) -> BatchRun | None:
        """The batch run if it goes on."""
        key = batch_key(shared.run)
        run = self._headers.get(key)
        if run is None or not _goes_on(run, shared):
            # It may have been redriven or resumed a moment ago.
            run = self._headers.fresh(key)
        if run is None or not _goes_on(run, shared) or not self._may_go_on(run):
            return None
        return run

    def _may_go_on(self, run: BatchRun) -> bool:
        """Look now and then whether too much has failed, or was spent, or it takes too long."""
        now, name = self._clock.now(), f"{run.id} {run.revision}"
        until, may = self._looks.get(name, (0, True))
        if until <= now:
            may = self._look(run, now)
            self._looks = {id: it for id, it in self._looks.items() if it[0] > now} | {name: (now + _LOOK_AGAIN, may)}
        return may

    def _look(self, run: BatchRun, now: int) -> bool:
        counted = find(self._ledger, run.key)
        if counted is None or judged(self._ledger, counted, counted.counts, now, complete=False) is not None:
            return False
        # Nothing is planned in a map, and all that it may do at a time is being done.
        why = overspent(
            msgspec.structs.replace(counted, planned=counted.done + run.spec.concurrency), now, self._memory
        )
        if why and self._ledger.hold(run.key, why):
            log.warning("%s: %s", run.id, why)
            return False
        return True

    def _what_is_known(self, bench: Bench, shared: Shared) -> Known:
        run, name, known = self._known
        if (run, name) != (shared.run, shared.known):
            known = read_known(bench.places.folder, shared.known)
            self._known = (shared.run, shared.known, known)
        return known


class _Work:
    """One batch of items."""

    def __init__(
        self, ledger: Ledger, run: BatchRun, bench: Bench, batch: Batched, known: Known, left: Callable[[], int]
    ) -> None:
        self._ledger = ledger
        self._run = run
        self._bench = bench
        self._batch = batch
        self._shared = batch.shared
        self._known = known
        self._left = left

    def marks(self) -> Iterator[Mark]:
        """What becomes of the items; the marks of those whose chunk has no number yet."""
        if self._shared.reader == "jobs":
            for one in self._batch.items:
                self._again(msgspec.convert(one.v, Job))
        elif self._shared.reader == "objects":
            for one in self._batch.items:
                yield from self._object(one)
        else:
            for first, values in stretches(self._batch.items, self._known):
                behind = first + len(values)
                number = self._shared.beside + first
                chunk = Chunk(number, self._shared.origin, first, behind, "items", first, len(values))
                yield self._told(self._done(_Items(first, values), Job(0, "whole", chunk, revision=self._run.revision)))

    def _object(self, one: Given) -> Iterator[Mark]:
        """One of many objects is a chunk, if the source means it."""
        run = self._run
        bucket = str(filled(run.spec.source, run.id)["path"]).removeprefix("s3://").partition("/")[0]
        uri = f"s3://{bucket}/{one.v['Key']}"
        if not means(run, uri):
            return
        before = self._known.object(uri)
        if before is not None:
            _check_unchanged(uri, before[1], one)
            return
        source = open_stored_source({**run.spec.source, "path": uri}, f"{run.place}/spool/{one.i}")
        for chunk in source.plan(_WHOLE):
            _check_unchanged(chunk.origin.uri, chunk.origin.fingerprint, one)
            numbered = msgspec.structs.replace(chunk, number=self._shared.beside + one.i)
            yield self._told(self._done(source, Job(0, "whole", numbered, revision=run.revision)))

    def _again(self, job: Job) -> None:
        row = row_of(self._ledger, self._run.key, job.chunk.number)
        before = None if row is None else row.mark
        if before is None:
            raise SourceError(f"chunk {job.chunk.number} of batch run {self._run.id} has no mark")
        if before.revision < job.revision:
            self._ledger.mark(self._run.key, [self._done(self._bench.source, job, before)])

    def _done(self, source: Source, job: Job, before: Mark | None = None) -> Mark:
        """The mark of a job once it is done."""
        spec = self._run.spec
        if spec.rate_limit is not None:
            # So that all children together keep to the rate limit.
            job = msgspec.structs.replace(job, pace=spec.concurrency / spec.rate_limit)
        places = self._bench.places.for_job(job.chunk, job.revision, job.round)
        work = ChunkWork(source, self._bench.sink, self._bench.calls, places)
        report: Report | None
        if self._batch.search:
            report = Search(work, places, job, self._left).go_on(self._batch.tries)
            if report is None:
                raise GoesOnError(f"the search in chunk {job.chunk.number} of batch run {self._run.id} goes on")
        else:
            report = work.do(job)
        return mark_of(job, report, before)

    def _told(self, mark: Mark) -> Mark:
        place = mark.chunk.number - self._shared.beside
        leaf, rest = divmod(place, FAN_OUT * self._shared.together)
        nth, within = divmod(rest, self._shared.together)
        # Short numbers for the usual places, so that a leaf takes one write unit.
        member = FAN_OUT + rest if within else nth
        sums = sums_of(mark.counts, mark.parts, mark.retries)
        self._ledger.tell(self._run.key, self._shared.round, leaf, member, sums)
        return mark


def _goes_on(run: BatchRun, shared: Shared) -> bool:
    return run.state in ("pending", "running") and run.wish == "run" and run.revision == shared.revision


def _check_unchanged(uri: str, fingerprint: str, listed: Given) -> None:
    if fingerprint.partition("@")[0].strip('"') != str(listed.v["Etag"]).strip('"'):
        raise LastingSourceError(f"source {uri!r} changed while the batch run read its list of objects")


def means(run: BatchRun, uri: str) -> bool:
    """Whether an object under the prefix is one that the source of a batch run names."""
    wanted = str(filled(run.spec.source, run.id)["path"])
    if uri.endswith("/"):
        return False
    return wanted.endswith("/") or key_pattern(wanted).fullmatch(uri) is not None


def _short(mark: Mark) -> Mark:
    """So that it is far from what Step Functions takes as an output."""
    failures = [FailureCount(one.signature, one.count, one.message[:_LONGEST]) for one in mark.failures]
    return msgspec.structs.replace(mark, failures=tuple(failures))


def _encoded(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(answer)
    return found
