"""Send the payload to an embedded queue."""

from __future__ import annotations

from rota.core.run import Run
from rota.core.target import QueueTarget
from rota.ports.clock import Clock
from rota.ports.queues import NewMessage, QueueStore
from rota.ports.target import TargetCall


def queue_call(queues: QueueStore, clock: Clock) -> TargetCall:
    """A call that sends; the run id makes a repeated send within the queue harmless."""

    def call(run: Run) -> bytes | None:
        assert isinstance(run.spec.target, QueueTarget)
        now = clock.now()
        queues.send([NewMessage(run.spec.target.name, run.payload, now, run.id)], now)
        return None

    return call
