"""Where runs live, from acceptance to history, and where the dead ones wait."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Protocol

import msgspec

from rota.core.run import Claim, DeadLetter, Run, RunKey, RunRecord, Settlement


class RunQuery(msgspec.Struct, frozen=True):
    """Which runs. state: pending, held, running or an outcome. start, end: scheduled time, epoch ms, both included.
    Newest scheduled time first; after: the last key of the page before."""

    schedule_id: str | None = None
    state: str | None = None
    start: int | None = None
    end: int | None = None
    after: RunKey | None = None
    limit: int = 50


class RunStore(Protocol):
    """An implementer owes:

    - durability and atomicity per call, as ScheduleStore does;
    - a run accepted is in exactly one place: pending, held, running or finished; only settling or cancelling finishes
    it;
    - `settle` is the last word on a run that ended: it also takes one that was never claimed (its claim may be
      skipped when it ended first) and one that was cancelled meanwhile, and settling again replaces the record. But a
      run that was asked to stop ends as cancelled instead of being tried again, and one that is finished is never
      reopened by a retry;
    - the earliest held run of a schedule becomes pending as soon as no other run of it is open, in the transaction
      that makes it so, whether that settles, cancels, accepts or applies;
    - accepting an id that is finished replaces its record, its attempts and its dead letter;
    - `due` in the order (due, schedule_id, scheduled).
    """

    def accept(self, runs: Sequence[Run], *, fresh: bool = False) -> None:
        """Store new runs, all or nothing. ExistsError if an id is taken by an open run. fresh: the ids were drawn so
        that nobody else has them; a store to which that saves a look may store many in pages, and remove what it stored
        if one of them fails, so that a crash in between may leave runs that nobody was told of."""

    def due(self, until: int, limit: int, after: Run | None = None) -> builtins.list[Run]:
        """Pending runs due at most at `until`, earliest first, those behind `after` only."""

    def next_due(self) -> int | None:
        """When the earliest pending run is due."""

    def claim(self, claims: Sequence[Claim]) -> builtins.list[bool]:
        """Record that attempts began. False for a run that is not pending any more; it must not be started."""

    def settle(self, settlements: Sequence[Settlement], claims: Sequence[Claim] = ()) -> builtins.list[Run]:
        """Record `claims` (those still pending), then how attempts ended. Answers the held runs that became pending."""

    def running(self) -> builtins.list[Claim]:
        """Every claimed attempt that was not settled; `claim.run.attempt` counts the attempts before it."""

    def cancelled(self, keys: Sequence[RunKey]) -> builtins.list[RunKey]:
        """Those of `keys` that are running and were asked to stop."""

    def cancel(self, keys: Sequence[RunKey], now: int) -> builtins.list[RunKey]:
        """End pending and held runs as cancelled, ask running ones to stop; answers those that were open."""

    def get(self, key: RunKey) -> RunRecord | None:
        """All that is known of one run, failed attempts included."""

    def list(self, query: RunQuery) -> builtins.list[RunRecord]:
        """One page; failed attempts are left out."""

    def counts(self) -> dict[str, int]:
        """How many runs there are in each open state, and how many dead letters ("dead")."""

    def dead_letters(
        self, schedule_id: str | None, limit: int, after: RunKey | None = None
    ) -> builtins.list[DeadLetter]:
        """Newest scheduled time first."""

    def dead_letter(self, key: RunKey) -> DeadLetter | None: ...

    def redrive(self, keys: Sequence[RunKey], now: int) -> builtins.list[RunKey]:
        """Make those dead letters pending runs again, with the same run id, due `now`, all attempts before it
        remembered in their records but not counted against the retry policy; answers which were there."""

    def purge(self, keys: Sequence[RunKey]) -> builtins.list[RunKey]:
        """Forget those dead letters; their run stays in the history as failed."""

    def forget_runs(self, before: int, limit: int) -> int:
        """Remove up to `limit` finished runs scheduled before `before`, unless they are dead letters; answers how
        many."""
