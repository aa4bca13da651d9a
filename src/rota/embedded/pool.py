"""Where attempts happen: threads for functions, one event loop for coroutines.

Runs go in through `put` and come back as (run, result) through `report`. A thread cannot be stopped from outside, so
an attempt that overruns its timeout is reported as failed, its thread is given up and another takes its place; what
the old one returns later is ignored. Coroutines are cancelled properly.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress

from rota.core.current import CURRENT, CurrentRun
from rota.core.outcome import Result, failure_of, innermost_frame
from rota.core.run import Run, RunKey
from rota.core.target import TaskTarget
from rota.core.task import Task
from rota.ports.clock import Clock
from rota.ports.target import TargetCall
from rota.targets.task import arguments, kept, run_task

CLEANING_UP = 1.0
"""Seconds."""


class Attempt:
    """An attempt, from the moment its run is due. claimed: the store knows of it. lost: its run was cancelled before
    that. asked: its run was cancelled while it was going on. deadline: epoch ms or None. over: it was reported, or
    given up. stop: cancels its coroutine, if it is one."""

    __slots__ = ("asked", "cancel", "claimed", "deadline", "key", "lost", "over", "run", "started", "stop")

    def __init__(self, key: RunKey, run: Run, claimed: bool = False) -> None:
        self.key: RunKey = key
        self.run: Run = run
        self.started: int = 0
        self.deadline: int | None = None
        self.claimed: bool = claimed
        self.asked: bool = False
        self.cancel: bool = False
        self.over: bool = False
        self.lost: bool = False
        self.stop: Callable[[], object] | None = None


Report = Callable[[Attempt, Result], None]


class Pool:
    """calls: how each kind of target but tasks is carried out. timeout: seconds for a run, or None. report: called from
    pool threads. running: the attempts that are going on."""

    def __init__(
        self,
        *,
        workers: int,
        async_limit: int,
        clock: Clock,
        tasks: Mapping[str, Task[..., object]],
        calls: Mapping[type, TargetCall],
        timeout: Callable[[Run], float | None],
        report: Report,
    ) -> None:
        self._clock = clock
        self._tasks = tasks
        self._calls = calls
        self._timeout = timeout
        self._report = report
        self._most = workers
        self._ready: deque[Attempt] = deque()
        self._permits: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._idle = 0
        self._threads = 0
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread: threading.Thread | None = None
        self._coroutines = threading.Semaphore(async_limit)
        self._stopping = False
        self.running: dict[RunKey, Attempt] = {}

    def put(self, attempts: Sequence[Attempt]) -> None:
        """Start these attempts, in order, as threads become free."""
        self._ready.extend(attempts)
        wanted = len(attempts) or len(self._ready)
        with self._lock:
            woken = min(wanted, self._idle)
            self._idle -= woken
            born = min(wanted - woken, self._most - self._threads)
            self._threads += born
        for _ in range(woken):
            self._permits.put(None)
        for _ in range(born):
            threading.Thread(target=self._work, name="rota-worker", daemon=True).start()

    @property
    def starting(self) -> bool:
        """Whether a thread has an attempt in hand that is not in `running` yet."""
        on_threads = sum(attempt.stop is None for attempt in list(self.running.values()))
        return self._threads - self._idle > on_threads

    def _next(self) -> Attempt | None:
        """The next attempt to start; waits for one, and answers None when this thread is to end."""
        while not self._stopping:
            try:
                return self._ready.popleft()
            except IndexError:
                with self._lock:
                    self._idle += 1
                if self._ready and self._withdraw():
                    continue
                self._permits.get()
        return None

    def _withdraw(self) -> bool:
        """Stop being idle, because work came after all; False if a permit is under way to this thread already."""
        with self._lock:
            if self._idle == 0:
                return False
            self._idle -= 1
            return True

    def _work(self) -> None:
        clock, running = self._clock, self.running
        while (attempt := self._next()) is not None:
            if attempt.cancel:
                continue
            run = attempt.run
            attempt.started = started = clock.now()
            task = self._task(run)
            if isinstance(task, Task) and task.is_async:
                running[attempt.key] = attempt
                if self._start_coroutine(task, attempt):
                    continue
                return
            self._set_deadline(attempt)
            running[attempt.key] = attempt
            try:
                if isinstance(task, Task):
                    value = run_task(task, run, attempt)
                elif task is not None:
                    raise task
                else:
                    value = self._calls[type(run.spec.target)](run)
                result = Result(started, clock.now(), value)
            except BaseException as error:  # noqa: BLE001 even SystemExit is just an outcome
                frame = innermost_frame(error) if isinstance(task, Task) else ""  # a line of the user's code, or none
                result = Result(started, clock.now(), failure=failure_of(error, frame))
            if not self._end(attempt):
                return  # given up, and another thread in its place
            self._report(attempt, result)

    def _set_deadline(self, attempt: Attempt) -> None:
        seconds = self._timeout(attempt.run)
        if seconds is not None:
            attempt.deadline = attempt.started + round(seconds * 1000)

    def _task(self, run: Run) -> Task[..., object] | Exception | None:
        target = run.spec.target
        if not isinstance(target, TaskTarget):
            return None
        try:
            return self._tasks[target.name]
        except LookupError as error:
            return error

    def _end(self, attempt: Attempt) -> bool:
        """True for the one caller that is to report the attempt: its thread may end while it is given up."""
        if attempt.over or self.running.pop(attempt.key, None) is None:
            return False
        attempt.over = True
        return True

    def _start_coroutine(self, task: Task[..., object], attempt: Attempt) -> bool:
        """False if it was given up, and this thread with it, while it waited for its turn."""
        self._coroutines.acquire()
        loop, going = self._event_loop(), list[asyncio.Task[Result]]()

        def begin() -> None:
            going.append(loop.create_task(self._await(task, attempt)))
            going[0].add_done_callback(lambda it: self._awaited(attempt, it))

        def cancel() -> None:
            going[0].cancel()

        with self._lock:  # whoever gives it up finds either this thread waiting, or how to stop the coroutine
            if attempt.over:
                self._coroutines.release()
                return False
            loop.call_soon_threadsafe(begin)
            attempt.stop = lambda: loop.call_soon_threadsafe(cancel)
        if attempt.cancel:
            attempt.stop()
        return True

    async def _await(self, task: Task[..., object], attempt: Attempt) -> Result:
        run = attempt.run
        CURRENT.set(CurrentRun(run.schedule_id, run.scheduled, run.attempt + 1, attempt))
        attempt.started = self._clock.now()
        self._set_deadline(attempt)
        try:
            value = await task.function(*arguments(task, run))  # type: ignore[misc]
            return Result(attempt.started, self._clock.now(), kept(value))
        except BaseException as error:  # noqa: BLE001 cancellation is an outcome too
            return Result(attempt.started, self._clock.now(), failure=failure_of(error, innermost_frame(error)))

    def _awaited(self, attempt: Attempt, ended: asyncio.Task[Result]) -> None:
        """A coroutine that was cancelled before its first step never got to catch that."""
        self._coroutines.release()
        if not self._end(attempt):
            return
        if ended.cancelled():
            failure = failure_of(asyncio.CancelledError("cancelled before it began"))
            self._report(attempt, Result(attempt.started, self._clock.now(), failure=failure))
        else:
            self._report(attempt, ended.result())

    def _event_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._loop_thread = threading.Thread(target=_run, args=(self._loop,), name="rota-async", daemon=True)
                self._loop_thread.start()
            return self._loop

    def expire(self, now: int) -> None:
        """Report attempts that are past their deadline as failed."""
        for attempt in list(self.running.values()):
            if attempt.deadline is None or attempt.deadline > now or not self._give_up(attempt):
                continue
            error = TimeoutError(f"longer than the timeout of {(attempt.deadline - attempt.started) / 1000:g} s")
            self._report(attempt, Result(attempt.started, now, failure=failure_of(error)))

    def _give_up(self, attempt: Attempt) -> bool:
        """Wait for it no longer; False if it has just ended."""
        if not self._end(attempt):
            return False
        attempt.cancel = True
        with self._lock:
            stop = attempt.stop
            if stop is None:
                self._threads -= 1
        if stop is not None:
            stop()
            return True
        self.put(())
        return True

    def cancel(self, key: RunKey) -> None:
        """Ask the attempt of this run to stop."""
        attempt = self.running.get(key)
        if attempt is not None:
            attempt.asked = attempt.cancel = True
            if attempt.stop is not None:
                attempt.stop()

    def withdraw(self, pending: AbstractSet[RunKey]) -> list[RunKey]:
        """Do not start what waits for a thread and is not in `pending`: it was cancelled. Answers what that is."""
        gone = [it for it in tuple(self._ready) if not it.claimed and not it.cancel and it.key not in pending]
        for attempt in gone:
            attempt.cancel = True
        return [attempt.key for attempt in gone]

    def drain(self) -> list[Attempt]:
        """Start nothing more. Answers what was put but not started."""
        self._stopping = True
        left = []
        while self._ready:
            with suppress(IndexError):  # a thread that was quicker starts it
                left.append(self._ready.popleft())
        for _ in range(self._threads):
            self._permits.put(None)
        return left

    def abandon(self, now: int, failure: BaseException) -> None:
        """Report what still runs as interrupted and handed back."""
        for attempt in list(self.running.values()):
            if self._give_up(attempt):
                ended = Result(attempt.started, now, failure=failure_of(failure), interrupted=True, handed_back=True)
                self._report(attempt, ended)

    def close(self) -> None:
        """End the event loop. Coroutines that are cancelled get a moment for their cleaning up."""
        if self._loop is not None and self._loop_thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._loop_thread.join(CLEANING_UP)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """The thread of an event loop, until it is stopped; then what is left in it is cancelled."""
    loop.run_forever()
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left))
    loop.close()
