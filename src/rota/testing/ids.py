"""Ids that a test can foresee, where an engine would draw random ones."""

from __future__ import annotations


class CountingIds:
    """Call it for `prefix-1`, `prefix-2` and so on."""

    def __init__(self, prefix: str = "id") -> None:
        self._prefix = prefix
        self._last = 0

    def __call__(self) -> str:
        self._last += 1
        return f"{self._prefix}-{self._last}"
