"""What time it is. Only loops and faces may ask; everything below is told."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Wall-clock time. An implementer owes: epoch milliseconds UTC; it may step in either direction."""

    def now(self) -> int: ...
