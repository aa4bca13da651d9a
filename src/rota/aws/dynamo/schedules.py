"""Schedules and their tick ledger in DynamoDB: the `ScheduleStore` of the AWS engine.

What each call costs in write units, for items below 1 KB: creating one schedule 3 (index, next tick, schedule), a
decision that fires one tick 6 (schedule, ledger row and run, in a transaction), one that skips 4.
"""

from __future__ import annotations

import builtins
import heapq
from collections.abc import Iterator, Sequence
from itertools import islice

from rota.aws.dynamo.changes import Changes
from rota.aws.dynamo.held import HELD
from rota.aws.dynamo.items import Item, Update, change, key_of, text_of
from rota.aws.dynamo.keys import (
    index_key,
    index_partitions,
    ledger_partition,
    schedule_key,
    time_text,
)
from rota.aws.dynamo.parts import KEEP, Parts
from rota.aws.dynamo.rows import blobs_of, token
from rota.aws.dynamo.schedule_rows import (
    DEFINED,
    active_tick,
    definition_fields,
    exists,
    state_fields,
    stored_from,
    tick_from,
)
from rota.aws.dynamo.table import TRANSACTION, RefusedError, Table
from rota.core.errors import ExistsError, RotaError
from rota.core.firing import OpenRuns
from rota.core.run import RunKey
from rota.core.schedule import Change, StoredSchedule, TickRow
from rota.ports.clock import Clock
from rota.ports.schedules import ScheduleQuery

_PAGE = 100


class DynamoSchedules:
    """The `ScheduleStore` in `table`. keep: milliseconds that ledger rows are kept."""

    def __init__(self, table: Table, keep: int = KEEP, clock: Clock | None = None) -> None:
        parts = Parts(table, keep, clock)
        self._table = table
        self._places = parts.places
        self._groups = parts.groups
        self._changes = Changes(parts)

    def create(self, rows: Sequence[StoredSchedule]) -> None:
        """As the port says: up to 100 in one transaction; more one by one after a look whether all ids are free, and if
        one is taken after all, those stored are removed again. A crash in the middle of that leaves schedules whose
        creation nobody was told of."""
        names = [row.id for row in rows]
        if len(set(names)) < len(names):
            twice = next(name for index, name in enumerate(names) if name in names[:index])
            raise ExistsError("schedule", twice, "it is named twice in one call")
        if not rows:
            return
        ticks = [at for row in rows if (at := active_tick(row.state)) is not None]
        self._places.prepare(ticks)
        entries = [self._changes.next_entry(row.id, row.state) for row in rows]
        # What is stored first means nothing without the schedule: the index is a hint, and a tick has its version.
        index: builtins.list[Item] = [{"pk": key.pk, "sk": key.sk} for key in map(index_key, names)]
        definitions = [definition_fields(row.schedule) for row in rows]
        beside = [item for one in definitions for item in one.items]
        self._table.put_all([*beside, *index, *(entry for entry in entries if entry is not None)])
        writes = [
            change(
                schedule_key(row.id),
                {**definition.attributes, **state_fields(row.state), "by": token()},
                ("expires",),
                when="attribute_not_exists(#version) AND attribute_not_exists(#backlog)",
            )
            for row, definition in zip(rows, definitions, strict=True)
        ]
        if len(rows) == 1:
            self._create_one(names[0], writes[0])
        elif len(rows) <= TRANSACTION:
            self._create_together(names, writes)
        else:
            self._create_in_pages(names, writes)

    def _create_one(self, name: str, write: Update) -> None:
        while True:
            answer = self._table.write(write)
            if answer.done or (answer.item or {}).get("by") == write.values["by"]:
                return
            if exists(answer.item):
                raise ExistsError("schedule", name)
            self._changes.finish(name)

    def _create_together(self, names: Sequence[str], writes: Sequence[Update]) -> None:
        while True:
            try:
                self._table.transact(writes)
            except RefusedError as refused:
                for number, item in sorted(refused.failed.items()):
                    if exists(item):
                        raise ExistsError("schedule", names[number]) from None
                for number in refused.failed:
                    self._changes.finish(names[number])
            else:
                return

    def _create_in_pages(self, names: Sequence[str], writes: Sequence[Update]) -> None:
        found = self._changes.items(names)
        for name in names:
            if exists(found.get(name)):
                raise ExistsError("schedule", name)
        try:
            self._table.map(lambda pair: self._create_one(*pair), list(zip(names, writes, strict=True)))
        except RotaError:
            for write in writes:
                undo = change(write.key, {}, DEFINED, when="#by = :mine", values={"mine": write.values["by"]})
                self._table.write(undo)
            raise

    def get(self, ids: Sequence[str]) -> builtins.list[StoredSchedule]:
        items = self._changes.items(ids)
        return self._stored([items[name] for name in ids if exists(items.get(name))])

    def _stored(self, items: Sequence[Item]) -> builtins.list[StoredSchedule]:
        blobs = blobs_of(self._table, items)
        return [stored_from(item, blobs) for item in items]

    def list(self, query: ScheduleQuery) -> builtins.list[StoredSchedule]:
        rows = (row for row in self._all(query.after, query.limit) if _matches(row, query))
        return builtins.list(islice(rows, query.limit))

    def _all(self, after: str | None, limit: int) -> Iterator[StoredSchedule]:
        """All schedules behind `after`, by id."""
        low = " " if after is None else f"{after} "
        size = min(max(limit, _PAGE), 1000)
        indexes = [self._table.query(partition, low, limit=size) for partition in index_partitions()]
        merged = heapq.merge(*indexes, key=lambda item: text_of(item, "sk"))
        while names := [text_of(item, "sk") for item in islice(merged, size)]:
            yield from self.get(names)

    def due(self, until: int, limit: int, after: tuple[int, str] | None = None) -> builtins.list[StoredSchedule]:
        """As the port says, by reading every schedule: the feeder uses `DynamoFar` instead."""
        found = [(at, row.id, row) for row in self._all(None, 1000) if (at := active_tick(row.state)) is not None]
        found = [one for one in found if one[0] <= until and (after is None or one[:2] > after)]
        return [row for _, _, row in sorted(found, key=lambda one: one[:2])[:limit]]

    def next_due(self) -> int | None:
        """As the port says, by reading every schedule."""
        ticks = (active_tick(row.state) for row in self._all(None, 1000))
        return min((at for at in ticks if at is not None), default=None)

    def open_runs(self, ids: Sequence[str]) -> dict[str, OpenRuns]:
        found = {}
        for name, group in self._groups.check_all(self._changes.items(ids)).items():
            if group.entries:
                keys = tuple(RunKey(name, at) for at in sorted(group.entries))
                held = tuple(key for key in keys if group.entries[key.scheduled] == HELD)
                found[name] = OpenRuns(keys, held)
        return {name: found[name] for name in ids if name in found}

    def apply(self, changes: Sequence[Change]) -> builtins.list[bool]:
        return self._changes.apply(changes)

    def ticks(
        self, schedule_id: str, start: int, end: int, limit: int, *, newest_first: bool = False
    ) -> builtins.list[TickRow]:
        """As the port says. Rows never cover the same tick, so of those that begin before `start` only the last can
        reach it."""
        if limit <= 0:
            return []
        within = self._rows(schedule_id, time_text(start), time_text(end), limit, descending=newest_first)
        rows = (tick_from(item) for item in within)
        early = (row for row in self._before(schedule_id, start) if row.scheduled <= end)
        if newest_first:
            found = builtins.list(islice(rows, limit))
            return found if len(found) == limit else [*found, *early]
        first = builtins.list(early)
        return [*first, *islice(rows, limit - len(first))]

    def _before(self, schedule_id: str, start: int) -> builtins.list[TickRow]:
        """The row that begins before `start` and reaches it."""
        rows = self._rows(schedule_id, " ", time_text(start - 1), 5, descending=True)
        return [row for item in islice(rows, 1) if (row := tick_from(item)).until >= start]

    def _rows(self, schedule_id: str, low: str, high: str, limit: int, *, descending: bool) -> Iterator[Item]:
        if low > high:
            return iter(())
        return self._table.query(
            ledger_partition(schedule_id),
            low,
            high,
            limit=min(max(limit, 5), 1000),
            descending=descending,
            where="attribute_exists(#tick)",
        )

    def tick_at(self, schedule_id: str, at: int) -> TickRow | None:
        rows = self._rows(schedule_id, " ", time_text(at), 5, descending=True)
        found = next((tick_from(item) for item in rows), None)
        return found if found is not None and found.scheduled <= at <= found.until else None

    def forget_ticks(self, before: int, limit: int) -> int:
        """As the port says, for schedules that exist; DynamoDB does it by itself, and at no charge, when rows
        expire."""
        items = (
            item
            for row in self._all(None, 1000)
            for item in self._table.query(
                ledger_partition(row.id), " ", time_text(before), where="#until < :before", values={"before": before}
            )
        )
        old = builtins.list(islice(items, limit))
        self._table.delete_all(key_of(item) for item in old if "ran" not in item)
        for item in old:
            if "ran" in item:
                self._table.write(change(key_of(item), {}, ("tick", "until")))
        return len(old)


def _matches(row: StoredSchedule, query: ScheduleQuery) -> bool:
    schedule = row.schedule
    if query.search is not None:
        text = query.search.casefold()
        if text not in schedule.id.casefold() and text not in schedule.description.casefold():
            return False
    return (
        (query.tag is None or query.tag in schedule.tags)
        and (query.status is None or query.status == row.status)
        and (query.owner is None or query.owner == schedule.owner)
    )
