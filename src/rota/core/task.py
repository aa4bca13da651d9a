"""Tasks: the user's named functions, and the app that gathers them with its schedules."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, ParamSpec, TypeVar

from rota.core.errors import ExistsError, InvalidError, NotFoundError
from rota.core.ids import check_id
from rota.core.limits import check_flag, check_number
from rota.core.retry import NEVER, Retry

P = ParamSpec("P")
R = TypeVar("R")


class Task(Generic[P, R]):
    """A named function. Calling it calls the function, as if it were not decorated.

    retry, timeout (seconds): what runs of this task use unless their schedule says otherwise. batch: in a batch the
    function gets a whole chunk (a list of items) and returns a list of results. schema: the type each item of a batch
    must have.
    """

    def __init__(
        self, function: Callable[P, R], name: str, retry: Retry, timeout: float | None, batch: bool, schema: type | None
    ) -> None:
        check_id("task", name)
        if timeout is not None:
            check_number("timeout", timeout, 0, 604_800, above=True)
        if not isinstance(retry, Retry):
            raise InvalidError("retry", retry, "a rota.Retry", task=name)
        check_flag("batch", batch)
        self.function = function
        self.rota_task = name
        self.retry = retry
        self.timeout = timeout
        self.batch = batch
        self.schema = schema
        self.is_async: bool = inspect.iscoroutinefunction(function)
        self.takes_payload: bool = _takes_payload(function, name)
        self.__doc__ = function.__doc__
        self.__name__: str = getattr(function, "__name__", name)
        self.__wrapped__ = function

    @property
    def name(self) -> str:
        return self.rota_task

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<rota task {self.rota_task}>"


def _takes_payload(function: Callable[..., object], name: str) -> bool:
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    needed = [p for p in parameters if p.kind in positional and p.default is p.empty]
    if len(needed) > 1 or any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters):
        raise InvalidError("task", name, "a function of no argument, or of one: the payload", task=name)
    return any(p.kind in positional or p.kind is p.VAR_POSITIONAL for p in parameters)


class Tasks(Mapping[str, Task[..., object]]):
    """The tasks of an app, by name."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task[..., Any]] = {}

    def add(self, task: Task[..., Any]) -> None:
        if task.name in self._tasks:
            raise ExistsError("task", task.name)
        self._tasks[task.name] = task

    def __getitem__(self, name: str) -> Task[..., object]:
        try:
            return self._tasks[name]
        except KeyError:
            known = ", ".join(sorted(self._tasks)) or "none"
            raise NotFoundError("task", name, f"the app's tasks are: {known}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._tasks

    def __iter__(self) -> Iterator[str]:
        return iter(self._tasks)

    def __len__(self) -> int:
        return len(self._tasks)


def make_task(
    function: Callable[P, R],
    *,
    name: str | None = None,
    retry: Retry | None = None,
    timeout: float | None = None,
    batch: bool = False,
    schema: type | None = None,
) -> Task[P, R]:
    """A task of `function`; its name is the function's unless given."""
    found = re.sub(r"\W", "", getattr(function, "__name__", "task")) if name is None else name
    return Task(function, found, NEVER if retry is None else retry, timeout, batch, schema)
