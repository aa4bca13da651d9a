"""A clock that stands still until it is told to move."""

from __future__ import annotations


class FakeClock:
    """A `Clock` for tests. at: epoch milliseconds UTC; by default 2026-01-01T00:00:00Z."""

    def __init__(self, at: int = 1_767_225_600_000) -> None:
        self._at = at

    def now(self) -> int:
        return self._at

    def advance(self, by: int) -> int:
        """Move by that many milliseconds, backwards if negative, as a stepped clock does; answers the new time."""
        self._at += by
        return self._at

    def set(self, at: int) -> None:
        self._at = at
