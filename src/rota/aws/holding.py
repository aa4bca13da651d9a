"""When a message is hidden that a function works on: pure, since it is a question of cost too."""

from __future__ import annotations

import math

HELD = 30
"""Seconds for which a message is hidden at a time."""
EVERY = 10.0
"""Seconds from one time to the next."""
PATIENCE = 2.0
"""Seconds after which work counts as long."""
STARTER_PATIENCE = 0.5
"""Likewise of the starter of a pipeline, whose chunks cost three functions: a request less would not be noticed."""
_LONGEST_WAIT = 7200


def beats(seconds: float, patience: float = PATIENCE) -> int:
    """How often a message is hidden on which functions work that long, one like the other."""
    return 0 if seconds < patience else 1 + math.floor(seconds / EVERY)


def comes_again(received: int, held: int = HELD) -> int:
    """Seconds until a message comes again with which something went wrong, received that often: later and later, since
    its deliveries are numbered and an outage may last. held: seconds for which it is hidden at a time."""
    return int(min(held * 2 ** (received - 1), _LONGEST_WAIT))
