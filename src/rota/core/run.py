"""Runs: one firing each, from acceptance to history.

    accepted ──▶ pending ──claim──▶ running ──settle──▶ finished (succeeded, failed, cancelled, interrupted)
        │           ▲                  │
        └─▶ held ───┘◀────retry────────┘

`held` runs wait for the previous run of their schedule (overlap `queue_one`, `queue_all`); settling that one releases
the earliest.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from rota.core.ids import run_id
from rota.core.outcome import Failure
from rota.core.payload import NULL
from rota.core.retry import Retry
from rota.core.target import AnyTarget

Delivery = Literal["at_least_once", "at_most_once"]
Outcome = Literal["succeeded", "failed", "cancelled", "interrupted"]
RunState = Literal["pending", "held", "running", "succeeded", "failed", "cancelled", "interrupted"]
OUTCOMES: tuple[Outcome, ...] = ("succeeded", "failed", "cancelled", "interrupted")


class RunKey(NamedTuple):
    """The two halves of a run id."""

    schedule_id: str
    scheduled: int

    @property
    def id(self) -> str:
        return run_id(self.schedule_id, self.scheduled)


class RunSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """What many runs have in common. retry, timeout (seconds): None means the task's own.
    precise: start within milliseconds, also where that costs more."""

    target: AnyTarget
    retry: Retry | None = None
    timeout: float | None = None
    delivery: Delivery = "at_least_once"
    precise: bool = False


class Run(msgspec.Struct, frozen=True, gc=False):
    """An accepted run. scheduled: nominal time; due: when its next attempt is to start; both epoch ms. attempt:
    attempts begun so far. recurring: it belongs to a stored schedule. held: it waits for its predecessor."""

    schedule_id: str
    scheduled: int
    due: int
    spec: RunSpec
    payload: bytes = NULL
    attempt: int = 0
    recurring: bool = False
    held: bool = False

    @property
    def key(self) -> RunKey:
        return RunKey(self.schedule_id, self.scheduled)

    @property
    def id(self) -> str:
        return run_id(self.schedule_id, self.scheduled)


class Claim(msgspec.Struct, frozen=True, gc=False):
    """Attempt number `run.attempt + 1` of `run` began at `started`."""

    run: Run
    started: int


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """How attempt `attempt` of `run` ended and what follows: `outcome`, or another attempt at `retry_at` (then
    outcome is None). dead: it also becomes a dead letter. value: the target's answer as JSON."""

    run: Run
    attempt: int
    started: int
    finished: int
    outcome: Outcome | None
    retry_at: int | None = None
    failure: Failure | None = None
    value: bytes | None = None
    dead: bool = False


class AttemptRow(msgspec.Struct, frozen=True):
    """An attempt that failed or was interrupted."""

    attempt: int
    started: int
    finished: int
    failure: Failure | None


class RunRecord(msgspec.Struct, frozen=True):
    """All that is known of a run. state: a RunState. due: when its last attempt was expected to start, epoch ms."""

    schedule_id: str
    scheduled: int
    due: int
    state: str
    attempt: int
    spec: RunSpec
    payload: bytes
    started: int | None = None
    finished: int | None = None
    value: bytes | None = None
    failure: Failure | None = None
    attempts: tuple[AttemptRow, ...] = ()

    @property
    def id(self) -> str:
        return run_id(self.schedule_id, self.scheduled)

    @property
    def lateness(self) -> int | None:
        """Milliseconds between the expected and the actual start of the last attempt."""
        return None if self.started is None else self.started - self.due


class DeadLetter(msgspec.Struct, frozen=True):
    """A run whose attempts are used up, kept until redriven or purged. at: when it died, epoch ms."""

    schedule_id: str
    scheduled: int
    at: int
    attempt: int
    spec: RunSpec
    payload: bytes
    failure: Failure | None
    recurring: bool = False
    attempts: tuple[AttemptRow, ...] = ()

    @property
    def id(self) -> str:
        return run_id(self.schedule_id, self.scheduled)
