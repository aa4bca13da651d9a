"""The other process: it makes schedules and one-offs, pauses, resumes, triggers and deletes, and writes down what was
acknowledged:

    python -m tests.crash.meddle DATABASE ACKNOWLEDGED SEED

A line of ACKNOWLEDGED is written and synced only after the call has returned, so whatever it names must survive.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

import msgspec
from tests.crash.history import Acknowledged, OneOff

from rota.core.errors import ConflictError, NotFoundError
from rota.core.payload import encode_payload
from rota.core.run import Delivery, Run, RunSpec
from rota.core.schedule import Misfire, Overlap, Schedule, StoredSchedule
from rota.core.target import TaskTarget
from rota.core.triggers import AnyTrigger, Cron, Every
from rota.embedded.sqlite.file import SqliteFile
from rota.embedded.system import RandomIds, SystemClock
from rota.ports.schedules import ScheduleQuery
from rota.service import schedules

MOST_ACTIVE = 24
_encode = msgspec.json.Encoder().encode


class Meddler:
    def __init__(self, database: Path, acknowledged: Path, seed: str) -> None:
        self._file = SqliteFile(database)
        self._clock = SystemClock()
        self._ids = RandomIds()
        self._dice = random.Random(seed)
        self._acknowledged = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def _acknowledge(self, *values: Acknowledged | OneOff) -> None:
        os.write(self._acknowledged, b"".join(_encode(value) + b"\n" for value in values))
        os.fdatasync(self._acknowledged)

    def step(self) -> None:
        dice, rows = self._dice, self._file.schedules.list(ScheduleQuery(limit=1000))
        active = [row for row in rows if row.status == "active"]
        kind = dice.choices(
            ("one_offs", "schedule", "pause", "resume", "delete", "trigger"),
            (50, 12 if len(active) < MOST_ACTIVE else 0, 4, 8, 3 + len(active) // 5, 4),
        )[0]
        if kind == "one_offs":
            self.one_offs()
        elif kind == "schedule":
            self.schedule()
        elif rows:
            self.change(kind, dice.choice(rows))

    def one_offs(self) -> None:
        now = self._clock.now()
        made = []
        for _ in range(self._dice.choice((1, 1, 1, 2, 10))):
            at = now + self._dice.randrange(-50, 700)
            target, payload = self._work()
            made.append(Run(self._ids.new(), at, at, RunSpec(target, delivery=self._delivery()), payload))
        self._file.runs.accept(made)
        self._acknowledge(*(OneOff(run.id, run.spec.delivery) for run in made))

    def schedule(self) -> None:
        dice = self._dice
        trigger: AnyTrigger = dice.choice(
            (Every(dice.randrange(100, 501) / 1000), Every(dice.choice((0.1, 0.25, 0.5))), Cron("* * * * * ?"))
        )
        misfire: Misfire = dice.choice(("skip", "once", "earliest", "all"))
        overlap: Overlap = dice.choice(
            ("allow", "queue_all")
            if misfire == "all"
            else ("allow", "skip", "queue_one", "queue_all", "cancel_previous")
        )
        target, payload = self._work()
        schedule = Schedule(
            id=self._ids.new().replace("once", "every"),
            trigger=trigger,
            target=target,
            payload=payload,
            misfire=misfire,
            grace=dice.choice((0.0, 0.15, 1.0)),
            overlap=overlap,
            max_executions=dice.choice((None, None, dice.randrange(1, 20))),
            delivery=self._delivery(),
        )
        created = schedules.create(self._file.schedules, [schedule], self._clock.now())
        self._acknowledge(*map(Acknowledged, created))

    def change(self, kind: str, row: StoredSchedule) -> None:
        store, now = self._file.schedules, self._clock.now()
        try:
            if kind == "pause":
                schedules.pause(store, row.id, "meddler", "", now)
            elif kind == "resume":
                schedules.resume(store, row.id, now)
            elif kind == "trigger":
                run = schedules.trigger(store, self._file.runs, row.id, None, now)
                self._acknowledge(OneOff(run.id, run.spec.delivery, may_be_cancelled=True))
            else:
                schedules.delete(store, self._file.runs, row.id, now)
        except (ConflictError, NotFoundError):
            return

    def _work(self) -> tuple[TaskTarget, bytes]:
        name = self._dice.choice(("quick", "quick", "slow", "nap", "flaky"))
        return TaskTarget(name), encode_payload({"seconds": self._dice.choice((0.002, 0.02, 0.15, 0.3))})

    def _delivery(self) -> Delivery:
        return self._dice.choice(("at_least_once", "at_least_once", "at_least_once", "at_most_once"))


def main(database: Path, acknowledged: Path, seed: str) -> None:
    meddler = Meddler(database, acknowledged, seed)
    while True:
        meddler.step()
        time.sleep(0.02)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
