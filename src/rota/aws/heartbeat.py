"""Does something again and again while a function works, so that its end shows: hides the messages in hand a little
longer, or extends what says that a run is being attempted.

A message that a function dies of comes back when its visibility timeout is over, which is set to six times the
function's own: Lambda holds a message in hand that long while the account has no capacity, and it is not to be
received ten times meanwhile. So the function itself hides it for half a minute, and again and again; after its death
the next one begins within that. Who dies before its own code runs hides nothing, and is waited for.

Each time is a request, so when the first is due depends on what it costs beside the work: see
`rota.aws.batch.deliveries` for chunks, and `rota.aws.receipts` for firings.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rota.aws.holding import EVERY, HELD, PATIENCE

log: logging.Logger = logging.getLogger("rota.heartbeat")


class Heartbeat:
    """hold: given the seconds for which what is in hand is to be held from now. first: seconds until that is called for
    the first time. Use it as a context manager around the work."""

    def __init__(self, hold: Callable[[int], None], first: float = PATIENCE, every: float = EVERY) -> None:
        self._hold = hold
        self._first = first
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="rota-heartbeat", daemon=True)

    def hold(self, seconds: int) -> None:
        """Hide the message, as long as the work goes on at least."""
        self._hold(min(seconds, HELD))

    def put_back(self, seconds: int) -> None:
        """Have the message come again after so many seconds: the work is over, and nothing hides it any more."""
        self._over.set()
        self._thread.join()
        self._hold(seconds)

    def _beat(self) -> None:
        wait = self._first
        while not self._over.wait(wait):
            try:
                self._hold(HELD)
            except Exception as error:  # noqa: BLE001 the next time may succeed; what follows if none does is the caller's matter
                log.warning("what is in hand could not be held for longer: %s", error)
            wait = self._every

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
