"""Which runs a `RunQuery` means, found by the shortest way.

Of a schedule: its open runs are listed in its own item, and all of them in its ledger partition, by time. Of all: by a
walk, newest hours first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from rota.aws.dynamo.held import unpack
from rota.aws.dynamo.items import Item, Value, bytes_of, text_of
from rota.aws.dynamo.keys import ledger_partition, schedule_key, text_time, time_text
from rota.aws.dynamo.parts import Parts
from rota.aws.dynamo.rows import key_of_run
from rota.aws.dynamo.walk import EVER
from rota.core.run import RunKey
from rota.ports.runs import RunQuery

_STATES = {None: "attribute_exists(#state)", "pending": "#state IN (:pending, :moved)"}
_PAGE = 100


class RunListing:
    """Finds the items of runs."""

    def __init__(self, parts: Parts) -> None:
        self._table = parts.table
        self._places = parts.places
        self._walk = parts.walk

    def items(self, query: RunQuery) -> list[Item]:
        """One page, newest scheduled time first."""
        if query.schedule_id is None:
            return list(islice(self._all(query), query.limit))
        key = schedule_key(query.schedule_id)
        schedule = self._table.get([key]).get(key)
        if schedule is not None and query.state in ("pending", "held", "running"):
            return self._listed_open(schedule, query)
        found = list(islice(self._of_schedule(query), query.limit))
        if found or schedule is not None:
            return found
        mine = (item for item in self._all(query) if key_of_run(item).schedule_id == query.schedule_id)
        return list(islice(mine, query.limit))

    def _all(self, query: RunQuery) -> Iterator[Item]:
        low = -EVER if query.start is None else query.start
        high = EVER if query.end is None else query.end
        where, values = _STATES.get(query.state, "#state = :asked_state"), dict[str, Value]()
        if query.state not in _STATES:
            values["asked_state"] = query.state or ""
        return self._walk.newest(low, high, query.limit, where, query.after, values)

    def _listed_open(self, schedule: Item, query: RunQuery) -> list[Item]:
        assert query.schedule_id is not None
        times = sorted(filter(_within(query), unpack(bytes_of(schedule, "open") or b"")), reverse=True)
        keys = [RunKey(query.schedule_id, at) for at in times]
        return self._fitting(keys, query)[: query.limit]

    def _of_schedule(self, query: RunQuery) -> Iterator[Item]:
        assert query.schedule_id is not None
        low = -EVER if query.start is None else query.start
        high = min(EVER if query.end is None else query.end, EVER if query.after is None else query.after.scheduled - 1)
        if low > high:
            return
        rows = self._table.query(
            ledger_partition(query.schedule_id),
            time_text(low),
            time_text(high),
            limit=max(_PAGE, min(query.limit, 1000)),
            descending=True,
            where="attribute_exists(#ran)",
        )
        while page := [RunKey(query.schedule_id, text_time(text_of(row, "sk"))) for row in islice(rows, _PAGE)]:
            yield from self._fitting(page, query)

    def _fitting(self, keys: list[RunKey], query: RunQuery) -> list[Item]:
        found = self._places.find(keys)
        items = [found[key] for key in keys if key in found]
        wanted = {None: None, "pending": ("pending", "moved")}.get(query.state, (query.state,))
        return [item for item in items if wanted is None or item["state"] in wanted]


def _within(query: RunQuery) -> Callable[[int], bool]:
    def fits(at: int) -> bool:
        behind = query.after is None or at < query.after.scheduled
        return behind and (query.start is None or at >= query.start) and (query.end is None or at <= query.end)

    return fits
