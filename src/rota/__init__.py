"""rota runs work later, again and again, or over millions of items, and always knows what happened.

This is the front door: the names that users need, and nothing heavy behind them. `connect` and `engine` are looked up
when they are first used, because an engine needs what a mere declaration does not.
"""

import importlib
from typing import TYPE_CHECKING, Any

from rota.app import App, define_schedule
from rota.client import Client
from rota.core.current import CurrentRun, current_run
from rota.core.errors import (
    ConflictError,
    ExistsError,
    InvalidError,
    NeverFiresError,
    NotFoundError,
    RotaError,
    SourceError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreLockedError,
    StoreReadOnlyError,
    StoreVersionError,
    TargetError,
)
from rota.core.retry import Retry
from rota.core.run import DeadLetter, RunRecord
from rota.core.schedule import Schedule, StoredSchedule, TickRow
from rota.core.target import HttpTarget, QueueTarget, TaskTarget
from rota.core.task import Task
from rota.core.triggers import At, Cron, Every, parse_trigger
from rota.service.preview import UpdatePlan
from rota.service.sync import SyncReport

if TYPE_CHECKING:
    from rota.wiring import connect, engine, excluded_dates

__version__ = "0.1.0"
__all__ = [
    "App",
    "At",
    "Client",
    "ConflictError",
    "Cron",
    "CurrentRun",
    "DeadLetter",
    "Every",
    "ExistsError",
    "HttpTarget",
    "InvalidError",
    "NeverFiresError",
    "NotFoundError",
    "QueueTarget",
    "Retry",
    "RotaError",
    "RunRecord",
    "Schedule",
    "SourceError",
    "StoreCorruptError",
    "StoreError",
    "StoreFullError",
    "StoreLockedError",
    "StoreReadOnlyError",
    "StoreVersionError",
    "StoredSchedule",
    "SyncReport",
    "TargetError",
    "Task",
    "TaskTarget",
    "TickRow",
    "UpdatePlan",
    "connect",
    "current_run",
    "define_schedule",
    "engine",
    "excluded_dates",
    "parse_trigger",
]

_WIRED = ("connect", "engine", "excluded_dates")


def __getattr__(name: str) -> Any:
    if name in _WIRED:
        return getattr(importlib.import_module("rota.wiring"), name)
    raise AttributeError(f"module 'rota' has no attribute {name!r}")
