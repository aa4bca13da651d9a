"""What the machine gives to either engine: its clock, and identifiers that nobody else draws."""

from __future__ import annotations

import itertools
import secrets
import time


class SystemClock:
    """The wall clock in epoch milliseconds."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000


class RandomIds:
    """Ids such as once-k3v9q0x7m2ab-1: drawn once a process, counted within it, so that a million cost little."""

    def __init__(self) -> None:
        alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
        self._prefix = "once-" + "".join(secrets.choice(alphabet) for _ in range(12)) + "-"
        self._count = itertools.count(1)

    def new(self) -> str:
        return f"{self._prefix}{next(self._count)}"

    def new_many(self, n: int) -> list[str]:
        prefix = self._prefix
        return [f"{prefix}{number}" for number in itertools.islice(self._count, n)]
