"""How often each action of the emulator was asked for, and how much was sent."""

from __future__ import annotations

import threading

import msgspec


class Count(msgspec.Struct, frozen=True):
    """What was counted under one name. requests: HTTP requests, or executions of functions. items: the entries of batch
    requests, 1 for any other. bytes: request bodies. milliseconds: time spent, of executions alone."""

    requests: int = 0
    items: int = 0
    bytes: int = 0
    milliseconds: int = 0


class Counts:
    """Counts by name ("sqs.SendMessage"); safe to use from any thread."""

    def __init__(self) -> None:
        self._lock: threading.Lock = threading.Lock()
        self._counts: dict[str, Count] = {}

    def add(self, name: str, *, requests: int = 1, items: int = 1, size: int = 0, milliseconds: int = 0) -> None:
        """Add to what is counted under `name`."""
        with self._lock:
            before = self._counts.get(name, Count())
            self._counts[name] = Count(
                before.requests + requests,
                before.items + items,
                before.bytes + size,
                before.milliseconds + milliseconds,
            )

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._counts.clear()

    def all(self) -> dict[str, Count]:
        """What was counted, by name."""
        with self._lock:
            return dict(sorted(self._counts.items()))
