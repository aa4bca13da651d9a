"""rota runs work later, again and again, or over millions of items, and always knows what happened.

This is the front door: the names that users need, and nothing heavy behind them. `connect` and `engine` are looked up
when they are first used, because an engine needs what a mere declaration does not; so are the client and the options of
sources and sinks.
"""

import importlib
from typing import TYPE_CHECKING, Any

from rota.app import App, define_schedule
from rota.core.batch import Batch, BatchRun, Skip
from rota.core.current import CurrentRun, current_run
from rota.core.errors import (
    ConflictError,
    ExistsError,
    InvalidError,
    LastingSourceError,
    NeverFiresError,
    NotFoundError,
    RotaError,
    SourceDeniedError,
    SourceError,
    StoreBusyError,
    StoreCorruptError,
    StoreDeniedError,
    StoreError,
    StoreFullError,
    StoreLockedError,
    StoreReadOnlyError,
    StoreVersionError,
    TargetError,
    WrongNumberError,
)
from rota.core.retry import Retry
from rota.core.run import DeadLetter, RunRecord
from rota.core.schedule import Schedule, StoredSchedule, TickRow
from rota.core.target import (
    BatchTarget,
    EventTarget,
    HttpTarget,
    LambdaTarget,
    QueueTarget,
    SqsTarget,
    StepFunctionsTarget,
    TaskTarget,
)
from rota.core.task import Task
from rota.core.triggers import At, Cron, Every, parse_trigger
from rota.service.preview import UpdatePlan
from rota.service.sync import SyncReport

if TYPE_CHECKING:
    from rota.client import Client
    from rota.connectors.options import (
        Csv,
        DynamoTable,
        Generator,
        Inventory,
        JsonArray,
        Jsonl,
        OneFile,
        Parquet,
        Parts,
        SqliteTable,
    )
    from rota.wiring import connect, engine, excluded_dates

__version__ = "0.1.0"
__all__ = [
    "App",
    "At",
    "Batch",
    "BatchRun",
    "BatchTarget",
    "Client",
    "ConflictError",
    "Cron",
    "Csv",
    "CurrentRun",
    "DeadLetter",
    "DynamoTable",
    "EventTarget",
    "Every",
    "ExistsError",
    "Generator",
    "HttpTarget",
    "InvalidError",
    "Inventory",
    "JsonArray",
    "Jsonl",
    "LambdaTarget",
    "LastingSourceError",
    "NeverFiresError",
    "NotFoundError",
    "OneFile",
    "Parquet",
    "Parts",
    "QueueTarget",
    "Retry",
    "RotaError",
    "RunRecord",
    "Schedule",
    "Skip",
    "SourceDeniedError",
    "SourceError",
    "SqliteTable",
    "SqsTarget",
    "StepFunctionsTarget",
    "StoreBusyError",
    "StoreCorruptError",
    "StoreDeniedError",
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
    "WrongNumberError",
    "connect",
    "current_run",
    "define_schedule",
    "engine",
    "excluded_dates",
    "parse_trigger",
]

_LATER = {
    "Client": "rota.client",
    "connect": "rota.wiring",
    "engine": "rota.wiring",
    "excluded_dates": "rota.wiring",
    **dict.fromkeys(
        (
            "Csv",
            "DynamoTable",
            "Generator",
            "Inventory",
            "JsonArray",
            "Jsonl",
            "OneFile",
            "Parquet",
            "Parts",
            "SqliteTable",
        ),
        "rota.connectors.options",
    ),
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module 'rota' has no attribute {name!r}")
