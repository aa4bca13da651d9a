"""The app under fire: tasks that leave a line in a log at their beginning and at their end.

A line is `RUN_ID ATTEMPT LIFE begin|end MS`, appended by one small write, so that a kill leaves it whole or not at all.
LIFE names one engine process; a line `- 0 LIFE ready MS` says that it began to serve.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from rota.app import App
from rota.core.current import current_run
from rota.core.retry import Retry
from rota.core.triggers import Cron, Every

DECLARED = {"declared-every", "declared-cron", "declared-queue", "declared-once"}
"""The schedules of the app, which every engine stores anew at its start."""


class Log:
    """Appends lines to the file at `path` for the engine process `life`."""

    def __init__(self, path: Path, life: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._life = life

    def write(self, kind: str, run: str = "-", attempt: int = 0) -> None:
        os.write(self._file, f"{run} {attempt} {self._life} {kind} {time.time_ns() // 1_000_000}\n".encode())

    def here(self, kind: str) -> None:
        """A line for the run that this task is part of."""
        run = current_run()
        self.write(kind, run.id, run.attempt)


def make_app(log: Log) -> App:
    app = App("crash")

    @app.task
    def quick() -> None:
        log.here("begin")
        log.here("end")

    @app.task
    def slow(payload: dict[str, float]) -> None:
        log.here("begin")
        time.sleep(payload["seconds"])
        log.here("end")

    @app.task
    async def nap(payload: dict[str, float]) -> None:
        log.here("begin")
        await asyncio.sleep(payload["seconds"])
        log.here("end")

    @app.task(retry=Retry(attempts=3, initial=0.03, jitter="none"))
    def flaky() -> None:
        log.here("begin")
        log.here("end")
        if current_run().attempt == 1:
            raise ValueError("the first attempt always fails")

    app.schedule("declared-every", Every(0.2), quick, misfire="all", overlap="allow", grace=0.1)
    app.schedule("declared-cron", Cron("* * * * * ?"), slow, payload={"seconds": 0.3}, misfire="earliest", grace=0)
    app.schedule("declared-queue", Every(0.1), slow, payload={"seconds": 0.12}, overlap="queue_one", misfire="skip")
    app.schedule("declared-once", Every(0.15), quick, grace=0.1, delivery="at_most_once", max_executions=100)
    assert set(app.schedules) == DECLARED
    return app
