"""What a task may ask about the run it is part of."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Protocol

from rota.core.errors import ConflictError
from rota.core.ids import moment, run_id


class StopSignal(Protocol):
    """Where the engine says that a run is to stop."""

    cancel: bool


class CurrentRun:
    """The run a task is part of.

    id: also the idempotency key. scheduled_time: nominal, aware. attempt: from 1. cancelled: it was asked to stop; a
    long task looks at this now and then and returns.
    """

    __slots__ = ("_scheduled", "_signal", "attempt", "schedule_id")

    def __init__(self, schedule_id: str, scheduled: int, attempt: int, signal: StopSignal) -> None:
        self.schedule_id: str = schedule_id
        self._scheduled = scheduled
        self.attempt: int = attempt
        self._signal = signal

    @property
    def id(self) -> str:
        return run_id(self.schedule_id, self._scheduled)

    @property
    def scheduled_time(self) -> datetime:
        return moment(self._scheduled)

    @property
    def cancelled(self) -> bool:
        return self._signal.cancel

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose records carry `run` and `attempt` and whose lines begin with the run id."""
        return _RunLogger(logging.getLogger("rota.run"), {"run": self.id, "attempt": self.attempt})


class _RunLogger(logging.LoggerAdapter[logging.Logger]):
    def process(self, msg: object, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        extra = dict(self.extra or {})
        kwargs["extra"] = {**extra, **(kwargs.get("extra") or {})}
        return f"{extra['run']} #{extra['attempt']}: {msg}", kwargs


CURRENT: ContextVar[CurrentRun | None] = ContextVar("rota_current_run", default=None)


def current_run() -> CurrentRun:
    """The run that the calling task is part of; ConflictError outside a task."""
    run = CURRENT.get()
    if run is None:
        raise ConflictError("rota.current_run() has an answer only inside a task that rota runs")
    return run
