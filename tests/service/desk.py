"""A client on stores in memory with a clock that stands still, and the engine's part played step by step."""

from __future__ import annotations

from rota.app import App
from rota.client import Client
from rota.core.ids import iso
from rota.core.outcome import Failure, Result
from rota.core.run import Claim, Run
from rota.core.schedule import TickRow
from rota.ports.schedules import ScheduleStore
from rota.service.tick import tick
from rota.service.work import no_task_policy, settle
from rota.testing import CountingIds, FakeClock, MemoryStores

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000


class Desk:
    """stores, clock (at 2026-01-01T00:00:00Z) and client. notified: how often an engine would have been woken."""

    def __init__(self, app: App | None = None, schedules: ScheduleStore | None = None) -> None:
        self.stores = MemoryStores()
        self.clock = FakeClock()
        self.notified = 0
        self.slept: list[float] = []
        self.client = Client(
            schedules or self.stores.schedules,
            self.stores.runs,
            self.stores.queues,
            self.stores.batches,
            self.clock,
            CountingIds("once"),
            app=app,
            actor="ada@desk",
            notify=self._count,
            sleep=self._sleep,
        )

    def _count(self) -> None:
        self.notified += 1

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(round(seconds * 1000))

    def tick(self) -> None:
        """Decide on all that is due."""
        while tick(self.stores.schedules, self.clock.now()):
            pass

    def work(self, took: int = 10, failure: Failure | None = None) -> list[Run]:
        """Start and end all runs that are due."""
        runs = self.start()
        now = self.clock.advance(took)
        result = Result(now - took, now, failure=failure)
        settle(self.stores.runs, [(run, result) for run in runs], no_task_policy)
        return runs

    def start(self) -> list[Run]:
        """Claim all runs that are due."""
        now = self.clock.now()
        runs = self.stores.runs.due(now, 1000)
        self.stores.runs.claim([Claim(run, now) for run in runs])
        return runs

    def pass_by(self, by: int, step: int = SECOND) -> None:
        """Let time pass with an engine that ticks and works at every step."""
        end = self.clock.now() + by
        while self.clock.now() < end:
            self.clock.set(min(end, self.clock.now() + step))
            self.tick()
            self.work(0)

    def ledger(self, id: str) -> list[TickRow]:
        """The ledger, oldest first."""
        return self.client.schedules.ticks(id, limit=10_000)[::-1]

    def fired(self, id: str) -> list[str]:
        return [iso(row.scheduled) for row in self.ledger(id) if row.outcome == "fired"]
