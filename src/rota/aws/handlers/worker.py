"""The worker function: runs the tasks of the user's app, which its bundle holds."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from rota.app import App
from rota.aws.apps import load_app
from rota.aws.attempts import Perform, Signal
from rota.aws.dead_copies import DeadCopies
from rota.aws.dispatcher import Dispatcher
from rota.aws.dynamo.leases import DynamoLeases
from rota.aws.handlers.firing import dealt
from rota.aws.handlers.setting import Context, figures, parts, starting
from rota.aws.tasks import performing_tasks, task_policy
from rota.aws.telemetry import Telemetry
from rota.core.errors import TargetError
from rota.core.run import Run
from rota.core.target import BatchTarget, TaskTarget
from rota.ports.target import TargetCall


def _performing(app: App) -> Perform:
    tasks = performing_tasks(app.tasks)

    def perform(run: Run, signal: Signal) -> bytes | None:
        if isinstance(run.spec.target, TaskTarget):
            return tasks(run, signal)
        if isinstance(run.spec.target, BatchTarget):
            return _starting()(run)
        raise TargetError(f"{run.spec.target}: the worker runs tasks and starts batches", transient=False, run=run.id)

    return perform


@cache
def _starting() -> TargetCall:
    # An app that schedules no batch does not wait for what batches import.
    batching: Any = importlib.import_module("rota.aws.handlers.batching")
    found: TargetCall = batching.starting_batches()
    return found


def _unknown(_run: Run) -> None:
    """Nobody knows how far a task came that was cut off."""


@cache
def worker() -> Dispatcher:
    """The worker of this function's stack."""
    built = parts()
    app = load_app(built.settings.app)
    return Dispatcher(
        built.schedules,
        built.runs,
        built.handover,
        built.clock,
        built.settings.worker_queue,
        perform=_performing(app),
        policy=task_policy(app.tasks),
        inquire=_unknown,
        telemetry=Telemetry(figures()),
        leases=DynamoLeases(built.table),
        dead=DeadCopies(built.runs, built.near, built.settings.dead_queue),
    )


def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Deal with the messages of an SQS event; answers those that must come again."""
    return dealt(event, context, parts().settings.worker_queue, worker())


if starting():
    worker()
