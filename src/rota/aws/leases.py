"""Until when a run that is being attempted is known to be in living hands.

A claim is good for LEASE after it began. Who attempts for longer than that says so every ten seconds, in a row of its
own, and only then: a short attempt writes nothing. So a function that died is noticed as soon as its message comes
back, and one that lives is never taken for dead, unless it can neither write nor run for half a minute; even so it is
dead once its own time is over, which is what a claim of a function with a shorter timeout is good for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rota.aws.holding import HELD
from rota.core.run import RunKey

MARGIN = 10_000
"""Milliseconds by which the clocks of two functions may differ."""
LEASE: int = HELD * 1000 + MARGIN
"""Milliseconds."""


class Leases(Protocol):
    """Where they are kept. A later extension replaces an earlier one."""

    def extend(self, keys: Sequence[RunKey], until: int) -> None:
        """These are attempted until then at least, epoch ms. StoreError."""
        ...

    def until(self, key: RunKey) -> int:
        """Until when, as far as was said; 0 if nothing was. Sees what was written before."""
        ...
