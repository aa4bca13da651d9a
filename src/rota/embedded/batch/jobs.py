"""Which job is next, and what follows from how one ended: a mark, another attempt, or the end of the batch run."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from rota.core.batch import BatchSpec
from rota.core.chunk import Chunk
from rota.core.completion import ChunkRow, Mark
from rota.core.isolation import WHOLE_ATTEMPTS, Isolation, Stretch
from rota.core.outcome import Failure
from rota.embedded.batch.workers import Died
from rota.processing.jobs import Job, JobKind, Redo, Report
from rota.processing.marks import ATTEMPTS, again_after, mark_of

_QUIET = 1000
"""Milliseconds for which nothing is given out after source or sink could not be reached, unless a chunk is done
meanwhile: an outage should not go through all chunks."""


class _Case:
    """A chunk that is not simply attempted and done: one that gave trouble, or one that is redriven."""

    def __init__(self, before: Mark | None = None) -> None:
        self.before = before
        self.deaths = 0
        self.failures = 0
        self.isolation: Isolation | None = None
        self.how = ""


class Jobs:
    """The chunks of a batch run that are planned and not done. warn: called with what whoever looks after it should
    know: of chunks that wait until source or sink can be reached, and of workers that died, three sentences for an item
    that kills workers, however many it kills."""

    def __init__(
        self, spec: BatchSpec, revision: int, groups: tuple[str, ...], warn: Callable[[str], None] = lambda _: None
    ) -> None:
        self._warn = warn
        self._spec = spec
        self._revision = revision
        self._groups = groups
        self._ready: deque[Job] = deque()
        self._later: list[tuple[int, int, Job]] = []
        self._quiet_until = 0
        self._cases: dict[int, _Case] = {}
        self._ids = itertools.count()
        self._open = 0
        self.retries: int = 0

    @property
    def waiting(self) -> int:
        return len(self._ready)

    @property
    def open(self) -> int:
        """Chunks that are not done."""
        return self._open

    def add(self, chunks: Iterable[Chunk], *, first: bool = False) -> None:
        """Chunks to be attempted."""
        for chunk in chunks:
            self._open += 1
            self._put(self._job("whole", chunk), first=first)

    def redrive(self, rows: Iterable[ChunkRow]) -> None:
        """Chunks whose dead letters are to be attempted again."""
        for row in rows:
            self._open += 1
            self._cases[row.chunk.number] = _Case(row.mark)
            self._put(self._job("whole", row.chunk))

    def _job(self, kind: JobKind, chunk: Chunk, stretch: Stretch = Stretch(0, 0)) -> Job:  # noqa: B008 frozen
        case = self._cases.get(chunk.number)
        redo = Redo(case.before.revision, self._groups) if case and case.before else None
        revision = self._revision if redo else 0
        return Job(next(self._ids), kind, chunk, redo, revision, stretch.low, stretch.high)

    def _put(self, job: Job, *, first: bool = False) -> None:
        if first:
            self._ready.appendleft(job)
        else:
            self._ready.append(job)

    def next(self, concurrency: int, now: int, *, sealed: bool) -> Job | None:
        """The next job, paced for the rate limit. now: milliseconds."""
        while self._later and self._later[0][0] <= now:
            self._put(heapq.heappop(self._later)[-1], first=True)
        if not self._ready or now < self._quiet_until:
            return None
        job = self._ready.popleft()
        if self._spec.rate_limit is None:
            return job
        sharing = min(concurrency, max(1, self._open)) if sealed else concurrency
        return msgspec.structs.replace(job, pace=sharing / self._spec.rate_limit)

    def take_back(self, jobs: Iterable[Job]) -> None:
        """Jobs that were given and not begun, or that were lost without blame."""
        for job in reversed(list(jobs)):
            self._put(job, first=True)

    def reported(self, job: Job, report: Report, now: int) -> Mark | Failure | None:
        """What follows: the mark of a chunk that is done, or why the batch run cannot go on. now: milliseconds."""
        number = job.chunk.number
        if report.fatal is not None:
            case = self._cases.setdefault(number, _Case())
            case.failures += 1
            wait = again_after(report.fatal, case.failures)
            if wait is None:
                return report.fatal
            self.retries += 1
            if wait:
                self._warn(f"chunk {number} is tried again in {wait:.0f} s: {report.fatal}")
                heapq.heappush(self._later, (now + round(wait * 1000), job.id, job))
                self._quiet_until = now + _QUIET
            else:
                self._put(job)
            return None
        if job.kind == "count":
            case = self._cases[number]
            case.isolation = Isolation(report.counts.items)
            self._isolate(job.chunk, case)
            return None
        if job.kind == "stretch":
            case = self._cases[number]
            assert case.isolation is not None
            case.isolation.end(Stretch(job.low, job.high))
            self._isolate(job.chunk, case)
            return None
        self._open -= 1
        self._quiet_until = 0
        return self._mark(job, report, self._cases.pop(number, None))

    def _mark(self, job: Job, report: Report, case: _Case | None) -> Mark:
        troubles = case.deaths + case.failures if case else 0
        return mark_of(job, report, case.before if case else None, troubles)

    def died(self, died: Died) -> Failure | None:
        """A worker died; why the batch run cannot go on, if so."""
        self.take_back(died.others)
        job = died.on
        if job is None:
            self._warn(f"a worker died ({died.how}) with no chunk in hand")
            return None
        self.retries += 1
        case = self._cases.setdefault(job.chunk.number, _Case())
        case.deaths += 1
        case.how = f"a worker process died ({died.how}) while it worked on this item"
        chunk = f"chunk {job.chunk.number}"
        if job.kind == "stretch":
            assert case.isolation is not None
            if job.high - job.low == 1:
                self._warn(f"{chunk}: item {job.low} kills workers ({died.how}), so it is a dead letter")
            case.isolation.kill(Stretch(job.low, job.high))
            self._isolate(job.chunk, case)
        elif job.kind == "whole" and case.deaths < WHOLE_ATTEMPTS:
            self._warn(f"a worker died ({died.how}) at attempt {case.deaths} of {chunk}, which is attempted again")
            self._put(job)
        elif job.kind == "whole":
            said = "the item that kills workers is looked for by halving"
            self._warn(f"a worker died ({died.how}) at attempt {case.deaths} of {chunk}: {said}")
            self._put(self._job("count", job.chunk), first=True)
        else:
            self._warn(f"a worker died ({died.how}) reading or writing {chunk}, before any item")
            case.failures += 1
            if case.failures >= ATTEMPTS:
                said = f"workers die ({died.how}) reading or writing chunk {job.chunk.number}, before any item"
                return Failure(("rota.WorkerDied",), said)
            self._put(job)
        return None

    def _isolate(self, chunk: Chunk, case: _Case) -> None:
        isolation = case.isolation
        assert isolation is not None
        while (stretch := isolation.next()) is not None:
            self._put(self._job("stretch", chunk, stretch), first=True)
        if isolation.is_done:
            job = self._job("assemble", chunk)
            stretches, killers = tuple(isolation.stretches()), tuple(sorted(isolation.killers))
            self._put(msgspec.structs.replace(job, stretches=stretches, killers=killers, died=case.how), first=True)
