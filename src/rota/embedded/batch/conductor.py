"""Drives one batch run from wherever it stands to its end, in one thread.

Nothing here is needed after a crash: planned chunks and marks are in the store, parts and dead letters in files that
precede their marks. A new conductor reads the ledger once, proves what is proven, and goes on with what is open.

Failures: a worker that dies loses its jobs to others (see jobs.py); a store that does not answer stops dispatching
until it does; a source or sink that cannot work ends the batch run with its error; anything unforeseen does so too, so
that a batch run never hangs.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rota.connectors.payload_argument import with_payload
from rota.connectors.stored import GENERATOR, is_spooled, open_stored_source
from rota.core.batch import BatchKey, BatchRun, filled
from rota.core.chunk import Chunk
from rota.core.completion import Frontier, Mark, Verdict, is_complete, verdict
from rota.core.errors import NotFoundError, RotaError, StoreCorruptError, StoreError
from rota.core.outcome import Failure
from rota.core.payload import decode_payload
from rota.core.task import Task
from rota.core.total import certain
from rota.embedded.batch.counting import Counting
from rota.embedded.batch.forge import Forge
from rota.embedded.batch.jobs import Jobs
from rota.embedded.batch.marking import Marking
from rota.embedded.batch.opening import prepared_sink, setup_of
from rota.embedded.batch.places import Places
from rota.embedded.batch.planner import Planner
from rota.embedded.batch.workers import Lifeline, Workers
from rota.ports.batches import BatchStore
from rota.ports.clock import Clock
from rota.ports.sink import Sink
from rota.processing.ending import PAGE, conclude, rows

log: logging.Logger = logging.getLogger("rota.batch")
POLL = 0.25
AHEAD = 2000
AHEAD_SPOOLED = 8
"""Chunks that may be planned and not done: of files, and, for each worker, of what is spooled."""
STILLBORN = 3
FENCE_PATIENCE = 30.0
Generate = Callable[..., Iterable[object]]


class Conductor:
    """tasks: of the app that serves. generator: the function that makes the items, if the source is one."""

    def __init__(
        self,
        run: BatchRun,
        *,
        store: BatchStore,
        clock: Clock,
        tasks: Mapping[str, Task[..., Any]],
        generator: Generate | None,
        forge: Forge,
        lifeline: Lifeline,
    ) -> None:
        self._run = run
        self._store = store
        self._clock = clock
        self._tasks = tasks
        self._generator = generator
        self._forge = forge
        self._lifeline = lifeline
        self._places = Places(run.place)
        self._looking = False
        self._stopping = threading.Event()
        self._workers: Workers | None = None
        self._planner: Planner | None = None
        self._stillborn = 0
        self._frontier = Frontier()
        self._counting: Counting | None = None
        self._cut_off = 0.0
        self._numbered = 0
        self.key: BatchKey = run.key

    def look(self) -> None:
        """The store changed; see what is wanted."""
        self._looking = True
        if self._workers is not None:
            self._workers.ring()

    def stop(self, grace: float) -> None:
        """End this conductor, not the batch run: give out nothing more, wait that long for what is being done."""
        self._cut_off = time.monotonic() + grace
        self._stopping.set()
        self.look()

    def conduct(self) -> None:
        """Until the batch run has ended, or `stop`."""
        sink: Sink | None = None
        broken = ""
        try:
            try:
                if self._run.state != "finishing":
                    sink = self._until_decided()
                elif self._run.planned:
                    sink = prepared_sink(self._run)
            except StoreError:
                raise
            except Exception as error:
                if not isinstance(error, RotaError | OSError):
                    log.exception("batch run %s ends because of an error of the engine", self._run.id)
                sink, broken = None, _said(error)
                if self._workers is not None:
                    self._workers.take_back()
                self._decide(Verdict("failed", broken))
            [self._run] = self._store.get([self.key])
            if self._run.state == "finishing":
                conclude(self._run, self._store, sink, self._places, self._clock, broken)
        except StoreError as error:
            log.warning("batch run %s waits until the store answers: %s", self._run.id, error)
        finally:
            self._release()

    def _release(self) -> None:
        if self._planner is not None:
            self._planner.stop()
        if self._counting is not None:
            self._counting.stop()
        if self._workers is not None:
            self._workers.close()

    def _decide(self, verdict: Verdict) -> None:
        self._store.decide(self.key, verdict)

    # preparing

    def _until_decided(self) -> Sink | None:
        run, spec = self._run, self._run.spec
        if run.wish == "cancel":
            self._decide(Verdict("cancelled", "cancelled by request"))
            return prepared_sink(run) if run.planned else None
        setup = setup_of(run, self._tasks)
        if spec.source.get("type") == GENERATOR and self._generator is None:
            raise NotFoundError("batch", run.name, "the app that is served does not declare it with its generator")
        self._places.make()
        self._fence()
        if run.state == "pending" and self._store.begin(self.key, self._clock.now()):
            self._refresh()
        generator = None if self._generator is None else with_payload(self._generator, decode_payload(spec.payload))
        source = open_stored_source(filled(spec.source, run.id), self._places.spool, generator)
        if not run.planned:
            source.check()
        sink = prepared_sink(run)
        jobs = Jobs(spec, run.revision, run.groups, lambda said: log.warning("%s: %s", run.id, said))
        self._workers = Workers(setup, spec.concurrency, self._forge, self._lifeline)
        self._counting = Counting(run, self._places.spool, source.size(), self._workers.ring)
        marking = Marking(self._store, self.key, source, sink, self._places, self._counting.total, self._workers.ring)
        after = self._take_up(jobs)
        if self._run.sealed is None:
            ahead = max(AHEAD_SPOOLED * spec.concurrency, 16) if is_spooled(spec.source) else AHEAD
            plan = self._counting.passing(source.plan(spec.size, after))
            self._planner = Planner(plan, ahead, self._workers.ring)
        else:
            self._counting.finish()
        self._drive(jobs, marking)
        return sink

    def _fence(self) -> None:
        """Wait until no worker of an engine that died is left."""
        handle = os.open(self._places.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        deadline = time.monotonic() + FENCE_PATIENCE
        try:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        log.warning(
                            "a process that a worker of %s left behind holds %s", self._run.id, self._places.lock
                        )
                        return
                    time.sleep(0.01)
                else:
                    return
        finally:
            os.close(handle)

    def _take_up(self, jobs: Jobs) -> Chunk | None:
        """Read the ledger: prove what can be proven, put what is open into `jobs`; answers the last chunk planned."""
        assert self._counting is not None
        self._numbered = self._run.planned
        last: Chunk | None = None
        wrong: list[Chunk] = []
        if self._run.planned:
            for row in rows(self._store, self.key, "done"):
                if row.mark is not None:
                    wrong += self._frontier.add(row.chunk, row.mark.extent, row.mark.counts)
                self._counting.known(row)
                last = row.chunk
            if wrong:
                self._run = self._store.recut(self.key, wrong)
            after = -1
            while page := self._store.chunks(self.key, "open", after, PAGE):
                jobs.add(row.chunk for row in page)
                for row in page:
                    self._counting.known(row)
                after = page[-1].chunk.number
                last = page[-1].chunk if last is None or after > last.number else last
        if self._run.revision:
            after = -1
            while page := self._store.chunks(self.key, "redrive", after, PAGE):
                jobs.redrive(page)
                after = page[-1].chunk.number
        return last

    # driving

    def _drive(self, jobs: Jobs, marking: Marking) -> None:
        """Until it is decided how the batch run ends, or this conductor is to stop."""
        try:
            while not self._is_over(jobs, marking) and not self._is_stopped():
                if self._looking:
                    self._looking = False
                    self._refresh()
                self._plan(jobs, marking)
                self._give(jobs)
                if not self._advance(jobs, marking):
                    self._poll(jobs, marking)
        finally:
            self._flush(marking)
            marking.close()

    def _advance(self, jobs: Jobs, marking: Marking) -> bool:
        """Write the ledger, at once if there is nothing else to do; True if a group was stored."""
        assert self._workers is not None
        resting = not self._workers.busy and not (jobs.waiting and self._may_give())
        idle = resting and (self._planner is None or not self._may_give())
        try:
            stored = marking.advance(idle=idle)
            self._run = stored or self._run
            return stored is not None
        except StoreCorruptError:
            raise
        except StoreError as error:
            log.warning("%s: marks wait until the store answers: %s", self._run.id, error)
            self._stopping.wait(0.5)
            return True

    def _may_give(self) -> bool:
        return self._run.wish == "run" and not self._stopping.is_set()

    def _plan(self, jobs: Jobs, marking: Marking) -> None:
        planner = self._planner
        if planner is None or not self._may_give():
            return
        if planner.error is not None:
            raise planner.error
        assert self._workers is not None
        taken = planner.take(max(0, self._workers.most * 4 - jobs.waiting))
        if taken:
            marking.plan(taken)
            jobs.add(taken)
            self._numbered = taken[-1].number + 1
        if planner.is_over and planner.error is None:
            marking.seal(self._numbered)
            self._planner = None

    def _give(self, jobs: Jobs) -> None:
        assert self._workers is not None
        while self._may_give() and self._workers.room() > 0:
            job = jobs.next(self._workers.most, self._clock.now(), sealed=self._planner is None)
            if job is None:
                return
            self._workers.give(job)

    def _poll(self, jobs: Jobs, marking: Marking) -> None:
        assert self._workers is not None
        wait = POLL if marking.is_empty else 0.02
        reported, died, fatal = self._workers.poll(wait)
        for job, report in reported:
            self._stillborn = 0
            follows = jobs.reported(job, report, self._clock.now())
            if isinstance(follows, Mark):
                marking.mark(follows, report.part)
                if self._counting is not None and not follows.revision:
                    self._counting.mark(follows)
                self._prove(follows, jobs, marking)
            elif follows is not None:
                raise _FatalError(follows)
        if fatal is not None:
            raise _FatalError(fatal)
        for one in died:
            self._stillborn += not one.ready
            if self._stillborn >= STILLBORN:
                raise _FatalError(Failure(("rota.WorkerDied",), f"workers die ({one.how}) before they can begin"))
            stopped = jobs.died(one)
            if stopped is not None:
                raise _FatalError(stopped)

    def _prove(self, mark: Mark, jobs: Jobs, marking: Marking) -> None:
        if mark.revision:
            return
        wrong = list(self._frontier.add(mark.chunk, mark.extent, mark.counts))
        if wrong:
            self._flush(marking)
            self._run = self._store.recut(self.key, wrong)
            jobs.add(wrong, first=True)

    def _flush(self, marking: Marking) -> None:
        while not marking.is_empty:
            try:
                self._run = marking.flush() or self._run
            except StoreCorruptError:
                raise
            except StoreError as error:
                if self._stopping.is_set():
                    raise
                log.warning("%s: marks wait until the store answers: %s", self._run.id, error)
                self._stopping.wait(0.5)

    def _is_over(self, jobs: Jobs, marking: Marking) -> bool:
        """Whether it is decided how the batch run ends; only if all that is done is in the ledger."""
        run = self._run
        complete = (
            is_complete(run) and marking.is_empty and not jobs.open and self._frontier.proven >= (run.sealed or 0)
        )
        counts = run.counts if complete or run.revision else self._frontier.counts
        found = verdict(run, counts, self._clock.now(), complete=complete, total=certain(run, counts))
        if found is None:
            if self._counting is not None:
                self._counting.look(run, counts)
            return False
        if not complete:
            assert self._workers is not None
            self._workers.take_back()
            self._flush(marking)
        self._decide(found)
        return True

    def _is_stopped(self) -> bool:
        if not self._stopping.is_set():
            return False
        assert self._workers is not None
        return not self._workers.busy or time.monotonic() > self._cut_off

    def _refresh(self) -> None:
        found = self._store.get([self.key])
        if found:
            self._run = found[0]


class _FatalError(Exception):
    """A failure in a worker that no other attempt can help."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


def _said(error: BaseException) -> str:
    if isinstance(error, _FatalError):
        failure = error.failure
        return failure.message if failure.type.startswith("rota.") else str(failure)
    return str(error) if isinstance(error, RotaError) else f"{type(error).__name__}: {error}"
