"""The timeout of a task's calls, with a second line of defence.

A timer interrupts the call by an exception, which Python raises between two of its own steps; code in C that never
comes back to Python is not interrupted, and some tasks catch everything. So a watch stands behind the timer, in a
thread that needs no Python: if a call is still there after twice its timeout and a little more, it prints where, and
ends the process. The engine then finds the item that does so by halving, as with any other that kills its worker.

Setting the watch starts a thread, which costs more than many a call, so one serves all calls of half a second.
"""

from __future__ import annotations

import faulthandler
import signal
import time
from collections.abc import Callable
from typing import Any

_SERVES = 0.5
_SLACK = 1.5


class Deadline:
    """seconds: the timeout of each call."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = 0.0

    def limited(self, call: Callable[[Any], Any], *, lasting: bool = False) -> Callable[[Any], Any]:
        """`call`, interrupted by TimeoutError; in a worker, tasks have the main thread. lasting: the next call follows
        at once, or `rest` is called."""
        seconds = self._seconds

        def expired(*_: object) -> None:
            raise TimeoutError(f"longer than the timeout of {seconds:g} s")

        def limited(item: Any) -> Any:
            self._watch()
            signal.signal(signal.SIGALRM, expired)
            signal.setitimer(signal.ITIMER_REAL, seconds)
            try:
                return call(item)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                if not lasting:
                    self.rest()

        return limited

    def _watch(self) -> None:
        now = time.monotonic()
        if now > self._until:
            faulthandler.dump_traceback_later(2 * self._seconds + _SLACK, exit=True)
            self._until = now + _SERVES

    def rest(self) -> None:
        """No call is being made."""
        if self._until:
            faulthandler.cancel_dump_traceback_later()
            self._until = 0.0
