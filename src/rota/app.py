"""The app: what a user declares in one Python module, the same for every engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar, overload

from rota.core.batch import Batch, Topology, check_name, parse_notify, parse_task
from rota.core.chunk import ChunkSize
from rota.core.errors import ExistsError
from rota.core.ids import check_id
from rota.core.payload import encode_payload
from rota.core.retry import Retry
from rota.core.run import Delivery
from rota.core.schedule import Misfire, Overlap, Schedule, check_tags
from rota.core.target import parse_target
from rota.core.task import Task, Tasks, make_task
from rota.core.tolerance import Tolerance, parse_tolerance
from rota.core.triggers import AnyTrigger

P = ParamSpec("P")
R = TypeVar("R")


class App:
    """Named tasks and the schedules that belong to them. Declaring stores nothing; an engine that serves the app does.

    Raises InvalidError for a name that is not allowed, ExistsError for one used twice.
    """

    def __init__(self, name: str) -> None:
        self.name: str = check_id("app", name)
        self.tasks: Tasks = Tasks()
        self.schedules: dict[str, Schedule] = {}
        self.batches: dict[str, Batch] = {}

    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(
        self,
        /,
        *,
        name: str | None = None,
        retry: Retry | None = None,
        timeout: float | None = None,
        batch: bool = False,
        schema: type | None = None,
    ) -> Callable[[Callable[P, R]], Task[P, R]]: ...
    def task(
        self,
        function: Callable[P, R] | None = None,
        /,
        *,
        name: str | None = None,
        retry: Retry | None = None,
        timeout: float | None = None,
        batch: bool = False,
        schema: type | None = None,
    ) -> Task[P, R] | Callable[[Callable[P, R]], Task[P, R]]:
        """Make a function a task, with or without arguments. The function takes the payload, or nothing; it may be
        async."""

        def decorate(it: Callable[P, R]) -> Task[P, R]:
            task = make_task(it, name=name, retry=retry, timeout=timeout, batch=batch, schema=schema)
            self.tasks.add(task)
            return task

        return decorate if function is None else decorate(function)

    def schedule(
        self,
        id: str,
        trigger: AnyTrigger,
        target: object,
        *,
        payload: object = None,
        misfire: Misfire = "once",
        grace: float = 60.0,
        overlap: Overlap = "skip",
        max_executions: int | None = None,
        retry: Retry | None = None,
        timeout: float | None = None,
        delivery: Delivery = "at_least_once",
        precise: bool = False,
        tags: Sequence[str] = (),
        description: str = "",
    ) -> Schedule:
        """Declare a schedule. It is stored when an engine serves the app; one that is stored unchanged keeps its state.

        target: a task of this app, a target value, or a text such as "queue:NAME" or a URL. payload: JSON, at most
        256 KiB. grace, timeout: seconds.
        """
        if check_id("id", id) in self.schedules:
            raise ExistsError("schedule", id, f"declared twice in app {self.name!r}")
        declared = define_schedule(
            id,
            trigger,
            target,
            payload=payload,
            misfire=misfire,
            grace=grace,
            overlap=overlap,
            max_executions=max_executions,
            retry=retry,
            timeout=timeout,
            delivery=delivery,
            precise=precise,
            tags=tags,
            description=description,
            owner=self.name,
        )
        self.schedules[id] = declared
        return declared

    def batch(
        self,
        name: str,
        *,
        source: object,
        task: object,
        sink: object = None,
        chunk_items: int | None = None,
        chunk_bytes: int | None = None,
        concurrency: int | None = None,
        tolerated_failures: int | str | Tolerance = 0,
        retry: Retry | None = None,
        rate_limit: float | None = None,
        timeout: float | None = None,
        async_limit: int = 100,
        worker_memory: int | None = None,
        notify: object = (),
        topology: Topology = "queue",
        max_cost: float | None = None,
    ) -> Batch:
        """Declare a batch: run `task` on every item of `source`, results to `sink`.

        source: a path or glob, a generator function (of no argument, `start`, `payload` or both), or rota.Jsonl(...)
        and its like. sink: a directory that ends in / (part files), a file name, or rota.Parts(...) and its like;
        `{run}` in it is the batch run's id; None: results are counted and not kept. chunk_items: 1000 unless
        chunk_bytes is given. concurrency: worker processes, by default one a core; on AWS chunks at once, by default
        10. tolerated_failures: failed items, as a count or a percentage such as "5%". retry: None means the task's own.
        rate_limit: items a second. timeout: seconds from a batch run's start, or a redrive's, to its end, pauses
        included. async_limit: coroutines at once in each worker, if the task is async. worker_memory: MB that each
        worker process may have; an item that needs more is a dead letter. notify: a target, or several, told of
        completion and failure. topology: what carries it
        out on AWS: "queue", "map", "pipeline" or "auto". max_cost: dollars on AWS after which a batch run pauses.
        Raises InvalidError, ExistsError."""
        if check_name(name) in self.batches:
            raise ExistsError("batch", name, f"declared twice in app {self.name!r}")
        declared = Batch(
            name=name,
            task=parse_task(task),
            source=source,
            sink=sink,
            size=ChunkSize(1000 if chunk_items is None and chunk_bytes is None else chunk_items, chunk_bytes),
            concurrency=concurrency,
            tolerated=parse_tolerance(tolerated_failures),
            retry=retry,
            rate_limit=rate_limit,
            timeout=timeout,
            async_limit=async_limit,
            worker_memory=worker_memory,
            notify=parse_notify(notify),
            topology=topology,
            max_cost=max_cost,
        )
        self.batches[name] = declared
        return declared


def define_schedule(
    id: str, trigger: AnyTrigger, target: object, *, payload: object = None, tags: Sequence[str] = (), **options: object
) -> Schedule:
    """A Schedule from what users write: any form of target, a payload that is JSON, tags in any order."""
    return Schedule(
        id=id,
        trigger=trigger,
        target=parse_target(target),
        payload=encode_payload(payload),
        tags=check_tags(tags),
        **options,  # type: ignore[arg-type]
    )
