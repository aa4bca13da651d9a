"""The beginning and the end of a map run.

At the beginning the source is pinned, or of a redrive the jobs are written: one for each chunk with dead letters that
are to be attempted again. At the end, what the children answered becomes the ledger, in the order of the source; from
there on the batch run ends as every other does, by the finalizer, which also says what the state machine is told.

The end may take several invocations. Every step of it gives the same when it is done again, so the next one begins
anew, but for the marks that the one before says are in the ledger.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from typing import Any, TypeVar

import msgspec

from rota.aws.batch.benches import places_of
from rota.aws.batch.finalizer import Finalizer
from rota.aws.batch.ledger import Ledger, find, row_of
from rota.aws.batch.map_plan import EARLY, Prepared, changed, check_map, nothing, prepared
from rota.aws.batch.map_results import Failed, Results
from rota.aws.batch.map_work import BESIDE, stretches
from rota.aws.batch.messages import FinishMessage, encode_batch_message
from rota.aws.batch.places import S3Places
from rota.connectors.s3 import split_uri
from rota.core.batch import BatchRun
from rota.core.chunk import Chunk, Extent, Origin
from rota.core.completion import ChunkRow, DeadItem, Mark, Verdict, count_failures
from rota.core.errors import NotFoundError, RotaError, SourceError, StoreError
from rota.core.receipt import Counts
from rota.ports.clock import Clock
from rota.processing.ending import rows
from rota.processing.jobs import Job, Redo
from rota.service.batches import batch_key

log: logging.Logger = logging.getLogger("rota.batch")
RESERVE = 30_000
"""Milliseconds of a function's time that are left when the next one takes over."""
_PAGE = 1000
_MARKS = 100
_THREADS = 16
T = TypeVar("T")
_job_line = msgspec.json.Encoder().encode


class Problem(msgspec.Struct, frozen=True):
    """What Step Functions says of a state that failed."""

    Error: str = "States.TaskFailed"
    Cause: str = ""

    def __str__(self) -> str:
        return f"{self.Error}: {self.Cause}" if self.Cause else self.Error


class Ended(Prepared, frozen=True, kw_only=True):
    """What the end is told. marked: how many marks the invocation before has stored."""

    problem: Problem | None = None
    marked: int = 0


class Told(msgspec.Struct, frozen=True):
    """What the state machine is told of the end, and by it the queue for failures."""

    batch: str
    batch_run: str
    outcome: str
    error: str
    items: int
    succeeded: int
    failed: int
    skipped: int
    receipt: str
    again: bool = False


class _Account(msgspec.Struct):
    """What children came to, by their place. whole: nothing is missing."""

    chunks: dict[int, Chunk] = {}
    open: list[Chunk] = []
    whole: bool = True


class MapEnds:
    """finalizer: ends batch runs."""

    def __init__(self, ledger: Ledger, clock: Clock, finalizer: Finalizer) -> None:
        self._ledger = ledger
        self._clock = clock
        self._finalizer = finalizer

    def handle(self, event: Mapping[str, Any], left: Callable[[], int]) -> dict[str, Any]:
        """Deal with what the state machine asks. StoreError if it must ask again."""
        answer: Prepared | Told
        if event["step"] == "prepare":
            answer = self.prepare(str(event["run"]), int(event["revision"]))
        else:
            answer = self.finish(msgspec.convert(event["state"], Ended), left)
        found: dict[str, Any] = msgspec.to_builtins(answer)
        return found | ({"again": True} if isinstance(answer, Ended) else {})

    # the beginning

    def prepare(self, id: str, revision: int) -> Prepared:
        """What is to be mapped."""
        run = self._run(id)
        if not run.is_open or run.revision != revision or run.state == "finishing" or run.wish == "cancel":
            return nothing(run)
        self._ledger.begin(run.key, self._clock.now())
        try:
            if revision:
                return self._redrive(run)
            check_map(run.spec, run.id)
            return prepared(run)
        except StoreError:
            raise
        except RotaError as error:
            return nothing(run, str(error))

    def _redrive(self, run: BatchRun) -> Prepared:
        if run.sealed is None:
            return nothing(run, EARLY)
        self._ledger.expect(run.key, (row.chunk.number for row in rows(self._ledger, run.key, "redrive")))
        name = f"map/r{run.revision}/jobs.jsonl"
        jobs = (_job_line(_again(run, row)) + b"\n" for row in rows(self._ledger, run.key, "redrive"))
        first = next(jobs, None)
        if first is None:
            return nothing(run)
        places_of(run).folder.write(name, chain([first], jobs))
        bucket, prefix = split_uri(run.place)
        key = f"{prefix.rstrip('/')}/{name}"
        return msgspec.structs.replace(
            nothing(run), reader="jobs", bucket=bucket, key=key, origin=Origin(f"s3://{bucket}/{key}")
        )

    # the end

    def finish(self, state: Ended, left: Callable[[], int]) -> Told | Ended:
        """Bring the answers of the children into the ledger and end the batch run; or answer where the next invocation
        goes on."""
        run = self._run(state.run)
        if run.is_open and run.revision == state.revision:
            try:
                marked = self._take_in(run, state, left)
            except StoreError:
                raise
            except SourceError as error:
                marked = None
                self._ledger.decide(run.key, Verdict("failed", str(error)))
            if marked is not None:
                return msgspec.structs.replace(state, marked=marked)
            self._finalizer.handle(encode_batch_message(FinishMessage(run.id)), 1)
            run = self._run(state.run)
        if run.is_open:
            raise StoreError(f"batch run {run.id} has not ended yet", batch_run=run.id)
        counts = run.counts
        return Told(
            run.name,
            run.id,
            run.state,
            run.error,
            counts.items,
            counts.succeeded,
            counts.failed,
            counts.skipped,
            run.manifest,
        )

    def _take_in(self, run: BatchRun, state: Ended, left: Callable[[], int]) -> int | None:
        """How many marks are stored where time is over; None if all are, and the batch run can end."""
        results = Results(state.results_bucket, state.results_prefix)
        places = places_of(run)
        error = state.error
        if state.problem is not None:
            error = f"the map run ended early: {state.problem}"
        if state.reader == "jobs":
            marked = self._store(run, state, self._redone(run, results, places), lambda mark: mark, left)
        elif state.reader == "none":
            marked = None
        else:
            account = self._account(run, state, results, places)
            if not state.marked:
                for page in _pages(_in_order(account), _PAGE):
                    self._ledger.plan(run.key, page)
            marks = self._marks(run, state, results, places)
            marked = self._store(run, state, marks, lambda mark: _settled(mark, account, places), left)
            if marked is None and not error and account.whole:
                if state.reader != "objects" and changed(state.origin):
                    error = f"source {state.origin.uri!r} changed during the batch run"
                else:
                    self._ledger.seal(run.key, len(account.chunks))
        if marked is None and error:
            self._ledger.decide(run.key, Verdict("failed", error))
        return marked

    def _store(
        self,
        run: BatchRun,
        state: Ended,
        marks: Iterator[Mark],
        settle: Callable[[Mark], Mark],
        left: Callable[[], int],
    ) -> int | None:
        marked = state.marked
        with ThreadPoolExecutor(_THREADS) as pool:
            for page in _pages(islice(marks, marked, None), _MARKS):
                self._ledger.mark(run.key, list(pool.map(settle, page)))
                marked += len(page)
                if left() < RESERVE:
                    return marked
        return None

    def _account(self, run: BatchRun, state: Ended, results: Results, places: S3Places) -> _Account:
        """The chunks that there are, with their numbers."""
        found = {_place(mark): mark.chunk for mark in self._marks(run, state, results, places, dead=not state.marked)}
        account = _Account(whole=not results.pending() and not any(answer.left for answer in results.answers()))
        number, behind = 0, 0
        for place in sorted(found):
            chunk = found[place]
            if state.reader != "objects":
                if place < behind:
                    raise SourceError(f"item {place} of {state.origin.uri!r} was given to two functions")
                if place > behind:
                    account.whole = False
                    account.open.append(Chunk(number, state.origin, behind, place, "items"))
                    number += 1
                behind = chunk.end
                chunk = msgspec.structs.replace(chunk, origin=state.origin)
            account.chunks[place] = msgspec.structs.replace(chunk, number=number)
            number += 1
        if account.chunks and account.whole and state.reader != "objects":
            place = max(account.chunks)
            account.chunks[place] = msgspec.structs.replace(account.chunks[place], last=True)
        return account

    def _marks(
        self, run: BatchRun, state: Ended, results: Results, places: S3Places, *, dead: bool = False
    ) -> Iterator[Mark]:
        """What became of the items, child by child. dead: write dead letters for children that failed."""
        for answer in results.answers():
            yield from answer.marks
        for failed in results.failed():
            if state.reader == "objects":
                keys = ", ".join(str(one.v["Key"]) for one in failed.batch.items)
                raise SourceError(f"{keys} could not be dealt with: {failed.failure}")
            for first, values in stretches(failed.batch.items):
                yield _all_failed(run, state.origin, first, values, failed, places if dead else None)

    def _redone(self, run: BatchRun, results: Results, places: S3Places) -> Iterator[Mark]:
        """What became of chunks that a redrive took up. Those of a child that failed stay as they were."""
        for answer in results.answers():
            yield from answer.marks
        for failed in results.failed():
            for one in failed.batch.items:
                job = msgspec.convert(one.v, Job)
                row = row_of(self._ledger, run.key, job.chunk.number)
                if row is not None and row.mark is not None and job.redo is not None:
                    dead = list(places.read_dead(job.chunk.number, job.redo.revision))
                    places.write_dead(job.chunk.number, job.revision, dead)
                    yield msgspec.structs.replace(row.mark, revision=job.revision)

    def _run(self, id: str) -> BatchRun:
        run = find(self._ledger, batch_key(id))
        if run is None:
            raise NotFoundError("batch run", id)
        return run


def _again(run: BatchRun, row: ChunkRow) -> Job:
    assert row.mark is not None
    return Job(0, "whole", row.chunk, Redo(row.mark.revision, run.groups), run.revision)


def _place(mark: Mark) -> int:
    """Where a chunk lies among others: the place of its first item, or that of its object."""
    return mark.chunk.start if mark.chunk.unit == "items" else mark.chunk.number


def _in_order(account: _Account) -> list[Chunk]:
    return sorted((*account.chunks.values(), *account.open), key=lambda chunk: chunk.number)


def _all_failed(
    run: BatchRun, origin: Origin, first: int, values: list[object], failed: Failed, places: S3Places | None
) -> Mark:
    """The mark of items whose function failed."""
    number, behind = BESIDE + first, first + len(values)
    dead = [DeadItem(number, at, first + at, value, failed.failure, 1) for at, value in enumerate(values)]
    if places is not None:
        places.write_dead(number, run.revision, dead)
    chunk = Chunk(number, origin, first, behind, "items", first, len(values))
    counts = Counts(len(values), 0, len(values))
    return Mark(chunk, Extent(first, behind), counts, (), count_failures(dead), 0, run.revision)


def _settled(mark: Mark, account: _Account, places: S3Places) -> Mark:
    """The mark with the number that its chunk has in the ledger, and its dead letters where they belong."""
    chunk = account.chunks[_place(mark)]
    if mark.counts.failed:
        dead = places.read_dead(mark.chunk.number, mark.revision)
        places.write_dead(
            chunk.number, mark.revision, [msgspec.structs.replace(one, chunk=chunk.number) for one in dead]
        )
    return msgspec.structs.replace(mark, chunk=chunk)


def _pages(values: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(values)
    while page := list(islice(rest, size)):
        yield page
