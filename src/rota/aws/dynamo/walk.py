"""Runs by time, across all shards and generations: for listings and for whoever asks what is due, not for the feeder,
which reads its own shard.

The directory says which hours there are; within an hour the shards are read side by side and merged. A listing that
wants the newest fifty reads little more than the newest hours; one that wants all that runs reads every hour that is
kept.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping

from rota.aws.dynamo.items import Item, Value, text_of
from rota.aws.dynamo.keys import AFTER_ALL, hour_of, run_of, text_time, time_partition, time_text
from rota.aws.dynamo.places import Places
from rota.aws.dynamo.rows import due_of, key_of_run
from rota.aws.dynamo.table import Table
from rota.core.run import RunKey

EVER = 2 * 10**13


class Walk:
    """Reads runs in the order of time."""

    def __init__(self, table: Table, places: Places) -> None:
        self._table = table
        self._places = places

    def _partitions(self, low: int, high: int, *, descending: bool = False) -> Iterator[list[str]]:
        """The partitions of each hour in use."""
        shards = {one.number: one.shards for one in self._places.generations(fresh=True)}
        hours = self._places.hours(hour_of(low), hour_of(high))
        for hour in sorted(hours, reverse=descending):
            yield [
                time_partition(number, shard, hour) for number in hours[hour] for shard in range(shards.get(number, 0))
            ]

    def due(self, low: int, until: int, limit: int, behind: str = "") -> Iterator[Item]:
        """Pending runs due from `low` to `until`, by due time, id and scheduled time. behind: only those whose sort key
        there is greater."""
        lowest, highest = max(time_text(low), behind + " "), time_text(until) + AFTER_ALL
        for partitions in self._partitions(low, until):
            pages = self._first_pages(partitions, lowest, highest, limit, _DUE)
            merged = heapq.merge(*pages, key=lambda item: text_of(item, "sk"))
            last = ""
            for item in merged:
                # Settled twice, by two processes that knew of different generations: two signposts to one run.
                if item["sk"] == last:
                    continue
                last = text_of(item, "sk")
                if text_of(item, "kind") == "signpost":
                    run = self._signposted(item)
                    if run is not None:
                        yield run
                else:
                    yield item

    def _signposted(self, signpost: Item) -> Item | None:
        """The run that a signpost leads to, if it is still due then."""
        at = text_time(text_of(signpost, "sk").partition("#")[0])
        key = run_of(text_of(signpost, "sk"))
        run = self._places.find([key]).get(key)
        return run if run is not None and run["state"] == "moved" and due_of(run) == at else None

    def _first_pages(self, partitions: list[str], low: str, high: str, limit: int, where: str) -> list[Iterator[Item]]:
        """The items of each partition; their first pages are read at once."""
        size = min(max(limit, 10), 1000)

        def first(partition: str) -> Iterator[Item]:
            page = self._table.page(partition, low, high, limit=size, where=where)
            if page.after is None:
                return iter(page.items)
            return self._rest(partition, page.items, page.after, high, where)

        return self._table.map(first, partitions)

    def _rest(self, partition: str, items: list[Item], after: str, high: str, where: str) -> Iterator[Item]:
        yield from items
        last: str | None = after
        while last is not None:
            page = self._table.page(partition, last, high, limit=1000, after=last, where=where)
            yield from page.items
            last = page.after

    def everything(self, where: str, low: int = -EVER, high: int = EVER) -> Iterator[Item]:
        """Every run that fits `where`, earliest hours first, otherwise in no order."""
        for partitions in self._partitions(low, high):
            for items in self._first_pages(partitions, time_text(low), time_text(high) + AFTER_ALL, 1000, where):
                yield from items

    def newest(
        self, low: int, high: int, limit: int, where: str, after: RunKey | None, values: Mapping[str, Value]
    ) -> Iterator[Item]:
        """Runs scheduled from `low` to `high`, latest first, those of one time by id; behind `after` only."""
        highest = high if after is None else min(high, after.scheduled)
        seen: set[RunKey] = set()
        for partitions in self._partitions(low, highest, descending=True):
            streams = [self._falling(one, low, highest, limit, where, after, values) for one in partitions]
            merged = heapq.merge(*streams, key=_newest)
            for item in merged:
                key = key_of_run(item)
                # In two generations under one id: the newer generation's comes first, and counts.
                if key not in seen:
                    seen = {one for one in seen if one.scheduled == key.scheduled} | {key}
                    yield item

    def _falling(
        self,
        partition: str,
        low: int,
        high: int,
        limit: int,
        where: str,
        after: RunKey | None,
        values: Mapping[str, Value],
    ) -> Iterator[Item]:
        """One partition, latest time first, and each time by id: a page is read backwards, and turned around within
        each time. A time with more runs than a page is read forwards by itself."""
        size = min(max(limit, 10), 1000)
        top = time_text(high) + AFTER_ALL
        while True:
            page = self._table.page(
                partition, time_text(low), top, limit=size, descending=True, where=where, values=values
            )
            groups: dict[str, list[Item]] = {}
            for item in page.items:
                groups.setdefault(text_of(item, "sk").partition("#")[0], []).append(item)
            last = page.after.partition("#")[0] if page.after else ""
            for time, items in groups.items():
                if time != last:
                    yield from (item for item in reversed(items) if _behind(item, after))
            if page.after is None:
                return
            if f"{last}{AFTER_ALL}" != top:
                top = f"{last}{AFTER_ALL}"
                continue
            start = f"{last}#{after.schedule_id}" if after and time_text(after.scheduled) == last else last
            crowd = self._table.query(partition, start, top, limit=size, where=where, values=values)
            yield from (item for item in crowd if _behind(item, after))
            top = time_text(text_time(last) - 1) + AFTER_ALL
            if text_time(last) <= low:
                return


_DUE = "#state = :pending OR #kind = :signpost"


def _newest(item: Item) -> tuple[int, str]:
    key = key_of_run(item)
    return -key.scheduled, key.schedule_id


def _behind(item: Item, after: RunKey | None) -> bool:
    return after is None or _newest(item) > (-after.scheduled, after.schedule_id)
