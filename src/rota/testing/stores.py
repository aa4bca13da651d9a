"""What a test wants of an engine's stores: that they share their data."""

from __future__ import annotations

from typing import Protocol

from rota.ports.batches import BatchStore
from rota.ports.queues import QueueStore
from rota.ports.runs import RunStore
from rota.ports.schedules import ScheduleStore


class Stores(Protocol):
    """The stores of one engine, over the same data."""

    @property
    def schedules(self) -> ScheduleStore: ...
    @property
    def runs(self) -> RunStore: ...
    @property
    def queues(self) -> QueueStore: ...
    @property
    def batches(self) -> BatchStore: ...
