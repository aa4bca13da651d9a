"""Ids that a test can foresee, where an engine would draw random ones."""

from __future__ import annotations


class CountingIds:
    """`prefix-1`, `prefix-2` and so on: call it for the next one, or use it as the `Ids` of a client."""

    def __init__(self, prefix: str = "id") -> None:
        self._prefix = prefix
        self._last = 0

    def __call__(self) -> str:
        self._last += 1
        return f"{self._prefix}-{self._last}"

    def new(self) -> str:
        return self()

    def new_many(self, n: int) -> list[str]:
        return [self() for _ in range(n)]
