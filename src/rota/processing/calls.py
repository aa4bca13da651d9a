"""Calling a task on many items: plain, vectorised or async, with retries, and so that one failure disturbs no
neighbour.

The loop that most batch runs spend their time in is `results.extend(map(call, items))`, which runs in C. When a call
raises, what was appended before stays, and the iterator stands behind the culprit; so the failure is noted and the loop
goes on behind it. A task that raises StopIteration would end such a loop silently; that is seen by the count.
"""

from __future__ import annotations

import heapq
import importlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from rota.core.batch import Skip
from rota.core.errors import WrongNumberError
from rota.core.outcome import Failure, failure_of, innermost_frame
from rota.core.retry import Retry
from rota.core.task import Task
from rota.processing.deadline import Deadline
from rota.processing.validation import InvalidItemError, validator

if TYPE_CHECKING:
    from rota.processing.coroutines import Coroutines

Call = Callable[[object], object]
_Failed = list[tuple[int, BaseException]]


class Dead(NamedTuple):
    """An item whose attempt failed. at: which one of those given. wait: seconds until the next attempt, 0 if
    there is none."""

    at: int
    failure: Failure
    attempts: int
    field: str = ""
    wait: float = 0.0


class Ended(NamedTuple):
    """results: of the items that succeeded, in order. at: which ones those are; None if all. later: those to attempt
    again after a wait that is longer than one waits here."""

    results: list[object]
    at: list[int] | None
    dead: list[Dead]
    skipped: int
    retries: int
    later: Sequence[Dead] = ()


class OverMemoryError(BaseException):
    """The memory that this worker may have is used up; what it still does cannot be relied upon."""


class _Gone:
    """Stands where an item has no result."""


_GONE = _Gone()


def described(error: BaseException) -> tuple[Failure, str]:
    """A failure and the field at fault, if the item itself was."""
    if isinstance(error, InvalidItemError):
        return Failure(("rota.InvalidItem", "ValueError"), str(error), "", transient=False), error.field
    # It is raised here, and no line of the user's is known that returned too little.
    frame = "" if isinstance(error, WrongNumberError) else innermost_frame(error)
    return failure_of(error, frame), ""


class Calls:
    """How the items of one batch run are attempted in this process. key: makes the jitter of retries differ. patience:
    seconds that a retry is waited for; an item that has to wait longer is put off."""

    def __init__(
        self,
        task: Task[..., object],
        retry: Retry | None,
        *,
        key: str,
        text: bool,
        async_limit: int,
        limited_memory: bool = False,
        patience: float = math.inf,
    ) -> None:
        self._task = task
        self._patience = patience
        self._retry = retry or task.retry
        self._key = key
        self._limited_memory = limited_memory
        self._validate = validator(task.schema, text=text)
        self._coroutines = _coroutines(async_limit, task.timeout) if task.is_async else None
        self._deadline = None if task.timeout is None else Deadline(task.timeout)
        self._pacer = _Pacer()
        self._miscounted: WrongNumberError | None = None
        self.whole_chunks: bool = task.batch

    def attempt(
        self, values: Sequence[object], base: int, pace: float = 0.0, tried: Sequence[int] | None = None
    ) -> Ended:
        """Attempt every item. base: number of the first, for the jitter. pace: seconds an item takes at least. tried:
        how often each was attempted before."""
        results: list[object] = []
        failed: _Failed = []
        skipped = 0
        self._miscounted = None
        for at, error in self._first(values, results, pace):
            if isinstance(error, Skip):
                skipped += 1
            else:
                self._check_memory(error)
                failed.append((at, error))
        outcome = _Retried()
        if failed:
            outcome = self._retry_failed(values, results, failed, base, pace, tried)
            skipped += outcome.skipped
        if len(outcome.dead) + len(outcome.later) + skipped == 0:
            return Ended(results, None, [], 0, outcome.retries)
        at_all = [at for at, result in enumerate(results) if result is not _GONE]
        kept = [results[at] for at in at_all]
        return Ended(kept, at_all, sorted(outcome.dead), skipped, outcome.retries, sorted(outcome.later))

    def _check_memory(self, error: BaseException) -> None:
        """Under a limit, an item that wants more memory is one that kills its worker: memory that was used up by others
        must not be blamed on it, so it is attempted again in a new process, in the end alone."""
        if self._limited_memory and isinstance(error, MemoryError):
            raise OverMemoryError from error

    def _first(
        self, values: Sequence[object], results: list[object], pace: float
    ) -> Iterator[tuple[int, BaseException]]:
        try:
            if self._task.batch:
                yield from self._in_lists(values, results, pace)
            elif self._task.is_async:
                yield from self._concurrently(values, results, pace)
            else:
                yield from self._one_by_one(values, results, self._call(pace))
        finally:
            if self._deadline is not None:
                self._deadline.rest()

    def _call(self, pace: float) -> Call:
        function: Any = self._task.function
        call: Call = function if self._task.takes_payload else lambda _: function()
        if self._deadline is not None:
            call = self._deadline.limited(call, lasting=not pace)
        if self._validate is not None:
            call = _validated(call, self._validate)
        return self._pacer.paced(call, pace) if pace else call

    def _one_by_one(
        self, values: Sequence[object], results: list[object], call: Call
    ) -> Iterator[tuple[int, BaseException]]:
        items = iter(values)
        while len(results) < len(values):
            try:
                results.extend(map(call, items))
                if len(results) == len(values):
                    return
                error: BaseException = RuntimeError("the task raised StopIteration")
            except (Exception, SystemExit) as raised:  # noqa: BLE001 whatever a task raises is its item's outcome
                error = raised
            yield len(results), error
            results.append(_GONE)

    def _in_lists(
        self, values: Sequence[object], results: list[object], pace: float
    ) -> Iterator[tuple[int, BaseException]]:
        function: Any = self._task.function
        vector = self._list_call(function)
        items, at = list(values), list(range(len(values)))
        results.extend([_GONE] * len(values))
        if self._validate is not None:
            fitting: list[object] = []
            at = []
            for index, value in enumerate(items):
                try:
                    fitting.append(self._validate(value))
                    at.append(index)
                except InvalidItemError as error:
                    yield index, error
            items = fitting
        todo = [(items, at)] if items else []
        while todo:
            some, where = todo.pop(0)
            began = time.monotonic()
            try:
                answers = vector(some)
            except (Exception, SystemExit) as error:  # noqa: BLE001 see above
                if isinstance(error, WrongNumberError) and self._miscounted is None:
                    self._miscounted = error
                if len(some) == 1:
                    # What the user knows is the list that the task was given first, not the halves made of it here.
                    yield where[0], (self._miscounted or error) if isinstance(error, WrongNumberError) else error
                else:
                    # Which items are to blame is found by halving; what succeeds meanwhile is not attempted again.
                    middle = len(some) // 2
                    todo[:0] = [(some[:middle], where[:middle]), (some[middle:], where[middle:])]
                continue
            if pace:
                time.sleep(max(0.0, pace * len(some) - (time.monotonic() - began)))
            for index, answer in zip(where, answers, strict=True):
                if isinstance(answer, BaseException):
                    yield index, answer
                else:
                    results[index] = answer

    def _list_call(self, vector: Any) -> Callable[[list[object]], list[object]]:
        def call(items: list[object]) -> list[object]:
            answers = vector(items)
            if self._coroutines is not None:
                answers = self._coroutines.run(answers)
            try:
                several = iter(answers)
            except TypeError:
                raise WrongNumberError(
                    f"the task was given {len(items):,} items and returned no list, but {type(answers).__name__}"
                ) from None
            found = list(several)
            if len(found) != len(items):
                raise WrongNumberError(f"the task was given {len(items):,} items and returned {len(found):,} results")
            return found

        return call if self._deadline is None else self._deadline.limited(call)

    def _concurrently(
        self, values: Sequence[object], results: list[object], pace: float
    ) -> Iterator[tuple[int, BaseException]]:
        function: Any = self._task.function
        call = function if self._task.takes_payload else lambda _: function()
        if self._validate is not None:
            call = _validated(call, self._validate)
        results.extend([_GONE] * len(values))
        assert self._coroutines is not None
        return iter(self._coroutines.call_each(values, call, results, pace))

    def _retry_failed(
        self,
        values: Sequence[object],
        results: list[object],
        failed: _Failed,
        base: int,
        pace: float,
        tried: Sequence[int] | None,
    ) -> _Retried:
        """Attempt these again, each when its time has come, unless that is too far off."""
        outcome = _Retried()
        waiting: list[tuple[float, int, int]] = []

        def judge(at: int, attempt: int, error: BaseException) -> None:
            self._check_memory(error)
            failure, field = described(error)
            if not self._retry.again(attempt, failure):
                outcome.dead.append(Dead(at, failure, attempt, field))
                return
            wait = self._retry.delay(attempt, f"{self._key}/{base + at}")
            if wait > self._patience:
                outcome.later.append(Dead(at, failure, attempt, field, wait))
            else:
                heapq.heappush(waiting, (time.monotonic() + wait, at, attempt + 1))

        for at, error in failed:
            judge(at, 1 if tried is None else tried[at] + 1, error)
        while waiting:
            time.sleep(max(0.0, waiting[0][0] - time.monotonic()))
            due: list[tuple[int, int]] = []
            while waiting and waiting[0][0] <= time.monotonic():
                due.append(heapq.heappop(waiting)[1:])
            again: list[object] = []
            errors = dict(self._first([values[at] for at, _ in due], again, pace))
            outcome.retries += len(due)
            for index, (at, attempt) in enumerate(due):
                wrong = errors.get(index)
                if wrong is None:
                    results[at] = again[index]
                elif isinstance(wrong, Skip):
                    outcome.skipped += 1
                else:
                    judge(at, attempt, wrong)
        return outcome


def _coroutines(limit: int, timeout: float | None) -> Coroutines:
    # asyncio is a fifth of what a worker loads, and a batch run waits for that before its first item.
    made: Coroutines = importlib.import_module("rota.processing.coroutines").Coroutines(limit, timeout)
    return made


class _Retried:
    """What became of items that failed at first."""

    def __init__(self) -> None:
        self.dead: list[Dead] = []
        self.later: list[Dead] = []
        self.skipped = 0
        self.retries = 0


def _validated(call: Call, validate: Call) -> Call:
    return lambda item: call(validate(item))


class _Pacer:
    """Keeps its time from chunk to chunk, so that small chunks are no way around the rate limit."""

    def __init__(self) -> None:
        self._due = 0.0

    def paced(self, call: Call, pace: float) -> Call:
        def paced(item: object) -> object:
            now = time.monotonic()
            if self._due > now:
                time.sleep(self._due - now)
            self._due = max(now, self._due) + pace
            return call(item)

        return paced
