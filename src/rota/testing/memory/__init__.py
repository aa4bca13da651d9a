"""In-memory stores: every obligation of the ports but durability."""

from rota.testing.memory.batches import MemoryBatchStore
from rota.testing.memory.queues import MemoryQueueStore
from rota.testing.memory.runs import MemoryRunStore
from rota.testing.memory.schedules import MemoryScheduleStore
from rota.testing.memory.state import MemoryState

__all__ = [
    "MemoryBatchStore",
    "MemoryQueueStore",
    "MemoryRunStore",
    "MemoryScheduleStore",
    "MemoryState",
    "MemoryStores",
]


class MemoryStores:
    """The stores over one state."""

    def __init__(self) -> None:
        self.state: MemoryState = MemoryState()
        self.schedules: MemoryScheduleStore = MemoryScheduleStore(self.state)
        self.runs: MemoryRunStore = MemoryRunStore(self.state)
        self.queues: MemoryQueueStore = MemoryQueueStore()
        self.batches: MemoryBatchStore = MemoryBatchStore(self.state, self.runs)
