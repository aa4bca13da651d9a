"""How many failures a batch run may have and still succeed."""

from __future__ import annotations

import re

import msgspec

from rota.core.errors import InvalidError
from rota.core.receipt import Counts

JUDGED_FROM = 1000
_ALLOWED = "a whole number of items from 0 up, or a percentage such as '5%'"


class Tolerance(msgspec.Struct, frozen=True, omit_defaults=True):
    """At most `count` failed items, or at most `percent` of the items.

    A count is exceeded as soon as it is. A percentage is of all items once their number is known, if only about; before
    that it is of the items so far, from 1,000 of them on, so that a batch run of which everything fails does not go on
    to its end."""

    count: int = 0
    percent: float | None = None

    def exceeded(self, counts: Counts, total: int | None) -> bool:
        """Whether the failures are too many. total: how many items there are in all, where that is known, or
        about so many."""
        if self.percent is None:
            return counts.failed > self.count
        if total is None and counts.items < JUDGED_FROM:
            return False
        return counts.failed * 100 > self.percent * (counts.items if total is None else max(total, counts.items))

    def __str__(self) -> str:
        return str(self.count) if self.percent is None else f"{self.percent:g}%"


NOTHING_TOLERATED = Tolerance()


def parse_tolerance(value: object) -> Tolerance:
    """What users write: a count, or a percentage as text."""
    if isinstance(value, Tolerance):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Tolerance(value)
    if isinstance(value, str):
        if re.fullmatch(r"\d{1,15}", value):
            return Tolerance(int(value))
        if re.fullmatch(r"\d{1,3}(\.\d+)?\s*%", value) and float(value.rstrip("% ")) <= 100:
            return Tolerance(0, float(value.rstrip("% ")))
    raise InvalidError("tolerated_failures", value, _ALLOWED)
