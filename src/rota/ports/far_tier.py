"""The far tier as a feeder sees it: everything pending, cut into shards, each read in time order.

An entry is written by a store (`RunStore.accept`, `RunStore.settle` with a retry, `ScheduleStore.create` and `apply`)
or by a feeder (`put_ticks`). A feeder moves what is due within the horizon to the near tier. The two may race: a writer
may put an entry into a stretch of time that a feeder is reading, or has read. Each shard therefore has a *fence*, the
latest time up to which any feeder has begun to read:

    feeder: raise the fence to U (`take`), then read what is due at most at U (`page`)
    writer: put the entry due at D, then read the fence (`fences`); if it is at D or behind it, hand the entry to the
            near tier as well

Whichever comes first, at least one of the two sees the entry; if both do, it is handed over twice, and the run id
keeps it from firing twice. The *mark* of a shard follows the fence: everything due at most at the mark was handed over.
A feeder that dies leaves the mark where it was, and the next one reads from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from rota.core.run import Run


class Shard(NamedTuple):
    """One of the `of` shards of a generation. Entries are written to the newest generation, and read from all that may
    still hold any."""

    generation: int
    number: int
    of: int


class DueRun(msgspec.Struct, frozen=True):
    """A pending run, due at `run.due`."""

    run: Run

    @property
    def at(self) -> int:
        return self.run.due


class DueTick(msgspec.Struct, frozen=True):
    """The next tick of a stored schedule that nobody has handed over. version: that of the schedule's definition when
    this was written; an entry of an older definition means nothing."""

    schedule_id: str
    at: int
    version: int


AnyDue = DueRun | DueTick


class Lease(msgspec.Struct, frozen=True):
    """A feeder's claim to a shard: entries due after `start` and at most at `until` are its to hand over, before
    `expires`. All epoch ms."""

    shard: Shard
    start: int
    until: int
    expires: int
    holder: str


class FarTier(Protocol):
    """An implementer owes: consistent reads, time order within a shard, and that the fence is raised durably before
    `take` answers."""

    def shards(self) -> list[Shard]:
        """Every shard that may hold entries, of every generation."""

    def resize(self, shards: int, now: int) -> list[Shard]:
        """Begin a generation of that many shards; answers all shards. Generations that have run empty are dropped."""

    def take(self, shard: Shard, until: int, now: int, lease: int, holder: str) -> Lease | None:
        """Raise the fence of `shard` to `until` (it never falls) and lease it for `lease` ms; None if another feeder
        holds it."""

    def page(self, lease: Lease, after: str | None, limit: int) -> tuple[list[AnyDue], str | None]:
        """Pending entries of the lease in time order, up to `limit`, and where to go on; None at the end."""

    def put_ticks(self, ticks: Sequence[DueTick]) -> None:
        """Store where schedules go on. Storing one twice is storing it once."""

    def done(self, lease: Lease, upto: int) -> bool:
        """Everything of the lease that is due at most at `upto` was handed over: move the mark there (it never falls),
        and give the lease up if that is all of it. False if the lease is another feeder's by now."""

    def fences(self, ids: Sequence[str]) -> dict[str, int]:
        """The fence of the shard to which entries of each schedule id are written (0 if it has none)."""

    def handed(self, ids: Sequence[str]) -> dict[str, int]:
        """The mark up to which every entry of each schedule id was handed over, whichever shard it lies in: the lowest
        of those (0 if one has none)."""

    def marks(self) -> dict[Shard, int]:
        """How far each shard was handed over."""
