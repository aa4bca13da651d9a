"""Tasks within the worker function: ordinary ones in the attempt's thread, `async` ones in an event loop of their own,
which can be told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from rota.aws.attempts import Perform, Signal
from rota.core.current import CURRENT, CurrentRun
from rota.core.retry import NEVER
from rota.core.run import Run
from rota.core.target import TaskTarget
from rota.core.task import Task
from rota.service.work import Policy, PolicyOf
from rota.targets.task import arguments, kept, run_task


def performing_tasks(tasks: Mapping[str, Task[..., object]]) -> Perform:
    """A Perform that runs tasks. NotFoundError for one that the app does not have."""

    def perform(run: Run, signal: Signal) -> bytes | None:
        target = run.spec.target
        assert isinstance(target, TaskTarget)
        task = tasks[target.name]
        return asyncio.run(_awaited(task, run, signal)) if task.is_async else run_task(task, run, signal)

    return perform


async def _awaited(task: Task[..., object], run: Run, signal: Signal) -> bytes | None:
    loop, me = asyncio.get_running_loop(), asyncio.current_task()
    assert me is not None
    signal.stop = lambda: loop.call_soon_threadsafe(me.cancel)
    CURRENT.set(CurrentRun(run.schedule_id, run.scheduled, run.attempt + 1, signal))
    return kept(await task.function(*arguments(task, run)))  # type: ignore[misc]


def task_policy(tasks: Mapping[str, Task[..., object]]) -> PolicyOf:
    """The run's own policy, else its task's."""

    def policy(run: Run) -> Policy:
        spec, target = run.spec, run.spec.target
        task = tasks[target.name] if isinstance(target, TaskTarget) and target.name in tasks else None
        timeout = spec.timeout if spec.timeout is not None else (task.timeout if task else None)
        return Policy(spec.retry or (task.retry if task else NEVER), timeout)

    return policy
