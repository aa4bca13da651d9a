"""Keeps a message hidden while a function works on it, a little at a time.

A message that a function dies of comes back when its visibility timeout is over, which is set to six times the
function's own: Lambda holds a message in hand that long while the account has no capacity, and it is not to be
received ten times meanwhile. So the function itself hides it for half a minute, and again and again; after its death
the next one begins within that.

Each time is a request, which would cost a chunk of milliseconds half as much again of SQS. Therefore a message is
hidden at once unless the one before, in the same environment, was short: what follows one that was, once it turns out
to be long. Healthy short messages pay one request for each environment, and longer ones less than a fiftieth of what
the time of the function costs. Only the death of a warm environment, behind a short message and within its first
moments, waits for the visibility timeout; whatever kills functions as they start, or a second time, does not.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rota.aws.holding import EVERY, PATIENCE

log: logging.Logger = logging.getLogger("rota.batch")
HELD = 30
"""Seconds for which a message is hidden at a time."""


class Heartbeat:
    """hold: hides the message for so many seconds from now. first: seconds until that is done for the first time. Use
    it as a context manager around the work."""

    def __init__(self, hold: Callable[[int], None], first: float = PATIENCE, every: float = EVERY) -> None:
        self._hold = hold
        self._first = first
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="rota-heartbeat", daemon=True)

    def hold(self, seconds: int) -> None:
        """Hide the message, as long as the work goes on at least."""
        self._hold(min(seconds, HELD))

    def _beat(self) -> None:
        wait = self._first
        while not self._over.wait(wait):
            try:
                self._hold(HELD)
            except Exception as error:  # noqa: BLE001 the message may come again while this goes on, which is harmless
                log.warning("a message could not be hidden for longer: %s", error)
            wait = self._every

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
