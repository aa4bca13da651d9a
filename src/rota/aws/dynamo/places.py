"""Where runs and entries of the far tier are: generations of shards, and the directory of hours in use.

What is written goes to the newest generation. The number of shards changes by beginning another one, so nothing moves:
what lies in older generations is read there until it is gone. Each process asks for the generations anew after 30 s
(`STALE`), so for that long some still write to the older one, which its feeders go on reading.

A run is looked for first in the generations that have its hour, by the directory, and then in the others. If two
processes give an id away at once, one in each generation, both runs answer to it, but only the newer one is found: it
fires once.

The entry of an hour is written before the first entry in that hour, so whoever reads the directory after it raised the
fence misses nothing that it must see.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

import msgspec

from rota.aws.dynamo.items import Item, Put, Update, text_of
from rota.aws.dynamo.keys import (
    AFTER_ALL,
    DIRECTORY,
    GENERATIONS,
    Key,
    directory_entry,
    directory_sort,
    hour_of,
    hour_text,
    run_sort,
    spread,
    time_partition,
)
from rota.aws.dynamo.lifetimes import Lifetimes
from rota.aws.dynamo.table import Table
from rota.core.run import RunKey
from rota.ports.clock import Clock

SHARDS = 4
"""Of a new table."""
STALE = 30_000
"""Milliseconds after which a process asks which generations there are."""
_REMEMBERED = 20_000


class Generation(msgspec.Struct, frozen=True):
    """since: when it began, epoch ms. dropped: no entry of it is ahead any more; its history remains."""

    number: int
    shards: int
    since: int
    dropped: bool = False


_generations = msgspec.json.Decoder(tuple[Generation, ...])


class Places:
    """The places of one table, as this process knows them."""

    def __init__(self, table: Table, clock: Clock, lifetimes: Lifetimes) -> None:
        self._table = table
        self._clock = clock
        self._lifetimes = lifetimes
        self._lock = threading.Lock()
        self._known: tuple[Generation, ...] = ()
        self._asked = 0
        self._hours: dict[int, frozenset[int]] = {}
        self._written: set[tuple[int, int]] = set()

    def generations(self, *, fresh: bool = False) -> tuple[Generation, ...]:
        """All, newest first."""
        now = self._clock.now()
        if fresh or not self._known or not 0 <= now - self._asked < STALE:
            self._known = self._read()
            self._asked = now
        return self._known

    def _read(self) -> tuple[Generation, ...]:
        item = self._table.get([GENERATIONS]).get(GENERATIONS)
        if item is None:
            first = (Generation(1, SHARDS, 0),)
            answer = self._table.write(_generations_put(first))
            item = _generations_item(first) if answer.done else answer.item
            assert item is not None
        return _decoded(item)

    def begin(self, known: Sequence[Generation], following: Generation) -> bool:
        """Begin another generation after those `known`; False if there are others by now."""
        return self._replace(known, (following, *known))

    def drop(self, numbers: Iterable[int]) -> None:
        """Say that these have no entry ahead any more."""
        gone = set(numbers)
        while gone:
            known = self.generations(fresh=True)
            after = tuple(msgspec.structs.replace(one, dropped=one.dropped or one.number in gone) for one in known)
            if after == known or self._replace(known, after):
                self.generations(fresh=True)
                return

    def _replace(self, before: Sequence[Generation], after: Sequence[Generation]) -> bool:
        values = {"after": _text(after), "before": _text(before)}
        update = Update(GENERATIONS, "SET #generations = :after", values, when="#generations = :before")
        return self._table.write(update).done

    def home(self, key: RunKey) -> Key:
        """Where a new run belongs. Its hour is in the directory when this answers."""
        return Key(self.entry_partition(key.schedule_id, key.scheduled), run_sort(key.scheduled, key))

    def entry_partition(self, schedule_id: str, at: int) -> str:
        """Where a new entry that is due at `at` belongs. Its hour is in the directory when this answers."""
        newest = self.generations()[0]
        if (hour_of(at), newest.number) not in self._written:
            self._enter([hour_of(at)], newest.number)
        return self._partition(newest, schedule_id, at)

    def within(self, generation: Generation, key: RunKey) -> Key:
        """Where that generation holds a run."""
        return Key(self._partition(generation, key.schedule_id, key.scheduled), run_sort(key.scheduled, key))

    def _partition(self, generation: Generation, schedule_id: str, at: int) -> str:
        return time_partition(generation.number, spread(schedule_id, generation.shards), hour_of(at))

    def rivals(self, key: RunKey) -> list[Key]:
        """Where a run of that id may lie besides its home."""
        generations = self.generations()
        if len(generations) == 1:
            return []
        hour = hour_of(key.scheduled)
        if hour not in self._hours:
            self._hours_of([hour])
        used = self._hours[hour]
        return [self.within(one, key) for one in generations[1:] if one.number in used]

    def candidates(self, key: RunKey) -> list[Key]:
        """Everywhere that a run may be, likeliest first."""
        generations = self.generations()
        if len(generations) == 1:
            return [self.within(generations[0], key)]
        hour = hour_of(key.scheduled)
        if hour not in self._hours:
            self._hours_of([hour])
        used = self._hours[hour]
        likely = sorted(generations, key=lambda one: one.number not in used)
        return [self.within(one, key) for one in likely]

    def find(self, keys: Iterable[RunKey]) -> dict[RunKey, Item]:
        """The runs of those ids that are there, by strongly consistent reads."""
        wanted = list(dict.fromkeys(keys))
        found = self._find(wanted)
        missing = [key for key in wanted if key not in found]
        # Before a run counts as not there, the generations are asked for anew: it may be in one that began just now.
        if missing and self.renewed():
            found |= self._find(missing)
        return found

    def renewed(self) -> bool:
        """Ask which generations there are; whether that is news."""
        before = self._known
        return self.generations(fresh=True) != before

    def _find(self, wanted: Sequence[RunKey]) -> dict[RunKey, Item]:
        found: dict[RunKey, Item] = {}
        if len(self.generations()) > 1:
            self._hours_of({hour_of(key.scheduled) for key in wanted} - self._hours.keys())
        places = {key: self.candidates(key) for key in wanted}
        for step in range(max((len(one) for one in places.values()), default=0)):
            asked = {places[key][step]: key for key in wanted if key not in found and len(places[key]) > step}
            found |= {asked[place]: item for place, item in self._table.get(asked).items()}
        return found

    def prepare(self, times: Iterable[int]) -> None:
        """Enter the hours of those times into the directory, all in one go: whoever asks for the place of many entries
        should do this first."""
        self._enter(map(hour_of, times), self.generations()[0].number)

    def _enter(self, hours: Iterable[int], generation: int) -> None:
        new = {(hour, generation) for hour in hours} - self._written
        if not new:
            return
        keys = {Key(DIRECTORY, directory_sort(hour, number)): (hour, number) for hour, number in new}
        there = self._table.get(keys, consistent=False)
        self._table.put_all(_hour_item(key, self._lifetimes.hour(keys[key][0])) for key in keys if key not in there)
        with self._lock:
            if len(self._written) > _REMEMBERED:
                self._written.clear()
            self._written |= new
            for hour, number in new:
                if hour in self._hours:
                    self._hours[hour] |= {number}

    def hours(self, low: int, high: int, *, generation: int | None = None) -> dict[int, list[int]]:
        """The hours in use from `low` to `high`, both included, with the generations that use them, newest first."""
        found: dict[int, list[int]] = {}
        for item in self._table.query(DIRECTORY, hour_text(low), hour_text(high) + AFTER_ALL):
            hour, number = directory_entry(text_of(item, "sk"))
            if generation in (None, number):
                found.setdefault(hour, []).insert(0, number)
        return found

    def _hours_of(self, hours: Iterable[int]) -> None:
        for hour in hours:
            used = self.hours(hour, hour).get(hour, [])
            with self._lock:
                if len(self._hours) > _REMEMBERED:
                    self._hours.clear()
                self._hours[hour] = frozenset(used)


def _hour_item(key: Key, expires: int) -> Item:
    return {"pk": key.pk, "sk": key.sk, "expires": expires}


def _text(generations: Sequence[Generation]) -> str:
    return msgspec.json.encode(generations).decode()


def _generations_item(generations: Sequence[Generation]) -> Item:
    return {"pk": GENERATIONS.pk, "sk": GENERATIONS.sk, "generations": _text(generations)}


def _generations_put(generations: Sequence[Generation]) -> Put:
    return Put(_generations_item(generations), when="attribute_not_exists(#pk)")


def _decoded(item: Item) -> tuple[Generation, ...]:
    return _generations.decode(text_of(item, "generations"))
