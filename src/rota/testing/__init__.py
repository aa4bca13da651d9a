"""The test kit: stores in memory, a clock that stands still, a fuse that kills, and the tests that the stores of every
engine pass (`rota.testing.conformance`, which needs pytest)."""

from rota.testing.clock import FakeClock
from rota.testing.crash import Crash, Fuse
from rota.testing.ids import CountingIds
from rota.testing.memory import MemoryStores

__all__ = ["CountingIds", "Crash", "FakeClock", "Fuse", "MemoryStores"]
