"""One attempt within a function, and its time.

An attempt has its timeout, and the function has its own end, whichever comes first. A thread cannot be killed: an
attempt that overruns is reported as failed and its thread is left behind. It goes on for as long as the environment of
the function lives, and Lambda freezes that between invocations; what it returns later is ignored. So a task that may
hang should bound its own calls, or ask `rota.current_run().cancelled`, which is true from then on. Coroutines are
cancelled properly. Where the end of the function comes first, the failure says so: the cure is a longer timeout of the
function, or a batch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from rota.core.errors import TargetError
from rota.core.outcome import Result, failure_of, innermost_frame
from rota.core.run import Run
from rota.ports.clock import Clock
from rota.ports.target import TargetCall

RESERVE = 2000
"""Milliseconds that a function keeps to record how an attempt ended."""
WATCH = 5.0
"""Seconds between questions whether a running attempt was asked to stop."""


class Signal:
    """What a running attempt is told. cancel: it is to stop. stop: what makes it, where something can."""

    def __init__(self) -> None:
        self.cancel: bool = False
        self.stop: Callable[[], object] | None = None

    def give(self) -> None:
        self.cancel = True
        if self.stop is not None:
            self.stop()


Perform = Callable[[Run, Signal], bytes | None]
"""Does what a run's target says; raises on failure."""


def performing(calls: Mapping[type, TargetCall]) -> Perform:
    """A Perform of calls that cannot be told to stop."""

    def perform(run: Run, _signal: Signal) -> bytes | None:
        call = calls.get(type(run.spec.target))
        if call is None:
            raise TargetError(
                f"{run.spec.target}: this function cannot carry out such a target", transient=False, run=run.id
            )
        return call(run)

    return perform


def attempt(
    run: Run,
    perform: Perform,
    clock: Clock,
    *,
    timeout: float | None,
    left: Callable[[], int],
    asked: Callable[[], bool],
) -> Result:
    """Make one attempt and answer what it came to. timeout: seconds. left: milliseconds that the function may still
    take. asked: whether the run was asked to stop."""
    started, signal, done = clock.now(), Signal(), threading.Event()
    results: list[Result] = []

    def work() -> None:
        try:
            result = Result(started, clock.now(), perform(run, signal))
        except BaseException as error:  # noqa: BLE001 even SystemExit is just an outcome
            result = Result(started, clock.now(), failure=failure_of(error, innermost_frame(error)))
        results.append(result)
        done.set()

    most = (left() - RESERVE) / 1000
    allowed = most if timeout is None else min(timeout, most)
    threading.Thread(target=work, name="rota-attempt", daemon=True).start()
    waited = 0.0
    while not done.wait(max(0.0, min(WATCH, allowed - waited))):
        waited += WATCH
        if waited >= allowed:
            signal.give()
            return Result(started, clock.now(), failure=failure_of(_overrun(timeout, allowed)))
        if not signal.cancel and asked():
            signal.give()
    return results[0]


def _overrun(timeout: float | None, allowed: float) -> TimeoutError:
    if timeout is not None and allowed == timeout:
        return TimeoutError(f"longer than the timeout of {timeout:g} s")
    return TimeoutError(f"longer than the {allowed:.0f} s that the function had left; give it a longer timeout")
