"""What has to be there before the first chunk is attempted: what workers are told, and the sink."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rota.connectors.stored import open_stored_sink
from rota.core.batch import BatchRun, filled
from rota.core.errors import ConflictError, NotFoundError, StoreError
from rota.core.task import Task
from rota.embedded.batch.messages import Setup
from rota.embedded.batch.places import Places
from rota.ports.sink import Sink


def setup_of(run: BatchRun, tasks: Mapping[str, Task[..., Any]]) -> Setup:
    """What a worker of `run` is told first. NotFoundError if there is no such task."""
    spec = run.spec
    if spec.task not in tasks:
        known = ", ".join(sorted(tasks)) or "none"
        raise NotFoundError("task", spec.task, f"the tasks of the app that is served are: {known}")
    module = tasks[spec.task].function.__module__
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return Setup(
        name=run.name,
        created=run.created,
        module=module,
        file=str(file),
        path=list(sys.path),
        environ=dict(os.environ),
        cwd=str(Path.cwd()),
        task=spec.task,
        source=filled(spec.source, run.id),
        sink=filled(spec.sink, run.id),
        directory=run.place,
        lock=str(Places(run.place).lock),
        retry=spec.retry,
        async_limit=spec.async_limit,
        memory=spec.worker_memory,
    )


def prepared_sink(run: BatchRun) -> Sink:
    """The sink, ready. What a database that is a sink cannot do is not to be taken for our store's failure, which
    passes."""
    sink = open_stored_sink(filled(run.spec.sink, run.id))
    try:
        sink.check()
        sink.prepare(run.id)
    except StoreError as error:
        raise ConflictError(f"the sink cannot be used: {error}", batch_run=run.id) from error
    return sink
