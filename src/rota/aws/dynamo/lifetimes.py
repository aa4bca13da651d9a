"""When DynamoDB may remove an item by itself, which costs nothing: the attribute `expires`, in epoch seconds.

Nothing that has work ahead of it expires, with one exception: a one-off that nobody ever claims. It may have gone
straight to its queue, and is then never heard of again; so it goes a long while after it was due.
"""

from __future__ import annotations

from rota.aws.dynamo.keys import hour_end
from rota.ports.clock import Clock

DAY = 86_400_000
UNCLAIMED_DAYS = 30
_SPARE_DAYS = 90


class Lifetimes:
    """keep: milliseconds that finished runs and ledger rows are kept."""

    def __init__(self, keep: int, clock: Clock) -> None:
        self._keep = keep
        self._unclaimed = max(keep, UNCLAIMED_DAYS * DAY)
        self._clock = clock

    def finished(self, at: int) -> int:
        """Of what is history at `at`."""
        return _seconds(max(at, self._clock.now()) + self._keep)

    def unclaimed(self, due: int) -> int:
        """Of an entry that is due at `due`."""
        return _seconds(max(due, self._clock.now()) + self._unclaimed)

    def beside(self, due: int) -> int:
        """Of what a run due at `due` needs as long as it is there: it outlives the run."""
        return _seconds(max(due, self._clock.now()) + self._unclaimed + self._keep + _SPARE_DAYS * DAY)

    def hour(self, hour: int) -> int:
        """Of the entry of an hour in the directory."""
        return self.beside(hour_end(hour))


def _seconds(at: int) -> int:
    return at // 1000
