"""The feeder: every minute it moves what is due within the horizon from the far tier to the near one.

    take     lease a shard, raise its fence to now + horizon       nobody else feeds it; writers see the fence
    page     read what is due, in time order, a page at a time
    hand     direct messages, reminders, ticks, to SQS             (handover.py)
    done     move the mark: all up to here was handed over         only now is it forgotten

Shards are fed at the same time by threads. More than one function takes are cut into groups, and this function invokes
itself for each of the others, without waiting. Who is short of time moves the mark to where it came and stops; the next
one goes on from there. Whatever fails or dies before `done` is read again by the next one: what was handed over then
goes out twice, and the run id keeps it from being attempted twice.

A feeder that was down for hours catches up in slices of time, all shards through one slice before the next, so that
what was due first goes first. It hands over one tick of each schedule for all that has passed; the misfire policy does
the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from rota.aws.handover import Handover, Onward, definition_version, is_active
from rota.core.errors import RotaError
from rota.core.run import Run
from rota.ports.clock import Clock
from rota.ports.far_tier import AnyDue, DueRun, DueTick, FarTier, Lease, Shard
from rota.ports.schedules import ScheduleStore

log: logging.Logger = logging.getLogger("rota.feeder")

PAGE = 1000
SHARDS_EACH = 32
"""Shards that one invocation feeds."""
SLICE = 600_000
"""Milliseconds of a backlog that are caught up at a time."""
RESERVE = 3000
"""Milliseconds that a function keeps for what it has begun."""

LEASE = 90_000
"""Milliseconds for which a shard is leased at a time: so long it waits if its feeder dies."""
RENEW = 30_000

Invoke = Callable[[Sequence[Shard]], None]
"""Have another feeder feed these shards, without waiting for it."""


class Fed(msgspec.Struct, frozen=True):
    """What one invocation did. lag: milliseconds by which the shard that is furthest behind missed its horizon. busy:
    shards that another feeder held. cut: shards that were left unfinished for lack of time. passed: shards handed to
    other invocations."""

    runs: int = 0
    ticks: int = 0
    lag: int = 0
    busy: int = 0
    cut: int = 0
    failed: int = 0
    passed: int = 0

    def __add__(self, other: Fed) -> Fed:
        return Fed(
            self.runs + other.runs,
            self.ticks + other.ticks,
            max(self.lag, other.lag),
            self.busy + other.busy,
            self.cut + other.cut,
            self.failed + other.failed,
            self.passed + other.passed,
        )


class Feeder:
    """horizon: milliseconds. holder: who this is, for leases. invoke: None where there is no other function to pass
    shards to. threads: shards at the same time; with 1 all happens in the caller's thread."""

    def __init__(
        self,
        far: FarTier,
        schedules: ScheduleStore,
        handover: Handover,
        clock: Clock,
        *,
        horizon: int,
        holder: str,
        invoke: Invoke | None = None,
        threads: int = 8,
        page: int = PAGE,
        shards_each: int = SHARDS_EACH,
    ) -> None:
        self._far = far
        self._schedules = schedules
        self._handover = handover
        self._clock = clock
        self._horizon = horizon
        self._holder = holder
        self._invoke = invoke
        self._threads = threads
        self._page = page
        self._shards_each = shards_each

    def feed(self, left: Callable[[], int], shards: Sequence[Shard] | None = None) -> Fed:
        """Feed these shards, by default all. left: milliseconds this function may still take. What goes wrong with one
        shard is logged and counted, and does not keep the others from being fed."""
        mine = list(self._far.shards() if shards is None else shards)
        passed = 0
        if self._invoke is not None and len(mine) > self._shards_each:
            groups = [mine[at : at + self._shards_each] for at in range(0, len(mine), self._shards_each)]
            mine = groups[0]
            for group in groups[1:]:
                try:
                    self._invoke(group)
                    passed += len(group)
                except RotaError as error:
                    log.warning("%d shards could not be passed on, so they are fed here: %s", len(group), error)
                    mine += group
        fed = Fed(passed=passed)
        open_shards, now = mine, self._clock.now()
        for until in self._slices(now):
            fed, open_shards = self._round(fed, open_shards, until, left)
            if not open_shards:
                break
        lag = max(0, now - min((mark for mark in self._known_marks(mine).values() if mark), default=now))
        return fed + Fed(lag=lag)

    def _slices(self, now: int) -> list[int]:
        """Where the rounds end: at the horizon, and before that at every slice of a backlog."""
        end, marks = now + self._horizon, [mark for mark in self._far.marks().values() if mark]
        oldest = min(marks, default=end)
        return [*range(oldest + SLICE, end - self._horizon, SLICE), end]

    def _known_marks(self, shards: Sequence[Shard]) -> Mapping[Shard, int]:
        marks = self._far.marks()
        return {shard: marks.get(shard, 0) for shard in shards}

    def _round(self, fed: Fed, shards: Sequence[Shard], until: int, left: Callable[[], int]) -> tuple[Fed, list[Shard]]:
        """Feed `shards` up to `until`; answers those that may go on with the next slice."""

        def one(shard: Shard) -> Fed:
            try:
                return self._shard(shard, until, left)
            except Exception:
                # The others go on; this one keeps its mark, so the next feeder reads it again.
                log.exception("shard %s is not fed", shard)
                return Fed(failed=1)

        if self._threads < 2 or len(shards) < 2:
            answers = [one(shard) for shard in shards]
        else:
            with ThreadPoolExecutor(min(self._threads, len(shards)), "rota-feeder") as pool:
                answers = list(pool.map(one, shards))
        for answer in answers:
            fed += answer
        whole = [
            it for it, answer in zip(shards, answers, strict=True) if not (answer.busy or answer.cut or answer.failed)
        ]
        return fed, whole

    def _shard(self, shard: Shard, until: int, left: Callable[[], int]) -> Fed:
        """Feed one shard up to `until`."""
        if left() < RESERVE:
            return Fed(cut=1)
        lease = self._lease(shard, until, left)
        if lease is None:
            return Fed(busy=1)
        fed, after = Fed(), None
        while True:
            entries, after = self._far.page(lease, after, self._page)
            if entries:
                fed += self._hand(entries, lease)
            if after is None:
                self._far.done(lease, lease.until)
                return fed
            short = left() < RESERVE
            if not short and self._clock.now() + RENEW < lease.expires:
                continue
            if entries:
                # More may be due at the same millisecond.
                self._far.done(lease, entries[-1].at - 1)
            if short:
                return fed + Fed(cut=1)
            renewed = self._lease(shard, until, left)
            if renewed is None:
                return fed + Fed(busy=1)
            lease = renewed

    def _lease(self, shard: Shard, until: int, left: Callable[[], int]) -> Lease | None:
        return self._far.take(shard, until, self._clock.now(), min(left(), LEASE), self._holder)

    def _hand(self, entries: Sequence[AnyDue], lease: Lease) -> Fed:
        now = self._clock.now()
        runs: list[Run] = [entry.run for entry in entries if isinstance(entry, DueRun)]
        if runs:
            self._handover.runs(runs, now)
        ticks = [entry for entry in entries if isinstance(entry, DueTick)]
        if ticks:
            self._handover.ticks(self._onward(ticks, lease.until), now)
        return Fed(len(runs), len(ticks))

    def _onward(self, ticks: Sequence[DueTick], until: int) -> list[Onward]:
        """What to hand over for these entries. One of a schedule that is gone, paused or finished means nothing, and
        neither does one of an older definition: whoever changed it stored a new one."""
        stored = {row.id: row for row in self._schedules.get(list(dict.fromkeys(tick.schedule_id for tick in ticks)))}
        found: dict[str, Onward] = {}
        for tick in ticks:
            row = stored.get(tick.schedule_id)
            if row is None or not is_active(row) or tick.version != definition_version(row):
                continue
            # A decision that was made ahead of this entry has moved the next tick on.
            at = max(tick.at, row.state.next_tick or 0)
            # Of several entries of a schedule the earliest leads to the others.
            found.setdefault(row.id, Onward(row, at, until))
        return list(found.values())
