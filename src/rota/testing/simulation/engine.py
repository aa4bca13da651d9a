"""The engine of the simulation: what an embedded engine does, in one thread and at the pace of the simulation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from rota.core.outcome import Failure, Result
from rota.core.run import Claim, Run, RunKey
from rota.ports.runs import RunStore
from rota.service.tick import tick
from rota.service.work import no_task_policy, recover, settle
from rota.testing.crash import Crash, Fuse
from rota.testing.stores import Stores

BOOM = Failure(("ValueError", "Exception"), "boom")


@dataclass
class Attempt:
    """An attempt in progress. claimed: the store knows that it began."""

    run: Run
    started: int
    ends: int
    claimed: bool


@dataclass
class Engine:
    """Restarts as often as it dies. begun: when every attempt of every run began, which no crash forgets."""

    stores: Stores
    random: Random
    meanwhile: Callable[[int], None]
    begun: dict[RunKey, list[int]] = field(default_factory=dict)
    running: dict[RunKey, Attempt] = field(default_factory=dict)
    deaths: int = 0
    mortal: bool = True
    overlaps: list[tuple[RunKey, RunKey]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._alive = False
        self._recording = False
        self._fuse = Fuse()

    def step(self, now: int) -> None:
        """Do what there is to do at `now`; if it dies on the way, the next step starts it again."""
        self._recording = False
        try:
            if not self._alive:
                self._start(now)
            self._decide(now)
            self._begin(now)
            self._end(now)
            self._recording = False
        except Crash:
            self.deaths += 1
            self._alive = False
            self.running.clear()

    def _start(self, now: int) -> None:
        dies_at = self.random.randint(1, 60) if self.mortal else None
        self._fuse = Fuse(dies_at, after=self.random.random() < 0.5, meanwhile=self.meanwhile)
        recover(self._runs, no_task_policy, now)
        self._alive = True

    @property
    def _runs(self) -> RunStore:
        return self._fuse.wrap(self.stores.runs)

    def _decide(self, now: int) -> None:
        schedules, lead = self._fuse.wrap(self.stores.schedules), self.random.choice((0, 0, 5, 1000))
        for _ in range(20):
            if not tick(schedules, now, lead, self.random.choice((1, 500))):
                break

    def _begin(self, now: int) -> None:
        due = [run for run in self._runs.due(now, 200) if run.key not in self.running]
        for run in due:
            once = run.spec.delivery == "at_most_once"
            claimed = once or self.random.random() < 0.5
            if claimed and not self._runs.claim([Claim(run, now)])[0]:
                continue
            self._note(run, now)
            self.running[run.key] = Attempt(run, now, now + self.random.choice((0, 0, 50, 90_000, 1_200_000)), claimed)

    def _note(self, run: Run, now: int) -> None:
        self.begun.setdefault(run.key, []).append(now)
        self.overlaps += [(key, run.key) for key in self.running if key.schedule_id == run.schedule_id]

    def _end(self, now: int) -> None:
        over = [attempt for attempt in self.running.values() if attempt.ends <= now or self.random.random() < 0.05]
        late = [one for one in self.running.values() if not one.claimed and self.random.random() < 0.5]
        self._recording = True
        self._record(self._runs, over, late, now)

    def interrupt(self, now: int) -> None:
        """Let an attempt end in the middle of something else, as the recording thread of a real engine does."""
        if self._alive and not self._recording and self.running:
            self._record(self.stores.runs, [self.random.choice(list(self.running.values()))], [], now)

    def _record(self, runs: RunStore, over: list[Attempt], late: list[Attempt], now: int) -> None:
        pairs = [(attempt.run, self._result(attempt, now)) for attempt in over]
        settle(runs, pairs, no_task_policy, [Claim(one.run, one.started) for one in late])
        for attempt in late:
            attempt.claimed = True
        for attempt in over:
            del self.running[attempt.run.key]

    def _result(self, attempt: Attempt, now: int) -> Result:
        finished = max(now, attempt.started)
        if self.random.random() < 0.3:
            return Result(attempt.started, finished, failure=BOOM)
        return Result(attempt.started, finished, b'"done"')
