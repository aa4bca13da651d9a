"""What firings use of AWS, by kind. What a stack uses besides is in `rota.aws.standing_cost`.

The requests of each kind are counted by `tests/aws/test_cost.py` as the emulator carries them out, so the tables here
cannot drift from the code. What AWS does by itself (polling, log lines, sampled traces) is from its documentation.

A batch of messages is received, hidden, and deleted: three requests. Each ten seconds that its targets take, it is
hidden once more, and its runs say that they live.

How many messages come together decides much: a dispatcher takes up to ten at once, but a million firings spread over a
month come one by one. Sizes: payloads of up to some 500 bytes, so that a run is one write unit.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from rota.aws.bill import Usage
from rota.aws.holding import beats
from rota.core.target import AnyTarget, QueueTarget, SqsTarget

Kind = Literal["direct", "one-off", "tick"]
KINDS: dict[Kind, str] = {
    "direct": "one-off, straight to a queue",
    "one-off": "one-off for any other target",
    "tick": "tick of a schedule",
}
TOGETHER = 10
MONTH = 30.0
"""Days."""

_WRITES: dict[Kind, float] = {"direct": 1, "one-off": 3, "tick": 8}
"""Accepted; and claimed and settled; and decided on in a transaction of three, which counts double."""
_READS: dict[Kind, float] = {"direct": 0.1, "one-off": 0.1, "tick": 3.1}
"""A feeder's page; and the schedule, its open runs and its directory."""
_SENT = 0.1
"""The feeder sends ten messages a request."""
_MILLISECONDS = 20.0
"""That a dispatcher takes for a firing, its target aside."""
LOG_BYTES = 1000.0
"""Of an invocation: three lines of Lambda's own, one of metrics."""
SAMPLED = 0.05
_ACCEPTING = 20.0
"""Milliseconds that the ad-hoc function takes to store a one-off."""


class Assumed(NamedTuple):
    """together: messages a dispatcher takes at once, 1 to 10. memory: MB of a function. target: milliseconds that it
    waits for what it fires."""

    together: float = 1.0
    memory: int = 512
    target: float = 0.0


def kind_of(target: AnyTarget, *, recurring: bool) -> Kind:
    """Which kind firings of this target are."""
    if recurring:
        return "tick"
    straight = isinstance(target, QueueTarget) or (isinstance(target, SqsTarget) and not target.fifo)
    return "direct" if straight else "one-off"


def firing(kind: Kind, assumed: Assumed | None = None) -> Usage:
    """What one firing uses; what its target itself costs comes in addition."""
    assumed = assumed or Assumed()
    stored = Usage(write_units=_WRITES[kind], read_units=_READS[kind], queue_requests=_SENT)
    if kind == "direct":
        return stored
    share = 1 / assumed.together
    # A batch of messages is handled by threads, so waiting for targets overlaps.
    seconds = (_MILLISECONDS + assumed.target * share) / 1000
    hidden = beats(seconds / share, patience=0)
    return stored + Usage(
        write_units=hidden - 1,
        queue_requests=(2 + hidden) * share,
        invocations=share,
        gb_seconds=seconds * assumed.memory / 1024,
        log_gb=LOG_BYTES * share / 1e9,
        traces=SAMPLED * share,
    )


def accepting(memory: int = 512) -> Usage:
    """What it takes, besides the one-off itself, that the ad-hoc function is called for it, and for it alone."""
    return Usage(
        invocations=1,
        gb_seconds=_ACCEPTING / 1000 * memory / 1024,
        log_gb=LOG_BYTES / 1e9,
        traces=SAMPLED,
    )
