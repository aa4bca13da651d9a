"""How many failures a batch run may have and still succeed."""

from __future__ import annotations

import re

import msgspec

from rota.core.errors import InvalidError
from rota.core.receipt import Counts

_ALLOWED = "a whole number of items from 0 up, or a percentage such as '5%'"


class Tolerance(msgspec.Struct, frozen=True, omit_defaults=True):
    """At most `count` failed items, or at most `percent` of the items.

    A count is exceeded as soon as it is. A percentage is of all items, so before the end it is judged only where their
    number is known, or a bound of it (see `rota.core.total`): which items come first decides nothing."""

    count: int = 0
    percent: float | None = None

    def exceeded(self, counts: Counts, total: int | None) -> bool:
        """Whether the failures are too many. total: of how many items a percentage is meant; None if it is too early
        to say."""
        if self.percent is None:
            return counts.failed > self.count
        return total is not None and counts.failed * 100 > self.percent * max(total, counts.items)

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
