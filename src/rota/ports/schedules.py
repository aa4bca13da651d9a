"""Where schedules and their tick ledger live: the far tier."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Protocol

import msgspec

from rota.core.firing import OpenRuns
from rota.core.schedule import Change, StoredSchedule, TickRow


class ScheduleQuery(msgspec.Struct, frozen=True):
    """Which schedules. tag, status: exact. search: part of id or description, whatever the case. after: the last id
    of the page before."""

    tag: str | None = None
    status: str | None = None
    search: str | None = None
    owner: str | None = None
    after: str | None = None
    limit: int = 100


class ScheduleStore(Protocol):
    """An implementer owes:

    - durability: what a call wrote before it returned survives the process and, unless configured otherwise, power
    loss;
    - atomicity: `create` stores all or nothing; each Change of `apply` happens whole or not at all;
    - isolation: a Change applies only if the stored version equals `change.version`; of two racing callers one gets
    False;
    - one row per tick: `apply` never leaves two rows of one schedule that cover the same tick; a row whose
      `scheduled` is taken replaces the one there;
    - order: `due` by next tick then id, `list` by id, `ticks` by time.
    """

    def create(self, rows: Sequence[StoredSchedule]) -> None:
        """Store new schedules. ExistsError if any id is taken; then nothing is stored."""

    def get(self, ids: Sequence[str]) -> builtins.list[StoredSchedule]:
        """Those of `ids` that exist, in the order asked."""

    def list(self, query: ScheduleQuery) -> builtins.list[StoredSchedule]:
        """One page, by id."""

    def due(self, until: int, limit: int, after: tuple[int, str] | None = None) -> builtins.list[StoredSchedule]:
        """Active schedules whose next tick is at most `until`, earliest first; only those behind `after`, a (next tick,
        id)."""

    def next_due(self) -> int | None:
        """The earliest next tick of all active schedules."""

    def open_runs(self, ids: Sequence[str]) -> dict[str, OpenRuns]:
        """The open (pending, held, running) runs of those schedules; ids without any are left out."""

    def apply(self, changes: Sequence[Change]) -> builtins.list[bool]:
        """Carry out each change whose version still holds, in order: definition and state, tick rows, accepted runs,
        then cancellations; a run that is open already stays as it is. Deleting (`after` None) leaves ledger and
        history. Answers which were carried out."""

    def ticks(
        self, schedule_id: str, start: int, end: int, limit: int, *, newest_first: bool = False
    ) -> builtins.list[TickRow]:
        """Ledger rows that cover some instant of [start, end]."""

    def tick_at(self, schedule_id: str, at: int) -> TickRow | None:
        """The ledger row with scheduled <= at <= until."""

    def forget_ticks(self, before: int, limit: int) -> int:
        """Remove up to `limit` ledger rows whose last tick is before `before`; answers how many."""
