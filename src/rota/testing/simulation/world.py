"""The world of the simulation: users, the clock, and what the checker must know of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import cast, get_args

import msgspec

from rota.core.errors import ConflictError, InvalidError, NotFoundError
from rota.core.retry import Retry
from rota.core.run import Delivery, Run, RunKey, RunSpec
from rota.core.schedule import Misfire, Overlap, Schedule, StoredSchedule
from rota.core.target import TaskTarget
from rota.core.triggers import AnyTrigger, Cron, Every
from rota.ports.runs import RunStore
from rota.ports.schedules import ScheduleQuery, ScheduleStore
from rota.service import schedules as service
from rota.testing.clock import FakeClock
from rota.testing.crash import Crash, Fuse
from rota.testing.ids import CountingIds
from rota.testing.simulation.engine import Engine
from rota.testing.stores import Stores

MINUTE = 60_000
TARGET = TaskTarget("work")
STEPS = (0, 1, 20, 1000, MINUTE, 7 * MINUTE, 45 * MINUTE)
LEAPS = (26 * 60 * MINUTE, 400 * MINUTE, -1, -5 * MINUTE, -90 * MINUTE)


@dataclass
class Reign:
    """The time during which one trigger was in force. first: its first tick; last: until when it was decided by, at
    least; None while it is in force."""

    trigger: AnyTrigger
    first: int
    last: int | None = None


@dataclass
class Life:
    """What happened to a schedule that the checker must know."""

    row: StoredSchedule
    reigns: list[Reign]
    meddled: bool = False


@dataclass
class World:
    """lives: every schedule that was ever seen. promised: runs whose acceptance was acknowledged. touched: runs that a
    user cancelled, or redrove from the dead letters."""

    stores: Stores
    seed: int
    lives: dict[str, Life] = field(default_factory=dict)
    promised: set[RunKey] = field(default_factory=set)
    touched: set[RunKey] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.random: Random = Random(self.seed)
        self.clock: FakeClock = FakeClock()
        self.engine: Engine = Engine(self.stores, self.random, self._meanwhile)
        self._names = CountingIds("s")
        self._busy = False

    def live(self, steps: int) -> None:
        """That many turns of users, engine and clock, then an end in which everything comes to rest."""
        for _ in range(steps):
            if self.random.random() < 0.5:
                self._act(self.random.random() < 0.2)
            self.engine.step(self.clock.now())
            self.clock.advance(self.random.choice(LEAPS if self.random.random() < 0.1 else STEPS))
        self._rest()

    def _rest(self) -> None:
        """Nobody dies any more; what is due is decided; then nothing new comes and what is open ends."""
        self.engine.mortal = False
        self._busy = True
        for _ in range(3):
            self.engine.step(self.clock.now())
        for row in self._all():
            if row.status == "active":
                service.pause(self.stores.schedules, row.id, "the end", "", self.clock.now())
        idle, begun = 0, -1
        while any(self.stores.runs.counts().get(state) for state in ("pending", "held", "running")):
            before, begun = begun, sum(len(attempts) for attempts in self.engine.begun.values())
            idle = idle + 1 if begun == before else 0
            assert idle < 50, f"runs that never end: {self.stores.runs.counts()}"
            self.engine.step(self.clock.advance(20 * MINUTE))

    def _all(self) -> list[StoredSchedule]:
        return self.stores.schedules.list(ScheduleQuery(limit=1000))

    def _meanwhile(self, _: int) -> None:
        if self.random.random() < 0.05:
            self.engine.interrupt(self.clock.now())
        if self.random.random() < 0.1:
            self._act(dies=False)

    def _act(self, dies: bool) -> None:
        """One user does one thing, and perhaps dies on the way; nobody is interrupted by another user."""
        if self._busy:
            return
        self._busy = True
        fuse = Fuse(
            self.random.randint(1, 5) if dies else None, after=self.random.random() < 0.5, meanwhile=self._meanwhile
        )
        before = {row.id: row for row in self._all()}
        try:
            self._do(fuse.wrap(self.stores.schedules), fuse.wrap(self.stores.runs))
        except (Crash, ConflictError, NotFoundError, InvalidError):
            pass
        finally:
            self._watch(before)
            self._busy = False

    def _do(self, schedules: ScheduleStore, runs: RunStore) -> None:
        now, rows = self.clock.now(), self._all()
        weights: list[tuple[int, Callable[[], None]]] = [
            (3, lambda: self._create(schedules, now)),
            (4, lambda: self._one_off(runs, now)),
            (2, lambda: self._redrive(runs, now)),
            (1, lambda: self._cancel(runs, now)),
        ]
        if rows:
            row = self.random.choice(rows)
            weights += [
                (2, lambda: self._pause_or_resume(schedules, row, now)),
                (2, lambda: self._update(schedules, row, now)),
                (1, lambda: self._trigger(schedules, runs, row, now)),
                (1, lambda: service.delete(schedules, runs, row.id, now)),
            ]
        self.random.choices([do for _, do in weights], [weight for weight, _ in weights])[0]()

    def _watch(self, before: dict[str, StoredSchedule]) -> None:
        """See what became of the schedules, whether it was acknowledged or not."""
        after = {row.id: row for row in self._all()}
        for name, row in after.items():
            life = self.lives.get(name)
            if life is None:
                assert row.state.next_tick is not None
                self.lives[name] = Life(row, [Reign(row.schedule.trigger, row.state.next_tick)])
                continue
            life.row = row
            if row.schedule.trigger != life.reigns[-1].trigger:
                life.reigns[-1].last = self._decided(before[name])
                if row.state.next_tick is not None:
                    life.reigns.append(Reign(row.schedule.trigger, row.state.next_tick))
        for name, row in before.items():
            if name not in after:
                self.lives[name].reigns[-1].last = self._decided(row)

    def _decided(self, row: StoredSchedule) -> int:
        """Until when an edit decides that finds the schedule in this state. A finished one has nothing to decide."""
        if row.state.next_tick is None:
            return -1
        return max(self.clock.now() if row.state.paused is None else 0, row.state.next_tick - 1)

    def _trigger_value(self) -> AnyTrigger:
        return self.random.choice(
            (
                Every(self.random.choice(("1m", "7m", "3h"))),
                Every("10m", exclude=("2026-01-01", "2026-01-02T00:10:00Z")),
                Cron("0 0/15 8-17 * * ?", timezone="Europe/Berlin"),
                Cron("0 0 0/2 * * ?"),
            )
        )

    def _spec(self) -> tuple[Retry | None, Delivery]:
        retry = self.random.choice((None, Retry(attempts=3, initial=2)))
        return retry, "at_least_once" if retry or self.random.random() < 0.7 else "at_most_once"

    def _create(self, schedules: ScheduleStore, now: int) -> None:
        retry, delivery = self._spec()
        overlap = cast("Overlap", self.random.choice(get_args(Overlap)))
        misfires = get_args(Misfire) if overlap in ("allow", "queue_all") else ("skip", "once", "earliest")
        schedule = Schedule(
            id=self._names(),
            trigger=self._trigger_value(),
            target=TARGET,
            misfire=cast("Misfire", self.random.choice(misfires)),
            grace=self.random.choice((0, 60, 3600)),
            overlap=overlap,
            max_executions=self.random.choice((None, None, 1, 4)),
            retry=retry,
            delivery=delivery,
        )
        service.create(schedules, [schedule], now)

    def _one_off(self, runs: RunStore, now: int) -> None:
        due = now + self.random.choice((-1000, 0, 5, MINUTE, 300 * MINUTE))
        run = Run(self._names(), due, due, RunSpec(TARGET, *self._one_off_policy()))
        runs.accept([run])
        self.promised.add(run.key)

    def _one_off_policy(self) -> tuple[Retry | None, None, Delivery]:
        retry, delivery = self._spec()
        return retry, None, delivery

    def _redrive(self, runs: RunStore, now: int) -> None:
        letters = self.stores.runs.dead_letters(None, 5)
        if not letters:
            return
        letter = self.random.choice(letters)
        key = RunKey(letter.schedule_id, letter.scheduled)
        self._meddle(key)
        if self.random.random() < 0.3:
            runs.purge([key])
        else:
            runs.redrive([key], now)

    def _cancel(self, runs: RunStore, now: int) -> None:
        keys = [run.key for run in self.stores.runs.due(now + 300 * MINUTE, 5)]
        keys += [claim.run.key for claim in self.stores.runs.running()]
        if keys:
            key = self.random.choice(sorted(keys))
            self._meddle(key)
            runs.cancel([key], now)

    def _meddle(self, key: RunKey) -> None:
        self.touched.add(key)
        if key.schedule_id in self.lives:
            self.lives[key.schedule_id].meddled = True

    def _pause_or_resume(self, schedules: ScheduleStore, row: StoredSchedule, now: int) -> None:
        if row.state.paused is None:
            service.pause(schedules, row.id, "ann", "", now)
        else:
            service.resume(schedules, row.id, now)

    def _update(self, schedules: ScheduleStore, row: StoredSchedule, now: int) -> None:
        trigger = self._trigger_value()
        service.update(schedules, row.id, lambda schedule: msgspec.structs.replace(schedule, trigger=trigger), now)

    def _trigger(self, schedules: ScheduleStore, runs: RunStore, row: StoredSchedule, now: int) -> None:
        self.lives[row.id].meddled = True
        self.promised.add(service.trigger(schedules, runs, row.id, None, now).key)
