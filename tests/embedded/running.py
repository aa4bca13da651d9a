"""An engine on a file of its own, for one test."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rota.app import App
from rota.core.payload import encode_payload
from rota.core.run import Run, RunRecord, RunSpec
from rota.core.schedule import Schedule, TickRow, new_schedule
from rota.core.target import TaskTarget
from rota.core.triggers import AnyTrigger
from rota.embedded.engine import REAP_EVERY, Engine
from rota.embedded.settings import Settings
from rota.embedded.sqlite.file import SqliteFile
from rota.ports.clock import Clock
from rota.ports.runs import RunStore
from rota.ports.target import TargetCall
from rota.system import SystemClock

PATIENCE = 60.0
EVER = 1 << 50
_numbers = itertools.count(1)


def now() -> int:
    return SystemClock().now()


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Until `condition` holds. The deadline is generous: it only ends a test that fails."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}"
        time.sleep(0.005)


def one_off(task: str, payload: object = None, *, at: int | None = None, **spec: Any) -> Run:
    """A run of `task` that is due at `at`, or now."""
    at = now() if at is None else at
    return Run(f"once-{next(_numbers)}", at, at, RunSpec(TaskTarget(task), **spec), encode_payload(payload))


class SteppedClock:
    """The machine's clock, off by as much as somebody set it."""

    def __init__(self) -> None:
        self.off = 0

    def now(self) -> int:
        return SystemClock().now() + self.off


class Running(NamedTuple):
    """An engine and its stores."""

    engine: Engine
    file: SqliteFile

    def accept(self, *runs: Run) -> None:
        """As this process's client does it."""
        self.file.runs.accept(runs)
        self.engine.wake()

    def create(self, id: str, trigger: AnyTrigger, task: str, *, at: int | None = None, **options: Any) -> None:
        schedule = Schedule(id=id, trigger=trigger, target=TaskTarget(task), **options)
        self.file.schedules.create([new_schedule(schedule, now() if at is None else at)])
        self.engine.wake()

    def record(self, run: Run) -> RunRecord:
        found = self.file.runs.get(run.key)
        assert found is not None, f"no run {run.id}"
        return found

    def state(self, run: Run) -> str:
        return self.record(run).state

    def ended(self, run: Run) -> RunRecord:
        """The record of `run` once it has come to an end."""
        open_states = ("pending", "held", "running")
        wait_for(lambda: self.state(run) not in open_states, f"{run.id} ends")
        return self.record(run)

    def ticks(self, schedule_id: str) -> list[TickRow]:
        return self.file.schedules.ticks(schedule_id, 0, EVER, 10_000)


@contextmanager
def running(
    path: Path,
    app: App,
    *,
    clock: Clock | None = None,
    calls: Mapping[type, TargetCall] | None = None,
    runs: Callable[[RunStore], RunStore] = lambda store: store,
    start: bool = True,
    reap_every: float = REAP_EVERY,
    **settings: Any,
) -> Iterator[Running]:
    """An engine for `app` on the file at `path`, started, and stopped at the end. runs: wraps the store of runs."""
    file = SqliteFile(path, settings.get("durability", "process"))
    engine = Engine(
        schedules=file.schedules,
        runs=runs(file.runs),
        clock=clock or SystemClock(),
        tasks=app.tasks,
        calls=calls or {},
        settings=Settings(**{"durability": "process", "grace": 5.0, **settings}),
        changed=file.database.version,
        release=file.close,
        reap_every=reap_every,
    )
    try:
        if start:
            engine.start()
        yield Running(engine, file)
    finally:
        engine.stop()
