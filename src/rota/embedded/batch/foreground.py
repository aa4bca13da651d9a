"""One batch run carried out by the process that started it, where no server has the file.

Schedules do not fire meanwhile. Who is to be notified is told before this process ends; a notification that fails
waits in
the store for the next server, with its retries.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from rota.app import App
from rota.client import Client
from rota.core.batch import BatchKey, BatchRun
from rota.core.outcome import Result, failure_of, innermost_frame
from rota.core.run import Claim, Run
from rota.core.target import TaskTarget
from rota.core.task import Task
from rota.embedded.batch.host import BatchHost
from rota.ports.batches import BatchStore
from rota.ports.clock import Clock
from rota.ports.runs import RunStore
from rota.ports.target import TargetCall
from rota.service.work import Policy, settle
from rota.targets.task import run_task

log: logging.Logger = logging.getLogger("rota.batch")
_PAGE = 10_000


class _Signal:
    cancel = False


class Foreground:
    """client: on the same store. carry: tells which batch run the file is held for. Close it when done; the batch run
    goes on later if it has not ended."""

    def __init__(
        self,
        client: Client,
        app: App,
        *,
        batches: BatchStore,
        runs: RunStore,
        clock: Clock,
        calls: Mapping[type, TargetCall],
        changed: Callable[[], int],
        carry: Callable[[str], None],
        release: Callable[[], None],
    ) -> None:
        self.client: Client = client
        self._app = app
        self._batches = batches
        self._runs = runs
        self._clock = clock
        self._calls = calls
        self._changed = changed
        self._carry = carry
        self._release = release
        self._host: BatchHost | None = None

    def host(self, key: BatchKey) -> None:
        """Begin to carry out this batch run, and let others know that it is this one alone."""
        self._carry(key.id)
        self._host = BatchHost(self._batches, self._clock, self._app, self._changed, only=key)
        self._host.start()

    def wake(self) -> None:
        """Something was written by this process."""
        if self._host is not None:
            self._host.wake()

    def tell(self, run: BatchRun) -> None:
        """Deliver the notifications of `run`, one attempt each; those to tasks that the app does not have wait for a
        server."""
        prefix = f"{run.name}:{run.state}:{run.revision}."
        for notice in self._runs.due(self._clock.now(), _PAGE):
            if notice.scheduled == run.created and notice.schedule_id.startswith(prefix):
                self._deliver(notice)

    def _deliver(self, run: Run) -> None:
        started, target = self._clock.now(), run.spec.target
        if isinstance(target, TaskTarget) and target.name not in self._app.tasks:
            return
        if not self._runs.claim([Claim(run, started)])[0]:
            return
        try:
            if isinstance(target, TaskTarget):
                task: Task[..., Any] = self._app.tasks[target.name]
                value = run_task(task, run, _Signal())
            else:
                value = self._calls[type(target)](run)
            result = Result(started, self._clock.now(), value)
        except Exception as error:  # noqa: BLE001 a failed notification is an outcome
            log.warning("%s was not delivered: %s", run.id, error)
            result = Result(started, self._clock.now(), failure=failure_of(error, innermost_frame(error)))
        settle(self._runs, [(run, result)], lambda it: Policy(it.spec.retry, it.spec.timeout))  # type: ignore[arg-type]

    def close(self, grace: float = 5.0) -> None:
        """Wait up to `grace` seconds for chunks in hand, and give up the file."""
        if self._host is not None:
            self._host.stop(grace)
        self._release()
