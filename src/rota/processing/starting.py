"""A batch as the target of a schedule: its run starts a batch run, and has succeeded once that is accepted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from rota.connectors.stored import sink_json, source_json
from rota.core.batch import Batch
from rota.core.run import Run
from rota.core.target import BatchTarget
from rota.ports.batches import BatchStore
from rota.ports.clock import Clock
from rota.ports.target import TargetCall
from rota.service.batches import Surroundings, find_batch, new_run


def batch_call(
    store: BatchStore,
    batches: Mapping[str, Batch],
    around: Surroundings,
    clock: Clock,
    notify: Callable[[], None],
) -> TargetCall:
    """A call that accepts a batch run, caused by the run and so accepted once, and answers its id."""

    def call(run: Run) -> bytes | None:
        assert isinstance(run.spec.target, BatchTarget)
        batch = find_batch(batches, run.spec.target.name)
        source, sink = source_json(batch.source), sink_json(batch.sink)
        made = new_run(batch, source, sink, around, clock.now(), payload=run.payload, cause=run.id)
        [accepted] = store.accept([made])
        notify()
        return msgspec.json.encode({"batch_run": accepted.id})

    return call
