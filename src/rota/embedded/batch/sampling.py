"""Looking before leaping: the plan of a batch run, and a sample of it, with nothing stored.

A sample does run the task, with whatever the task does to the world; only results and dead letters are thrown away.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from rota.connectors.payload_argument import with_payload
from rota.connectors.stored import is_spooled, open_stored_source
from rota.core.batch import BatchRun, filled
from rota.core.chunk import Chunk
from rota.core.errors import SourceError
from rota.core.estimate import Estimate, Probe, estimate, spread
from rota.core.payload import decode_payload
from rota.core.task import Task
from rota.embedded.batch.conductor import Generate
from rota.embedded.batch.forge import Forge
from rota.embedded.batch.opening import setup_of
from rota.embedded.batch.workers import Lifeline, Workers
from rota.processing.jobs import Job, Report

CHUNKS = 20
"""How many chunks are sampled; of what is read as a stream, also how many are made."""
FAR = 1_000_000
BEGINNING_ITEMS = 100_000
BEGINNING_SECONDS = 10.0
_GOLDEN = 0.618034


class Plan(msgspec.Struct, frozen=True):
    """What would be done. chunks: at most as many as were asked for; complete: whether those are all. items: as far
    as the
    planner knows. size: bytes of the origins."""

    chunks: int
    complete: bool
    items: int | None
    size: int
    origins: int
    first: tuple[Chunk, ...]


def planned(run: BatchRun, spool: Path, generator: Generate | None) -> Iterator[Chunk]:
    """The chunks of a batch run that is not stored."""
    make = None if generator is None else with_payload(generator, decode_payload(run.spec.payload))
    source = open_stored_source(filled(run.spec.source, run.id), spool, make)
    if generator is None:
        source.check()
    return source.plan(run.spec.size)


def plan_of(run: BatchRun, generator: Generate | None, most: int = 1_000_000) -> Plan:
    """The plan of `run`. What is read as a stream is planned only 100 chunks far: its chunks take up room."""
    most = min(most, 100) if is_spooled(run.spec.source) else most
    with tempfile.TemporaryDirectory(prefix="rota-plan-") as spool:
        return _counted(islice(planned(run, Path(spool), generator), most + 1), most)


def _counted(chunks: Iterable[Chunk], most: int) -> Plan:
    count = items = size = origins = 0
    known = True
    first: list[Chunk] = []
    before = None
    for chunk in chunks:
        if count == most:
            return Plan(count, complete=False, items=None, size=size, origins=origins, first=tuple(first))
        count += 1
        known = known and chunk.items is not None
        items += chunk.items or 0
        if chunk.origin != before:
            before = chunk.origin
            origins += 1
            size += chunk.origin.size
        if len(first) < 5:
            first.append(chunk)
    return Plan(count, complete=True, items=items if known else None, size=size, origins=origins, first=tuple(first))


def sample(run: BatchRun, tasks: Mapping[str, Task[..., Any]], generator: Generate | None, items: int) -> Estimate:
    """Attempt about `items` items, spread over the source, in worker processes, and say what the whole will be like. Of
    a stream or a generator only the beginning is seen."""
    with tempfile.TemporaryDirectory(prefix="rota-sample-") as place:
        root = Path(place)
        plan = planned(run, root / "spool", generator)
        chunks, complete = _beginning(plan) if is_spooled(run.spec.source) else _far(plan)
        chosen = [chunks[at] for at in spread(len(chunks), min(CHUNKS, max(1, items)))]
        sampled = msgspec.structs.replace(
            run,
            directory=place,
            spec=msgspec.structs.replace(run.spec, sink={"type": "parts", "path": f"{place}/sink/"}),
        )
        probes = _probe(sampled, tasks, chosen, -(-items // max(1, len(chosen))))
        known = [chunk.items for chunk in chunks if chunk.items is not None]
        total = sum(known) if len(known) == len(chunks) else None
        spec = run.spec
        return estimate(
            probes,
            len(chunks),
            complete=complete,
            concurrency=spec.concurrency,
            rate_limit=spec.rate_limit,
            items=total,
        )


def _far(plan: Iterator[Chunk]) -> tuple[list[Chunk], bool]:
    chunks = list(islice(plan, FAR + 1))
    return chunks[:FAR], len(chunks) <= FAR


def _beginning(plan: Iterator[Chunk]) -> tuple[list[Chunk], bool]:
    """The first chunks of what is read as a stream, within bounds on their number, items and the time to make them."""
    chunks: list[Chunk] = []
    deadline = time.monotonic() + BEGINNING_SECONDS
    items = 0
    for chunk in plan:
        if len(chunks) == CHUNKS or items >= BEGINNING_ITEMS or (chunks and time.monotonic() > deadline):
            return chunks, False
        chunks.append(chunk)
        items += chunk.items or 0
    return chunks, True


def _probe(run: BatchRun, tasks: Mapping[str, Task[..., Any]], chunks: list[Chunk], each: int) -> list[Probe]:
    forge, lifeline = Forge(), Lifeline()
    workers = Workers(setup_of(run, tasks), run.spec.concurrency, forge, lifeline)
    try:
        counted = _reports(workers, [Job(at, "count", chunk) for at, chunk in enumerate(chunks)])
        jobs = []
        for at, chunk in enumerate(chunks):
            # Not always the first items: records often repeat with a period, as chunks do.
            low = round(max(0, counted[at].counts.items - each) * (at * _GOLDEN % 1))
            jobs.append(Job(at, "sample", chunk, low=low, high=low + each))
        tried = _reports(workers, jobs)
    finally:
        workers.close()
        lifeline.close()
        forge.close()
    return [
        Probe(one.counts.items, other.counts.items, other.counts.failed, other.seconds, other.size)
        for one, other in zip(counted, tried, strict=True)
    ]


def _reports(workers: Workers, jobs: list[Job]) -> list[Report]:
    """What becomes of jobs numbered from 0; SourceError if one cannot be done."""
    found: dict[int, Report] = {}
    waiting = list(jobs)
    while len(found) < len(jobs):
        while waiting and workers.room() > 0:
            workers.give(waiting.pop(0))
        reported, died, fatal = workers.poll(1.0)
        for job, report in reported:
            if report.fatal is not None:
                raise SourceError(f"the sample failed: {report.fatal}")
            found[job.id] = report
        if fatal is not None or died:
            raise SourceError(f"the sample failed: {fatal or f'a worker process died ({died[0].how})'}")
    return [found[at] for at in range(len(jobs))]
