"""The far tier in DynamoDB, as a feeder sees it: `FarTier`.

The race between creators and the feeder. A feeder moves what is due within the horizon to SQS. While it does so, or
after it did, somebody may accept a run that is due within that very stretch. A time stamp in the run would not do to
tell the two apart: clocks differ, and a write may take effect long after it was sent. So each shard has a fence, the
latest time up to which a feeder has begun to read it:

    feeder   F1  raise the fence to U, durably
             F2  read the directory of hours, then the hours, by strongly consistent reads, for what is due up to U
    writer   W1  enter the hour into the directory, unless it is there
             W2  store the entry, due at D
             W3  read the fence, by a strongly consistent read; if D is not beyond it, hand the entry to SQS itself

Suppose D <= U and neither hands it over. The feeder did not find it, so F2 came before W2 (or before W1, which is
earlier still). F1 came before F2, and W2 before W3, so W3 read a fence of at least U >= D, and the writer did hand it
over. If both do, the run goes to SQS twice under one id, and is claimed once. The proof needs that the order of those
steps is real, which is why each waits for the answer of the one before, and why F2 and W3 read consistently.

Several feeders. A shard is leased, so that two feeders do not do the same work; but the proof does not lean on the
lease. One whose lease ran out goes on harmlessly: what it hands over is handed over twice at worst, and it cannot move
the mark any more (`done` answers False).

The mark follows the fence: all that is due at most then was handed over. It is what the next feeder starts from, so a
feeder that dies loses nothing, and one that was down for an hour comes back to an hour's entries, in time order.

Generations. Writers of different processes may for half a minute disagree about which generation is the newest, so
both are fed, and `fences` answers the higher of the two: an entry handed over once too often does no harm. Whoever
asks for fences must know of the generation that the entry went to, though another object wrote it: so before a
generation begins, every fence that is there is told its number, and who reads a number that it does not know asks. A
generation is dropped when it has no entry ahead and the next one is older than `SETTLED`, by when no process still
writes to it; its history stays where it is.

Cost per shard and period: two writes (take, done), two reads (fence, directory), and the entries, about ten small ones
to a read unit.
"""

from __future__ import annotations

from collections.abc import Sequence

from rota.aws.dynamo.items import Item, Value, change, number_of, text_of
from rota.aws.dynamo.keys import (
    AFTER_ALL,
    LAST_HOUR,
    Key,
    entry_of,
    fence_key,
    hour_of,
    run_of,
    spread,
    tick_sort,
    time_partition,
    time_text,
)
from rota.aws.dynamo.parts import Parts
from rota.aws.dynamo.places import Generation
from rota.aws.dynamo.rows import blobs_of, due_of, run_from
from rota.aws.dynamo.table import Table
from rota.core.errors import InvalidError
from rota.core.run import RunKey
from rota.ports.clock import Clock
from rota.ports.far_tier import AnyDue, DueRun, DueTick, Lease, Shard

SETTLED = 600_000
"""Milliseconds after which every process knows of a generation: many times what it may believe without asking."""
MOST_SHARDS = 512
_AHEAD = "#state IN (:pending, :moved) OR attribute_exists(#kind)"
_ENTRY = "#state = :pending OR attribute_exists(#kind)"
_NEVER = -(10**13)


class DynamoFar:
    """The `FarTier` in `table`."""

    def __init__(self, table: Table, clock: Clock | None = None) -> None:
        parts = Parts(table, clock=clock)
        self._table = table
        self._places = parts.places
        self._lifetimes = parts.lifetimes

    def shards(self) -> list[Shard]:
        return _shards(self._places.generations(fresh=True))

    def resize(self, shards: int, now: int) -> list[Shard]:
        """As the port says. What is written from now on goes to the new generation, by everybody within half a minute;
        nothing is moved."""
        if isinstance(shards, bool) or not 1 <= shards <= MOST_SHARDS:
            raise InvalidError("shards", shards, f"a whole number from 1 to {MOST_SHARDS}")
        known = self._places.generations(fresh=True)
        while known[0].shards != shards:
            following = Generation(known[0].number + 1, shards, now)
            self._announce(known, following.number)
            if self._places.begin(known, following):
                break
            known = self._places.generations(fresh=True)
        known = self._places.generations(fresh=True)
        self._places.drop(self._empty(known, now))
        return self.shards()

    def _announce(self, known: Sequence[Generation], number: int) -> None:
        """Let the fences that are there tell of a generation before anybody can write to it."""
        places = [fence_key(shard.generation, shard.number) for shard in _shards(known)]
        self._table.map(lambda place: self._table.write(change(place, {"newest": number})), places)

    def _empty(self, known: Sequence[Generation], now: int) -> list[int]:
        """The older generations that nobody writes to any more and that have no entry ahead."""
        newest, *older = known
        if newest.since + SETTLED > now:
            return []
        marks = self.marks()
        empty = []
        for one in older:
            shards = [] if one.dropped else _shards([one])
            if shards and not any(self._ahead(shard, marks[shard]) for shard in shards):
                empty.append(one.number)
        return empty

    def _ahead(self, shard: Shard, mark: int) -> bool:
        hours = self._places.hours(hour_of(mark), LAST_HOUR, generation=shard.generation)
        low = time_text(mark + 1)
        return any(
            True
            for hour in hours
            for _ in self._table.query(time_partition(shard.generation, shard.number, hour), low, where=_AHEAD)
        )

    def take(self, shard: Shard, until: int, now: int, lease: int, holder: str) -> Lease | None:
        place = fence_key(shard.generation, shard.number)
        item = self._table.get([place]).get(place, {})
        while True:
            if _held_by_another(item, holder, now):
                return None
            before = number_of(item, "fence")
            same = "attribute_not_exists(#fence)" if before is None else "#fence = :was_fence"
            free = "(attribute_not_exists(#holder) OR #holder = :holder OR #lease <= :now)"
            sets: dict[str, Value] = {"fence": max(until, before or 0), "holder": holder, "lease": now + lease}
            raised = change(place, sets, when=f"{same} AND {free}", values={"was_fence": before or 0, "now": now})
            answer = self._table.write(raised, returns="ALL_NEW")
            if answer.done and answer.item is not None:
                return Lease(shard, _mark(answer.item), until, now + lease, holder)
            item = answer.item or {}

    def page(self, lease: Lease, after: str | None, limit: int) -> tuple[list[AnyDue], str | None]:
        """As the port says. after: where the page before said to go on: an hour and a sort key."""
        shard = lease.shard
        if lease.start >= lease.until:
            return [], None
        hour, behind = _place_in(after) if after else (hour_of(lease.start + 1), "")
        low, high = time_text(lease.start + 1), time_text(lease.until) + AFTER_ALL
        items: list[Item] = []
        read = 0
        hours = sorted(self._places.hours(hour, hour_of(lease.until), generation=shard.generation))
        for one in hours:
            partition = time_partition(shard.generation, shard.number, one)
            start = behind if one == hour and behind else None
            while True:
                page = self._table.page(partition, low, high, limit=limit - read, after=start, where=_ENTRY)
                items += page.items
                read += max(len(page.items), 1)
                if page.after is None:
                    break
                if read >= limit:
                    return self._entries(items), f"{one}|{page.after}"
                start = page.after
            if read >= limit and one != hours[-1]:
                return self._entries(items), f"{one + 1}|"
        return self._entries(items), None

    def _entries(self, items: Sequence[Item]) -> list[AnyDue]:
        """What the items stand for. A signpost to a run that is not due there any more stands for nothing."""
        signposts = [item for item in items if text_of(item, "kind") == "signpost"]
        led = self._places.find(run_of(text_of(item, "sk")) for item in signposts) if signposts else {}
        blobs = blobs_of(self._table, [item for item in (*items, *led.values()) if "state" in item])
        found: list[AnyDue] = []
        seen: set[RunKey] = set()
        for item in items:
            at, name, _ = entry_of(text_of(item, "sk"))
            if text_of(item, "kind") == "tick":
                found.append(DueTick(name, at, number_of(item, "version") or 0))
                continue
            key = run_of(text_of(item, "sk"))
            run = item if "state" in item else led.get(key)
            if run is None or key in seen or due_of(run) != at or run["state"] not in ("pending", "moved"):
                continue
            seen.add(key)
            found.append(DueRun(run_from(run, blobs)))
        return found

    def put_ticks(self, ticks: Sequence[DueTick]) -> None:
        self._places.prepare(tick.at for tick in ticks)
        self._table.put_all(
            {
                "pk": self._places.entry_partition(tick.schedule_id, tick.at),
                "sk": tick_sort(tick.at, tick.schedule_id, tick.version),
                "kind": "tick",
                "version": tick.version,
                "expires": self._lifetimes.unclaimed(tick.at),
            }
            for tick in dict.fromkeys(ticks)
        )

    def done(self, lease: Lease, upto: int) -> bool:
        shard = lease.shard
        place = fence_key(shard.generation, shard.number)
        mark = min(upto, lease.until)
        gone = ("holder", "lease") if mark >= lease.until else ()
        higher = "(attribute_not_exists(#mark) OR #mark <= :mark)"
        moved = change(place, {"mark": mark}, gone, when=f"#holder = :mine AND {higher}", values={"mine": lease.holder})
        answer = self._table.write(moved)
        # A mark that is further already has nothing to move, be it by this very call, whose answer was lost.
        there = answer.item or {}
        return answer.done or ("mark" in there and there.get("holder", lease.holder) == lease.holder)

    def fences(self, ids: Sequence[str]) -> dict[str, int]:
        """As the port says; of the shards of all generations that are fed, the highest."""
        while True:
            before = self._places.generations()
            places = {name: [_fence_of(one, name) for one in before if not one.dropped] for name in ids}
            found = self._table.get(place for each in places.values() for place in each)
            # The entry may be in a generation that this object has not heard of; then the fences of the others say so.
            if max((number_of(item, "newest") or 0 for item in found.values()), default=0) <= before[0].number:
                break
            self._places.generations(fresh=True)
        return {
            name: max((number_of(found.get(place, {}), "fence") or 0 for place in each), default=0)
            for name, each in places.items()
        }

    def handed(self, ids: Sequence[str]) -> dict[str, int]:
        known = self._places.generations(fresh=True)
        places = {name: [_fence_of(one, name) for one in known if not one.dropped] for name in ids}
        found = self._table.get(place for each in places.values() for place in each)
        return {
            name: min((_mark(found.get(place, {}), 0) for place in each), default=0) for name, each in places.items()
        }

    def marks(self) -> dict[Shard, int]:
        shards = self.shards()
        places = {shard: fence_key(shard.generation, shard.number) for shard in shards}
        found = self._table.get(places.values())
        return {shard: _mark(found.get(place, {}), 0) for shard, place in places.items()}


def _shards(generations: Sequence[Generation]) -> list[Shard]:
    return [
        Shard(one.number, number, one.shards) for one in generations if not one.dropped for number in range(one.shards)
    ]


def _fence_of(generation: Generation, schedule_id: str) -> Key:
    return fence_key(generation.number, spread(schedule_id, generation.shards))


def _held_by_another(item: Item, holder: str, now: int) -> bool:
    ends = number_of(item, "lease")
    return "holder" in item and item["holder"] != holder and ends is not None and ends > now


def _mark(item: Item, never: int = _NEVER) -> int:
    mark = number_of(item, "mark")
    return never if mark is None else mark


def _place_in(after: str) -> tuple[int, str]:
    hour, _, sort = after.partition("|")
    return int(hour), sort
