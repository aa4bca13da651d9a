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
from tests.crash.tasks import DECLARED

from rota import wiring
from rota.core.errors import ConflictError, NotFoundError
from rota.core.run import Delivery
from rota.core.schedule import Misfire, Overlap, StoredSchedule
from rota.core.triggers import AnyTrigger, Cron, Every

MOST_ACTIVE = 24
_encode = msgspec.json.Encoder().encode


class Meddler:
    def __init__(self, database: str, acknowledged: Path, seed: str) -> None:
        self._client = wiring.connect(f"sqlite:///{database}")
        self._dice = random.Random(seed)
        self._name = f"every-{seed}-{os.getpid()}"
        self._count = 0
        self._acknowledged = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def _acknowledge(self, *values: Acknowledged | OneOff) -> None:
        os.write(self._acknowledged, b"".join(_encode(value) + b"\n" for value in values))
        os.fdatasync(self._acknowledged)

    def step(self) -> None:
        dice, rows = self._dice, self._client.schedules.list(limit=1000)
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
        delivery, first = self._delivery(), time.time()
        rows = [(first + self._dice.uniform(-0.05, 0.7), self._payload()) for _ in range(self._dice.choice((1, 1, 10)))]
        if len(rows) == 1:
            ids = [self._client.at(rows[0][0], self._task(), rows[0][1], delivery=delivery)]
        else:
            ids = self._client.at_many(rows, self._task(), delivery=delivery)
        self._acknowledge(*(OneOff(id, delivery) for id in ids))

    def schedule(self) -> None:
        dice = self._dice
        self._count += 1
        trigger: AnyTrigger = dice.choice(
            (Every(dice.randrange(100, 501) / 1000), Every(dice.choice((0.1, 0.25, 0.5))), Cron("* * * * * ?"))
        )
        misfire: Misfire = dice.choice(("skip", "once", "earliest", "all"))
        catches_up: tuple[Overlap, ...] = ("allow", "queue_all")
        overlap: Overlap = dice.choice(
            catches_up if misfire == "all" else (*catches_up, "skip", "queue_one", "cancel_previous")
        )
        made = self._client.schedules.create(
            f"{self._name}-{self._count}",
            trigger,
            self._task(),
            payload=self._payload(),
            misfire=misfire,
            grace=dice.choice((0.0, 0.15, 1.0)),
            overlap=overlap,
            max_executions=dice.choice((None, None, dice.randrange(1, 20))),
            delivery=self._delivery(),
        )
        self._acknowledge(Acknowledged(made))

    def change(self, kind: str, row: StoredSchedule) -> None:
        service = self._client.schedules
        try:
            if kind == "pause":
                service.pause(row.id)
            elif kind == "resume":
                service.resume(row.id)
            elif kind == "trigger":
                self._acknowledge(OneOff(service.trigger(row.id), row.schedule.delivery, may_be_cancelled=True))
            elif row.id not in DECLARED:
                # Who made it may have been killed before it could write that down.
                self._acknowledge(Acknowledged(row))
                service.delete(row.id)
        except (ConflictError, NotFoundError):
            return

    def _task(self) -> str:
        return "task:" + self._dice.choice(("quick", "quick", "slow", "nap", "flaky"))

    def _payload(self) -> dict[str, float]:
        return {"seconds": self._dice.choice((0.002, 0.02, 0.15, 0.3))}

    def _delivery(self) -> Delivery:
        return self._dice.choice(("at_least_once", "at_least_once", "at_least_once", "at_most_once"))


def main(database: str, acknowledged: Path, seed: str) -> None:
    meddler = Meddler(database, acknowledged, seed)
    while True:
        meddler.step()
        time.sleep(0.02)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
