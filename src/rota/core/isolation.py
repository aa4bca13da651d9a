"""Finding the item that kills workers.

A chunk during which a worker died is attempted once more as a whole: most deaths are the machine's. If a worker dies
again, its items are halved: each half is attempted alone and its outcome kept, and a half that kills is halved
again, until a single item is left, which becomes a dead letter. With n items and one killer that costs at most
log2(n) further workers, and no item that ended is attempted again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Self

import msgspec


class Stretch(msgspec.Struct, frozen=True):
    """The items of a chunk from number `low` to before number `high`, in reading order."""

    low: int
    high: int


WHOLE_ATTEMPTS = 2
"""How often a chunk is attempted as a whole before it is halved."""


class Isolation:
    """What is known of one chunk of `items` items. Give out `next`, then tell `ended` or `killed`."""

    def __init__(self, items: int) -> None:
        self._open: deque[Stretch] = deque(_halves(Stretch(0, items)))
        self._out = 0
        self.ended: list[Stretch] = []
        self.killers: list[int] = []

    @classmethod
    def resumed(cls, waiting: Iterable[Stretch], ended: Iterable[Stretch], killers: Iterable[int]) -> Self:
        """One that another process began: what it had not given out, what had ended, and the items that killed."""
        found = cls(0)
        found._open.extend(waiting)
        found.ended += ended
        found.killers += killers
        return found

    @property
    def open(self) -> tuple[Stretch, ...]:
        """What was not given out."""
        return tuple(self._open)

    def next(self) -> Stretch | None:
        """A stretch to attempt alone; None if none is left to give out."""
        if not self._open:
            return None
        self._out += 1
        return self._open.popleft()

    def end(self, stretch: Stretch) -> None:
        """Every item of it has ended."""
        self._out -= 1
        self.ended.append(stretch)

    def kill(self, stretch: Stretch) -> None:
        """A worker died on it."""
        self._out -= 1
        if stretch.high - stretch.low == 1:
            self.killers.append(stretch.low)
        else:
            self._open.extend(_halves(stretch))

    @property
    def is_done(self) -> bool:
        return not self._open and not self._out

    def stretches(self) -> list[Stretch]:
        """What has ended, in item order."""
        return sorted(self.ended, key=lambda it: it.low)


def _halves(it: Stretch) -> list[Stretch]:
    if it.high - it.low < 2:
        return [it] if it.high > it.low else []
    middle = (it.low + it.high) // 2
    return [Stretch(it.low, middle), Stretch(middle, it.high)]
