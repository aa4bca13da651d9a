"""How often each action of the emulator was asked for, and how much was sent."""

from __future__ import annotations

import threading
from collections.abc import Mapping

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
        self._units: dict[str, float] = {}

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

    def bill(self, units: Mapping[str, float]) -> None:
        """Add to what AWS would bill, by unit."""
        with self._lock:
            for unit, number in units.items():
                self._units[unit] = self._units.get(unit, 0) + number

    def units(self) -> dict[str, float]:
        """What AWS would bill, by unit."""
        with self._lock:
            return dict(sorted(self._units.items()))

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._counts.clear()
            self._units.clear()

    def all(self) -> dict[str, Count]:
        """What was counted, by name."""
        with self._lock:
            return dict(sorted(self._counts.items()))
