"""The open runs of one schedule, changed together.

They are listed in the schedule's item under a revision, which every change of the list raises, so of two changes at
once one finds that it must begin again (`RefusedError`). The list may name runs that are finished; whoever changes it
reads those that may be, and leaves them out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rota.aws.dynamo.held import BLOCKS, HELD, Regrouped, pack, regroup, unpack
from rota.aws.dynamo.items import Item, Update, Value, Write, bytes_of, change, key_of, number_of
from rota.aws.dynamo.keys import schedule_key
from rota.aws.dynamo.places import Places
from rota.aws.dynamo.rows import due_of, is_open, key_of_run, token
from rota.aws.dynamo.table import Table
from rota.core.run import RunKey

CHECKED = 200
"""At most so many runs are looked at, whether they have finished, when the list is written anew."""


class Group:
    """What is known of the open runs of a schedule. item: the schedule's, empty if there is none. bases: the items of
    runs that were read."""

    def __init__(self, schedule_id: str, item: Item, entries: dict[int, int], bases: dict[RunKey, Item]) -> None:
        self.schedule_id: str = schedule_id
        self.item: Item = item
        self.entries: dict[int, int] = entries
        self.bases: dict[RunKey, Item] = bases

    @property
    def same(self) -> str:
        """The condition that nobody changed the list; needs `was_revision` unless there is none."""
        known = "revision" in self.item
        return "#revision = :was_revision" if known else "attribute_not_exists(#revision)"

    @property
    def was(self) -> dict[str, Value]:
        return {"was_revision": self.item["revision"]} if "revision" in self.item else {}

    def regroup(self, admitted: Mapping[int, bool], ended: Iterable[int]) -> Regrouped:
        return regroup(self.entries, admitted, ended)

    def fields(self, after: Regrouped) -> dict[str, Value]:
        """What the schedule's item says from now on."""
        return {"open": pack(after.entries), "revision": (number_of(self.item, "revision") or 0) + 1}

    def write(self, after: Regrouped) -> Update:
        """The change of the list alone."""
        return change(schedule_key(self.schedule_id), self.fields(after), when=self.same, values=self.was)

    def others(self, after: Regrouped, written: Iterable[int] = ()) -> list[Write]:
        """The changes of runs that were there before: the one that is released, and those that block from now on. Those
        in `written` are left to the caller, since a transaction may name an item once."""
        new = set(written)
        writes: list[Write] = []
        if after.released is not None and after.released not in new:
            writes.append(release(self.base(after.released), blocks=after.entries[after.released] == BLOCKS))
        # Whether it is still open is part of the condition: one that ended meanwhile blocks nobody.
        active = "#state IN (:pending, :moved, :running)"
        writes += [
            change(key_of(self.base(at)), {"blocks": True}, when=active)
            for at in after.marked
            if at not in new and at != after.released
        ]
        return writes

    def base(self, at: int) -> Item:
        return self.bases[RunKey(self.schedule_id, at)]


def release(item: Item, *, blocks: bool) -> Update:
    """A held run becomes pending."""
    state = "pending" if due_of(item) == key_of_run(item).scheduled else "moved"
    sets: dict[str, Value] = {"state": state, "by": token()}
    if blocks:
        sets["blocks"] = True
    return change(key_of(item), sets, when="#state = :held")


class Groups:
    """Reads groups."""

    def __init__(self, table: Table, places: Places) -> None:
        self._table = table
        self._places = places

    def read(self, schedule_id: str, also: Sequence[RunKey] = ()) -> Group:
        """The group, and the runs `also`, as they are now."""
        key = schedule_key(schedule_id)
        return self.check(schedule_id, self._table.get([key]).get(key, {}), also)

    def check(self, schedule_id: str, item: Item, also: Sequence[RunKey] = ()) -> Group:
        """The group in a schedule's item that was just read, without the runs that have finished."""
        return self.check_all({schedule_id: item}, also)[schedule_id]

    def check_all(self, items: Mapping[str, Item], also: Sequence[RunKey] = ()) -> dict[str, Group]:
        lists = {name: unpack(bytes_of(item, "open") or b"") for name, item in items.items()}
        asked = list(also)
        looked: dict[str, list[int]] = {}
        for name, entries in lists.items():
            free = sorted(at for at, mark in entries.items() if mark != HELD)
            held = sorted(at for at, mark in entries.items() if mark == HELD)
            looked[name] = free[:CHECKED] if not held else free
            ending = sum(key.schedule_id == name for key in also)
            asked += [RunKey(name, at) for at in (*looked[name], *held[: 1 + ending])]
        bases = self._places.find(asked) if asked else {}
        groups = {}
        for name, entries in lists.items():
            gone = {at for at in looked[name] if not is_open(bases.get(RunKey(name, at)))}
            left = {at: mark for at, mark in entries.items() if at not in gone}
            groups[name] = Group(name, items[name], left, bases)
        return groups
