"""What a function opens to work on a batch run: its source, its sink, its task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from rota.aws.batch.places import S3Places
from rota.connectors.open import open_folder
from rota.connectors.payload_argument import with_payload
from rota.connectors.stored import GENERATOR, generator_of, is_text, open_stored_sink, open_stored_source
from rota.core.batch import Batch, BatchRun, filled
from rota.core.errors import NotFoundError
from rota.core.payload import decode_payload
from rota.core.task import Task
from rota.ports.sink import Sink
from rota.ports.source import Source
from rota.processing.calls import Calls

PATIENCE = 3.0
"""Seconds that a function waits for an item's next attempt; what has to wait longer is put off."""
SEEKERS = 16
"""Cuts that a planner looks for at the same time: most of that is waiting for S3."""
_KEPT = 4


class Bench(NamedTuple):
    """What is open for one batch run."""

    source: Source
    sink: Sink
    calls: Calls
    places: S3Places


class Benches:
    """tasks, batches: of the app. patience: seconds."""

    def __init__(
        self, tasks: Mapping[str, Task[..., Any]], batches: Mapping[str, Batch], patience: float = PATIENCE
    ) -> None:
        self._tasks = tasks
        self._batches = batches
        self._patience = patience
        self._open: dict[str, Bench] = {}

    def bench(self, run: BatchRun) -> Bench:
        """What is open for `run`, with its sink prepared. Raises NotFoundError for a task that the app does not have,
        and what source and sink raise."""
        known = self._open.pop(run.id, None)
        if known is None:
            known = self._make(run)
        self._open[run.id] = known
        while len(self._open) > _KEPT:
            self._open.pop(next(iter(self._open)))
        return known

    def _make(self, run: BatchRun) -> Bench:
        spec = run.spec
        if spec.task not in self._tasks:
            hint = f"the app of the stack has {', '.join(sorted(self._tasks)) or 'none'}; deploy it anew"
            raise NotFoundError("task", spec.task, hint)
        places = places_of(run)
        source = open_stored_source(filled(spec.source, run.id), f"{run.place}/spool")
        sink = prepared_sink(run)
        calls = Calls(
            self._tasks[spec.task],
            spec.retry,
            key=run.id,
            text=is_text(spec.source),
            async_limit=spec.async_limit,
            patience=self._patience,
        )
        return Bench(source, sink, calls, places)

    def plannable(self, run: BatchRun) -> Source:
        """The source of `run`, to be planned. NotFoundError if its generator is not in the app."""
        options, spool = filled(run.spec.source, run.id), f"{run.place}/spool"
        return open_stored_source(options, spool, self._generator(run), SEEKERS)

    def _generator(self, run: BatchRun) -> Callable[..., Iterable[object]] | None:
        if run.spec.source.get("type") != GENERATOR:
            return None
        declared = self._batches.get(run.name)
        make = None if declared is None else generator_of(declared.source)
        if make is None:
            raise NotFoundError("batch", run.name, "the app of the stack does not declare it with its generator")
        return with_payload(make, decode_payload(run.spec.payload))


def places_of(run: BatchRun) -> S3Places:
    """The files of a batch run."""
    return S3Places(open_folder(run.place))


def prepared_sink(run: BatchRun) -> Sink:
    """Its sink, which must be free for it. Raises what the sink does."""
    sink = open_stored_sink(filled(run.spec.sink, run.id))
    sink.check()
    sink.prepare(run.id)
    return sink
