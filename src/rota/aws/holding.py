"""When a message is hidden that a function works on: pure, since it is a question of cost too."""

from __future__ import annotations

import math

EVERY = 10.0
"""Seconds from one time to the next."""
PATIENCE = 2.0
"""Seconds after which work counts as long."""
STARTER_PATIENCE = 0.5
"""Likewise of the starter of a pipeline, whose chunks cost three functions: a request less would not be noticed."""


def beats(seconds: float, patience: float = PATIENCE) -> int:
    """How often a message is hidden on which functions work that long, one like the other."""
    return 0 if seconds < patience else 1 + math.floor(seconds / EVERY)
