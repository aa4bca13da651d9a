"""The far tier in memory: what the in-memory stores hold, cut into shards.

An entry gets its place when it is first looked for by anyone: in the newest generation of that moment, as if its writer
had put it there.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from rota.core.run import RunKey
from rota.core.schedule import StoredSchedule
from rota.ports.far_tier import AnyDue, DueRun, DueTick, Lease, Shard
from rota.testing.memory.state import MemoryState

_Place = tuple[int, str, int]
"""When an entry is due, the schedule id, and the scheduled time of a run; for a tick, below 0, the version of its
definition: an entry of another definition is another entry."""


class MemoryFarTier:
    """A `FarTier` over the state of in-memory stores."""

    def __init__(self, state: MemoryState, shards: int = 4) -> None:
        self._state = state
        self._generations: dict[int, int] = {1: shards}
        self._fences: dict[Shard, int] = {}
        self._marks: dict[Shard, int] = {}
        self._leases: dict[Shard, Lease] = {}
        self._runs: dict[_Place, Shard] = {}
        self._ticks: dict[_Place, tuple[Shard, DueTick]] = {}
        self._defined: dict[str, tuple[object, ...]] = {}

    def shards(self) -> list[Shard]:
        return [Shard(one, number, of) for one, of in self._generations.items() for number in range(of)]

    def resize(self, shards: int, now: int) -> list[Shard]:
        with self._state.lock:
            self._settle_in()
            newest = max(self._generations)
            reached = max((self._fences.get(one, 0) for one in self.shards()), default=0)
            used = {shard.generation for shard in self._runs.values()}
            used |= {shard.generation for shard, _ in self._ticks.values()}
            self._generations = {one: of for one, of in self._generations.items() if one in used}
            self._generations[newest + 1] = shards
            for number in range(shards):
                # What is due before this is handed over by who writes it, as in the shards before.
                shard = Shard(newest + 1, number, shards)
                self._fences[shard] = self._marks[shard] = reached
            return self.shards()

    def take(self, shard: Shard, until: int, now: int, lease: int, holder: str) -> Lease | None:
        with self._state.lock:
            held = self._leases.get(shard)
            if held is not None and held.holder != holder and held.expires > now:
                return None
            self._settle_in()
            self._fences[shard] = max(until, self._fences.get(shard, 0))
            taken = Lease(shard, self._marks.get(shard, 0), until, now + lease, holder)
            self._leases[shard] = taken
            return taken

    def page(self, lease: Lease, after: str | None, limit: int) -> tuple[list[AnyDue], str | None]:
        with self._state.lock:
            self._settle_in()
            places = [place for place, shard in self._runs.items() if shard == lease.shard]
            places += [place for place, (shard, _) in self._ticks.items() if shard == lease.shard]
            inside = [place for place in places if lease.start < place[0] <= lease.until]
            wanted = sorted((place for place in inside if after is None or _cursor(place) > after), key=_cursor)
            found = [entry for place in wanted[:limit] if (entry := self._entry(place)) is not None]
            return found, _cursor(wanted[limit - 1]) if len(wanted) > limit else None

    def put_ticks(self, ticks: Sequence[DueTick]) -> None:
        with self._state.lock:
            for tick in ticks:
                self._ticks[_place_of(tick)] = (self._newest(tick.schedule_id), tick)

    def done(self, lease: Lease, upto: int) -> bool:
        with self._state.lock:
            if self._leases.get(lease.shard) != lease:
                return False
            mark = self._marks[lease.shard] = max(upto, self._marks.get(lease.shard, 0))
            for place in [one for one, (shard, _) in self._ticks.items() if shard == lease.shard and one[0] <= mark]:
                del self._ticks[place]
            if upto >= lease.until:
                del self._leases[lease.shard]
            return True

    def fences(self, ids: Sequence[str]) -> dict[str, int]:
        with self._state.lock:
            self._settle_in()
            return {one: self._fences.get(self._newest(one), 0) for one in ids}

    def handed(self, ids: Sequence[str]) -> dict[str, int]:
        with self._state.lock:
            return {one: min(self._marks.get(shard, 0) for shard in self._all_of(one)) for one in ids}

    def withdraw(self, key: RunKey, now: int) -> bool:
        """Cancel a pending run unless a feeder may have begun to hand it over."""
        with self._state.lock:
            found = self._state.find(key)
            fence = max(self._fences.get(shard, 0) for shard in self._all_of(key.schedule_id))
            if found is None or found.state != "pending" or found.run.due <= fence:
                return False
            return self._state.cancel(key, now)

    def marks(self) -> dict[Shard, int]:
        with self._state.lock:
            return {shard: self._marks.get(shard, 0) for shard in self.shards()}

    def _newest(self, schedule_id: str) -> Shard:
        generation = max(self._generations)
        of = self._generations[generation]
        return Shard(generation, crc32(schedule_id.encode()) % of, of)

    def _all_of(self, schedule_id: str) -> list[Shard]:
        """The shards that its entries may lie in, one of each generation."""
        spread = crc32(schedule_id.encode())
        return [Shard(one, spread % of, of) for one, of in self._generations.items()]

    def _settle_in(self) -> None:
        """Give every entry that has none its place, and take it from those that are no more."""
        pending = {
            (entry.run.due, entry.run.schedule_id, entry.run.scheduled)
            for entry in self._state.all_open()
            if entry.state == "pending"
        }
        self._runs = {place: self._runs.get(place) or self._newest(place[1]) for place in pending}
        for row in self._state.schedules.values():
            seen = (row.schedule, row.state.updated, row.state.created, row.state.paused)
            if self._defined.get(row.id) != seen:
                self._defined[row.id] = seen
                self._defined_anew(row)

    def _defined_anew(self, row: StoredSchedule) -> None:
        if row.state.paused is None and row.state.next_tick is not None:
            tick = DueTick(row.id, row.state.next_tick, row.state.updated)
            self._ticks[_place_of(tick)] = (self._newest(row.id), tick)

    def _entry(self, place: _Place) -> AnyDue | None:
        at, schedule_id, scheduled = place
        if scheduled < 0:
            return self._ticks[place][1]
        found = self._state.find(RunKey(schedule_id, scheduled))
        return None if found is None or found.run.due != at else DueRun(found.run)


def _place_of(tick: DueTick) -> _Place:
    return tick.at, tick.schedule_id, -1 - tick.version


def _cursor(place: _Place) -> str:
    at, schedule_id, scheduled = place
    return f"{at:020}#{schedule_id}#{scheduled:020}"
