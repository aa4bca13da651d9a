"""The worker function: runs the tasks of the user's app, which its bundle holds."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from rota.app import App
from rota.aws.attempts import Perform, Signal
from rota.aws.dead_copies import DeadCopies
from rota.aws.dispatcher import Dispatcher
from rota.aws.handlers.receiving import answer, delivered
from rota.aws.handlers.setting import Context, began, figures, parts, starting
from rota.aws.tasks import performing_tasks, task_policy
from rota.aws.telemetry import Telemetry
from rota.core.errors import InvalidError, TargetError
from rota.core.run import Run
from rota.core.target import TaskTarget


def load_app(name: str) -> App:
    """The App that "module" or "module:attribute" names. InvalidError if there is none, or more than one."""
    module, _, attribute = name.partition(":")
    if not module:
        raise InvalidError("ROTA_APP", name, "the module of the app, or module:attribute")
    loaded = importlib.import_module(module)
    if attribute:
        found = getattr(loaded, attribute, None)
        if not isinstance(found, App):
            raise InvalidError("ROTA_APP", name, f"the name of a rota.App in {module}")
        return found
    apps = list({id(value): value for value in vars(loaded).values() if isinstance(value, App)}.values())
    if len(apps) != 1:
        raise InvalidError("ROTA_APP", name, f"a module with one rota.App, not {len(apps)}, or module:attribute")
    return apps[0]


def _performing(app: App) -> Perform:
    tasks = performing_tasks(app.tasks)

    def perform(run: Run, signal: Signal) -> bytes | None:
        if not isinstance(run.spec.target, TaskTarget):
            raise TargetError(f"{run.spec.target}: the worker runs tasks alone", transient=False, run=run.id)
        return tasks(run, signal)

    return perform


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
        dead=DeadCopies(built.runs, built.near, built.settings.dead_queue),
    )


def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Deal with the messages of an SQS event; answers those that must come again."""
    began(context)
    again = worker().handle(delivered(event), context.get_remaining_time_in_millis)
    figures().flush()
    return answer(again)


if starting():
    worker()
