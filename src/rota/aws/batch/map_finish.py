"""The beginning of a map run and the end of each of its rounds, as its state machine asks for them.

A round maps over the source, or in a redrive over a list of jobs that is written: one for each chunk with dead letters
that are to be attempted again. Before a round over the source is written down what the rounds before have done, which
its functions leave out. At its end, what its children answered becomes the ledger; and then it is seen what follows:

    nothing is missing                      the jobs of a redrive, if there are any, else the end of the batch run
    the map ended early                     the end: it has failed, and what is missing can be redriven
    cancelled, out of time, too many failed the end
    paused                                  the execution ends, and another begins where it is resumed
    else: it was paused and is not any more, or Express children had too little time: another round

A batch run ends as every other does, by the finalizer, which also says what the state machine is told. The end of a
round may take several invocations. Every step of it gives the same when it is done again, so the next one begins anew,
but for the marks that the one before says are in the ledger.
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
from rota.aws.batch.map_account import Account
from rota.aws.batch.map_known import known_of, read_known, write_known
from rota.aws.batch.map_machine import Kind, state_of
from rota.aws.batch.map_plan import MOST_ROUNDS, Prepared, about, changed, check_map, nothing, prepared
from rota.aws.batch.map_results import Results
from rota.aws.batch.map_start import read_turn, write_turn
from rota.aws.batch.messages import FinishMessage, PlanMessage, encode_batch_message
from rota.aws.batch.places import S3Places
from rota.aws.batch.post import Post
from rota.aws.batch.verdicts import judged
from rota.connectors.s3 import split_uri
from rota.core.batch import BatchRun
from rota.core.chunk import Origin
from rota.core.completion import ChunkRow, Mark, Verdict
from rota.core.errors import LastingSourceError, NotFoundError, RotaError, SourceError, StoreError
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
    """What the end of a round is told. marked: how many marks the invocation before has stored."""

    problem: Problem | None = None
    marked: int = 0


class Told(msgspec.Struct, frozen=True):
    """What the state machine is told of the end, and by it the queue for failures. next: the state that follows."""

    batch: str
    batch_run: str
    outcome: str
    error: str
    items: int
    succeeded: int
    failed: int
    skipped: int
    receipt: str
    next: str = "done"


class Taken(msgspec.Struct, frozen=True):
    """What a round came to, once that is in the ledger. error: why nothing can follow it."""

    whole: bool
    slow: bool = False
    error: str = ""


class MapEnds:
    """finalizer: ends batch runs. kind: of the children, where they may be Express ones."""

    def __init__(self, ledger: Ledger, post: Post, clock: Clock, finalizer: Finalizer, kind: Kind = "STANDARD") -> None:
        self._ledger = ledger
        self._post = post
        self._clock = clock
        self._finalizer = finalizer
        self._kind = kind

    def handle(self, event: Mapping[str, Any], left: Callable[[], int]) -> dict[str, Any]:
        """Deal with what the state machine asks. StoreError if it must ask again."""
        answer: Prepared | Told
        if event["step"] == "prepare":
            answer = self.prepare(str(event["run"]), int(event["revision"]), int(event["turn"]))
        else:
            answer = self.finish(msgspec.convert(event["state"], Ended), left)
        found: dict[str, Any] = msgspec.to_builtins(answer)
        return found

    # the beginning

    def prepare(self, id: str, revision: int, turn: int) -> Prepared:
        """The first round of an execution."""
        run = self._run(id)
        if not run.is_open or run.revision != revision or run.state == "finishing" or run.wish == "cancel":
            return nothing(run, turn)
        self._ledger.begin(run.key, self._clock.now())
        if revision:
            self._ledger.expect(run.key, (row.chunk.number for row in rows(self._ledger, run.key, "redrive")))
        try:
            if run.sealed is None:
                check_map(run.spec, run.id)
            return self._round(run, turn, 0, self._kind)
        except StoreError:
            raise
        except RotaError as error:
            return nothing(run, turn, error=str(error))

    def _round(self, run: BatchRun, turn: int, nth: int, kind: Kind) -> Prepared:
        """What is left to do. SourceError, InvalidError."""
        places = places_of(run)
        if run.sealed is not None:
            return self._jobs(run, turn, nth, kind, places)
        made = prepared(run, turn, nth, kind)
        if run.planned:
            known = known_of(self._rows(run, made.origin), objects=made.reader == "objects")
            made = msgspec.structs.replace(made, known=f"map/known.r{made.round}.json")
            write_known(places.folder, made.known, known)
        self._ledger.watch(run.key, made.round, about(made.reader, made.origin))
        return made

    def _rows(self, run: BatchRun, origin: Origin) -> Iterator[ChunkRow]:
        """All of the ledger. SourceError if it is about another object than the source is now."""
        for row in rows(self._ledger, run.key, "all"):
            if row.chunk.origin.uri == origin.uri and row.chunk.origin != origin:
                raise LastingSourceError(f"source {origin.uri!r} changed since the batch run began; start a new one")
            yield row

    def _jobs(self, run: BatchRun, turn: int, nth: int, kind: Kind, places: S3Places) -> Prepared:
        """The chunks of a redrive that are to be done again."""
        none = nothing(run, turn, nth)
        name = f"map/r{none.round}/jobs.jsonl"
        jobs = (_job_line(_again(run, row)) + b"\n" for row in rows(self._ledger, run.key, "redrive"))
        first = next(jobs, None) if run.revision else None
        if first is None:
            return none
        places.folder.write(name, chain([first], jobs))
        bucket, prefix = split_uri(run.place)
        key = f"{prefix.rstrip('/')}/{name}"
        return msgspec.structs.replace(
            none,
            each=state_of("jobs", kind),
            reader="jobs",
            kind=kind,
            bucket=bucket,
            key=key,
            origin=Origin(f"s3://{bucket}/{key}"),
        )

    # the end

    def finish(self, state: Ended, left: Callable[[], int]) -> Told | Prepared:
        """Bring the answers of the children into the ledger and say what follows; or where the next invocation goes
        on."""
        run = self._run(state.run)
        if run.is_open and run.revision == state.revision:
            try:
                taken = self._take_in(run, state, left)
            except StoreError:
                raise
            except SourceError as error:
                taken = Taken(whole=False, error=str(error))
            if isinstance(taken, int):
                return msgspec.structs.replace(state, marked=taken, next="finish")
            following = self._following(state, taken)
            if following is not None:
                return following
            self._finalizer.handle(encode_batch_message(FinishMessage(run.id)), 1)
            run = self._run(state.run)
        if run.is_open and run.revision == state.revision:
            raise StoreError(f"batch run {run.id} has not ended yet", batch_run=run.id)
        return _told(run)

    def _following(self, state: Ended, taken: Taken) -> Prepared | Told | None:
        """What follows a round: another, or for a pause the end of this execution; None if the batch run ends."""
        run, places = self._run(state.run), places_of(self._run(state.run))
        if read_turn(places.folder, run) > state.turn:
            # This execution has ended once already, and does so again.
            return _told(run)
        if run.state == "finishing":
            return None
        if taken.error:
            self._ledger.decide(run.key, Verdict("failed", taken.error))
            return None
        found = judged(self._ledger, run, run.counts, self._clock.now(), complete=False)
        if found is not None and not taken.whole:
            self._ledger.decide(run.key, found)
            return None
        if taken.whole and (not run.revision or state.reader == "jobs"):
            return None
        if run.wish == "pause":
            write_turn(places.folder, run, state.turn + 1)
            if self._run(state.run).wish == "run":
                self._post.plan(PlanMessage(run.id, "open", f"turn-{run.revision}-{state.turn + 1}"))
            return _told(run)
        return self._another(run, state, "STANDARD" if taken.slow else state.kind)

    def _another(self, run: BatchRun, state: Ended, kind: Kind) -> Prepared | None:
        nth, error = state.nth + 1, ""
        try:
            made = self._round(run, state.turn, nth, kind)
        except StoreError:
            raise
        except RotaError as refused:
            made, error = None, str(refused)
        if made is not None and not made.each:
            return None
        if nth >= MOST_ROUNDS:
            error = f"after {nth} rounds its map was not through"
        if error or made is None:
            self._ledger.decide(run.key, Verdict("failed", error))
            return None
        return made

    def _take_in(self, run: BatchRun, state: Ended, left: Callable[[], int]) -> int | Taken:
        """What a round came to, once that is in the ledger; or how many marks are stored where time is over."""
        if state.problem is not None:
            state = msgspec.structs.replace(state, error=f"the map run ended early: {state.problem}")
        if not state.each:
            return Taken(whole=not state.error, error=state.error)
        results = Results(state.results_bucket, state.results_prefix)
        places = places_of(run)
        if state.reader == "jobs":
            return self._take_in_jobs(run, state, results, places, left)
        account = Account(state, results, read_known(places.folder, state.known), places)
        account.settle(dead=not state.marked)
        if not state.marked:
            for page in _pages(account.planned, _PAGE):
                self._ledger.plan(run.key, page)
        with ThreadPoolExecutor(_THREADS) as pool:
            pages = _pages(islice(account.done(), state.marked, None), _MARKS)
            stored = self._store(run, (list(pool.map(account.mark, page)) for page in pages), state.marked, left)
        if stored is not None:
            return stored
        error = state.error
        if account.whole and not error:
            if state.reader != "objects" and changed(state.origin):
                error = f"source {state.origin.uri!r} changed during the batch run"
            else:
                self._ledger.seal(run.key, account.sealed)
        return Taken(account.whole and not error, account.slow, error)

    def _take_in_jobs(
        self, run: BatchRun, state: Ended, results: Results, places: S3Places, left: Callable[[], int]
    ) -> int | Taken:
        """Children have marked what they did. The chunks of one that failed stay as they were."""
        # One that is stored does not come again, so none are to be passed over.
        stored = self._store(run, _pages(self._as_they_were(run, state, results, places), _MARKS), 0, left)
        if stored is not None:
            return stored
        slow = state.kind == "EXPRESS" and any(failed.slow for failed in results.failed())
        is_left = results.pending() or any(answer.left for answer in results.answers())
        return Taken(not (slow or is_left or state.error), slow, state.error)

    def _as_they_were(self, run: BatchRun, state: Ended, results: Results, places: S3Places) -> Iterator[Mark]:
        for failed in results.failed():
            if state.kind == "EXPRESS" and failed.slow:
                continue
            for one in failed.batch.items:
                job = msgspec.convert(one.v, Job)
                row = row_of(self._ledger, run.key, job.chunk.number)
                before = None if row is None else row.mark
                if before is not None and job.redo is not None and before.revision < job.revision:
                    dead = list(places.read_dead(job.chunk.number, before.revision))
                    places.write_dead(job.chunk.number, job.revision, dead)
                    yield msgspec.structs.replace(before, revision=job.revision)

    def _store(self, run: BatchRun, pages: Iterable[list[Mark]], marked: int, left: Callable[[], int]) -> int | None:
        """How many marks are stored where time is over, None if all are."""
        for page in pages:
            self._ledger.mark(run.key, page)
            marked += len(page)
            if left() < RESERVE:
                return marked
        return None

    def _run(self, id: str) -> BatchRun:
        run = find(self._ledger, batch_key(id))
        if run is None:
            raise NotFoundError("batch run", id)
        return run


def _again(run: BatchRun, row: ChunkRow) -> Job:
    assert row.mark is not None
    return Job(0, "whole", row.chunk, Redo(row.mark.revision, run.groups), run.revision)


def _told(run: BatchRun) -> Told:
    counts = run.counts
    following = "tell" if run.state == "failed" else "done"
    return Told(
        run.name,
        run.id,
        run.shown_state,
        run.error,
        counts.items,
        counts.succeeded,
        counts.failed,
        counts.skipped,
        run.manifest,
        following,
    )


def _pages(values: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(values)
    while page := list(islice(rest, size)):
        yield page
