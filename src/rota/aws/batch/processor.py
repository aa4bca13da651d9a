"""Works on one chunk for each message: read it, attempt its items, write its part, mark the ledger, and only then let
the message go.

Whatever happens before the mark leaves nothing that counts, so a function may be killed at any moment: the message
comes again when it becomes visible. A message that comes a second time leaves a note while it is worked on; one that
comes again and finds its own note has killed a function, and the search for the item to blame begins (see `search`).

Items whose next attempt is far away do not hold up the lane: what the chunk has come to so far is kept in the bucket,
under a token, and a message for them alone comes when they are due. The chunk is marked when none is left.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from rota.aws.batch.benches import Bench, Benches
from rota.aws.batch.ledger import Headers, Ledger, find, row_of
from rota.aws.batch.messages import ChunkMessage, UnreadableError, decode_batch_message
from rota.aws.batch.places import S3Places
from rota.aws.batch.post import Post
from rota.aws.batch.search import Search
from rota.aws.batch.verdicts import decide_failed, judged, said
from rota.aws.batch_choice import overspent
from rota.aws.batch_cost import MEMORY
from rota.core.batch import BatchRun
from rota.core.completion import Mark
from rota.core.current import CURRENT, CurrentRun
from rota.core.outcome import failure_of, innermost_frame
from rota.ports.clock import Clock
from rota.processing.calls import OverMemoryError
from rota.processing.chunk_work import ChunkWork
from rota.processing.jobs import Job, Report
from rota.processing.marks import again_after, mark_of

log: logging.Logger = logging.getLogger("rota.batch")
_BEGAN = "began"
_LOOK_AGAIN = 5000
"""Milliseconds after which totals are looked at again: reading them takes more than a mark."""
_SPARE = 5000
UNDELIVERED = "its function failed each time it was told of this chunk; the function's log tells why"


class _Signal:
    """A function that is to stop is ended, so a task in it is never asked to."""

    cancel = False


class _Kept(msgspec.Struct, frozen=True):
    """What a chunk has come to, but for the items that are put off."""

    token: str
    mark: Mark


class Visit(msgspec.Struct, frozen=True):
    """One delivery of a message. received: how often it came, this time included. left: milliseconds that the function
    may still take. hold: hides the message for so many seconds from now, while it is worked on.
    put_back: has it come again after so many seconds; the work is over."""

    received: int
    left: Callable[[], int]
    hold: Callable[[int], None]
    put_back: Callable[[int], None]


class Processor:
    """benches: opens source, sink and task. memory: MB of the function."""

    def __init__(self, ledger: Ledger, post: Post, clock: Clock, benches: Benches, memory: int = MEMORY) -> None:
        self._ledger = ledger
        self._post = post
        self._clock = clock
        self._benches = benches
        self._memory = memory
        self._headers = Headers(ledger, clock)
        self._looked: dict[str, int] = {}

    def handle(self, body: str, visit: Visit) -> bool:
        """Deal with a message; False if it must come again. StoreError likewise."""
        message = decode_batch_message(body)
        if not isinstance(message, ChunkMessage):
            raise UnreadableError("message", body, "a message about a chunk")
        run = self._going(message)
        if run is None:
            return True
        self._judge(run)
        before, done = self._before(run, message, visit)
        return done or self._attempt(run, message, before, visit)

    def give_up(self, message: ChunkMessage, visit: Visit, why: str = UNDELIVERED) -> bool:
        """The message was received too often: all items of its job are dead letters. False if that must be tried
        again."""
        run = self._headers.fresh(message.key)
        if run is None or run.state not in ("pending", "running"):
            return True
        before, done = self._before(run, message, msgspec.structs.replace(visit, received=2))
        return done or self._attempt(run, message, before, visit, giving_up=why)

    def _before(self, run: BatchRun, message: ChunkMessage, visit: Visit) -> tuple[Mark | None, bool]:
        """What stands of the chunk, and whether the job is done; looked up where it may be."""
        job = message.job
        if not message.again and visit.received < 2 and job.redo is None:
            return None, False
        row = row_of(self._ledger, message.key, job.chunk.number)
        mark = None if row is None else row.mark
        done = mark is not None and (job.redo is None or mark.revision >= job.revision)
        # Who cut it anew sent another message.
        done = done or (row is not None and job.redo is None and row.chunk != job.chunk)
        if done and self._ledger.is_complete(message.key):
            self._post.finish(run.id)
        return mark, done

    def _going(self, message: ChunkMessage) -> BatchRun | None:
        """The batch run, if it goes on and this message belongs to it as it is."""
        for look in (self._headers.get, self._headers.fresh):
            run = look(message.key)
            if run is None:
                return None
            redriven = message.job.redo is None or message.job.revision == run.revision
            if run.state in ("pending", "running") and run.wish == "run" and redriven:
                return run
        return None

    def _judge(self, run: BatchRun) -> None:
        """Look now and then whether too much has failed, or was spent; whoever is asked to end it knows more."""
        now = self._clock.now()
        if self._looked.get(run.id, 0) > now:
            return
        self._looked = {id: until for id, until in self._looked.items() if until > now} | {run.id: now + _LOOK_AGAIN}
        counted = find(self._ledger, run.key)
        if counted is None:
            return
        if judged(self._ledger, counted, counted.counts, now, complete=False) is not None:
            self._post.finish(run.id)
        elif (why := overspent(counted, now, self._memory)) and self._ledger.hold(run.key, why):
            log.warning("%s: %s", run.id, why)

    # attempts

    def _attempt(
        self, run: BatchRun, message: ChunkMessage, before: Mark | None, visit: Visit, *, giving_up: str = ""
    ) -> bool:
        job = message.job
        try:
            bench = self._benches.bench(run)
            places = bench.places.for_job(job.chunk, job.revision, job.round)
            if job.round:
                kept = self._kept(bench, message)
                if kept is None:
                    return True
                before = kept
            report: Report | None
            if giving_up:
                report = _given_up(ChunkWork(bench.source, bench.sink, bench.calls, places), job, giving_up)
            else:
                report = self._report(run, message, bench, places, visit)
        except (Exception, SystemExit, OverMemoryError) as error:  # noqa: BLE001 whatever it is, it is judged
            return self._failed(run, message, error, visit)
        if report is None:
            following = msgspec.structs.replace(message, search=True, turn=message.turn + 1)
            self._post.chunks(run, [following])
        else:
            self._done(run, message, bench, mark_of(job, report, before), report)
        return True

    def _report(
        self, run: BatchRun, message: ChunkMessage, bench: Bench, places: S3Places, visit: Visit
    ) -> Report | None:
        """Do the job; None if the search for an item that kills is to begin, or to go on."""
        job = _paced(message.job, run)
        work = ChunkWork(bench.source, bench.sink, bench.calls, places)
        troubled = message.search or visit.received > 1
        if troubled:
            visit.hold((visit.left() + _SPARE) // 1000)
        token = CURRENT.set(CurrentRun(run.name, run.created, 1, _Signal()))
        try:
            if message.search:
                return Search(work, places, job, visit.left).go(visit.received)
            if troubled:
                if places.noted(_BEGAN) is not None:
                    log.warning("%s: chunk %d killed functions; the item is searched", run.id, job.chunk.number)
                    return None
                places.note(_BEGAN, b"1")
            return work.do(job)
        finally:
            CURRENT.reset(token)

    def _done(self, run: BatchRun, message: ChunkMessage, bench: Bench, mark: Mark, report: Report) -> None:
        if report.later:
            self._put_off(run, message, bench, mark, report)
            return
        state = self._headers.get(run.key)
        if state is None or state.state not in ("pending", "running"):
            # Its account is being written; this chunk is not done in it.
            return
        progress = self._ledger.mark(run.key, [mark])
        if mark.chunk.spool:
            bench.source.release([mark.chunk])
        if progress.completed:
            self._post.finish(run.id)

    def _failed(self, run: BatchRun, message: ChunkMessage, error: BaseException, visit: Visit) -> bool:
        """Source or sink cannot work. Where that may pass the message comes again; where it does not, the batch run
        ends."""
        number = message.job.chunk.number
        failure = failure_of(error, innermost_frame(error))
        wait = again_after(failure, visit.received)
        if wait is None:
            row = row_of(self._ledger, run.key, number)
            if row is None or row.mark is None or row.mark.revision < message.job.revision:
                decide_failed(self._ledger, self._post, run, said(failure))
            return True
        log.warning("%s: chunk %d comes again: %s", run.id, number, failure)
        if visit.received > 1:
            self._places(run, message).unnote(_BEGAN)
        visit.put_back(round(wait) or 2**visit.received)
        return False

    def _places(self, run: BatchRun, message: ChunkMessage) -> S3Places:
        job = message.job
        return self._benches.bench(run).places.for_job(job.chunk, job.revision, job.round)

    # later

    def _put_off(self, run: BatchRun, message: ChunkMessage, bench: Bench, mark: Mark, report: Report) -> None:
        job = message.job
        following = msgspec.structs.replace(job, kind="whole", round=job.round + 1)
        token = f"{message.wave}/{following.round}"
        kept = _Kept(token, msgspec.structs.replace(mark, failures=()))
        bench.places.folder.write(_later(following), [msgspec.json.encode(kept)])
        due = self._clock.now() + round(report.wait * 1000)
        log.info("%s: %d items of chunk %d are put off", run.id, report.later, job.chunk.number)
        self._post.later(ChunkMessage(run.id, following, message.wave, again=True, token=token), due)

    def _kept(self, bench: Bench, message: ChunkMessage) -> Mark | None:
        """What the rounds before came to; None if the chunk has been begun anew since."""
        text = bench.places.folder.read(_later(message.job))
        kept = None if text is None else msgspec.json.decode(text, type=_Kept)
        return kept.mark if kept is not None and kept.token == message.token else None


def _given_up(work: ChunkWork, job: Job, why: str) -> Report:
    """The report of a job none of whose items is attempted any more."""
    items = work.do(msgspec.structs.replace(job, kind="count")).counts.items
    return work.do(msgspec.structs.replace(job, kind="assemble", killers=tuple(range(items)), died=why))


def _paced(job: Job, run: BatchRun) -> Job:
    """So that all lanes together keep to the rate limit."""
    if run.spec.rate_limit is None:
        return job
    return msgspec.structs.replace(job, pace=run.spec.concurrency / run.spec.rate_limit)


def _later(job: Job) -> str:
    """Where is kept what came before this round."""
    return f"later/chunk-{job.chunk.number:09d}.r{job.revision}.t{job.round}.json"
