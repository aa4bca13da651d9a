"""Cuts the source in a thread of its own, so that a generator that takes its time holds up nothing else.

It stays at most `most` chunks ahead of what was taken, which is what bounds the spool of streams and generators,
however
long they are.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator

from rota.core.chunk import Chunk


class Planner:
    """plan: consumed in the thread. ring: called when there is something to take."""

    def __init__(self, plan: Iterator[Chunk], most: int, ring: Callable[[], None]) -> None:
        self._plan = plan
        self._room = threading.Semaphore(most)
        self._ring = ring
        self._ready: deque[Chunk] = deque()
        self._stopped = False
        self.exhausted: bool = False
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="rota-planner", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            for chunk in self._plan:
                self._ready.append(chunk)
                if len(self._ready) == 1:
                    self._ring()
                self._room.acquire()
                if self._stopped:
                    return
            self.exhausted = True
        except Exception as error:  # noqa: BLE001 the batch run ends with it
            self.error = error
        self._ring()

    def take(self, most: int) -> list[Chunk]:
        """Up to `most` planned chunks, in order."""
        taken: list[Chunk] = []
        while self._ready and len(taken) < most:
            taken.append(self._ready.popleft())
        if taken:
            self._room.release(len(taken))
        return taken

    @property
    def is_over(self) -> bool:
        """Everything was taken, and there will be no more."""
        return self.exhausted and not self._ready

    def stop(self) -> None:
        """Plan nothing more. A generator that never answers is left behind."""
        self._stopped = True
        self._room.release()
        self._thread.join(1.0)
