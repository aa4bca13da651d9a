"""Runs in DynamoDB: the `RunStore` of the AWS engine.

What each call costs in write units, for runs below 1 KB: accepting a one-off 1 (2 in a call of up to a hundred, which
is a transaction; 1 in larger ones), claiming 1, settling 1, another attempt 3 (run, signpost, attempt), a dead letter
6. A run of a schedule is accepted as part of its change; the rest costs the same.
"""

from __future__ import annotations

import builtins
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

from rota.aws.dynamo.items import Check, Delete, Item, Update, Value, Write, change, key_of, text_of
from rota.aws.dynamo.keys import (
    Key,
    dead_partitions,
    dead_run,
    falling_text,
    fence_key,
    run_sort,
    spread,
)
from rota.aws.dynamo.listing import RunListing
from rota.aws.dynamo.parts import KEEP, Parts
from rota.aws.dynamo.rows import (
    IS_OPEN,
    WAITS,
    attempts_of,
    blobs_of,
    claim_from,
    due_of,
    key_of_run,
    letter_from,
    record_from,
    runs_from,
    token,
)
from rota.aws.dynamo.table import RefusedError, Table
from rota.core.run import Claim, DeadLetter, Run, RunKey, RunRecord, Settlement
from rota.ports.clock import Clock
from rota.ports.runs import RunQuery

_ALWAYS = 10**13


class DynamoRuns:
    """The `RunStore` in `table`. keep: milliseconds that finished runs are kept."""

    def __init__(self, table: Table, keep: int = KEEP, clock: Clock | None = None) -> None:
        parts = Parts(table, keep, clock)
        self._table = table
        self._places = parts.places
        self._accepting = parts.accepting
        self._endings = parts.endings
        self._lifetimes = parts.lifetimes
        self._walk = parts.walk
        self._listing = RunListing(parts)

    def accept(self, runs: Sequence[Run], *, fresh: bool = False) -> None:
        if fresh and len(runs) > 1 and not any(run.recurring for run in runs):
            self._accepting.accept_fresh(runs)
        else:
            self._accepting.accept(runs)

    def joining(self, runs: Sequence[Run]) -> builtins.list[Write]:
        """The writes that accept one-offs, for a transaction of the caller's, which is refused if an id is taken."""
        return self._accepting.joining(runs)

    def due(self, until: int, limit: int, after: Run | None = None) -> builtins.list[Run]:
        """As the port says, by a walk through every shard: the feeder uses `DynamoFar` instead."""
        low = -_ALWAYS if after is None else after.due
        behind = "" if after is None else run_sort(after.due, after.key)
        return runs_from(self._table, builtins.list(islice(self._walk.due(low, until, limit, behind), limit)))

    def next_due(self) -> int | None:
        """As the port says, by a walk like that of `due`."""
        return next((due_of(item) for item in self._walk.due(-_ALWAYS, _ALWAYS, 1)), None)

    def claim(self, claims: Sequence[Claim]) -> builtins.list[bool]:
        """As the port says; a claim also fails if the run is due at another time by now, being claimed by a message of
        an earlier attempt."""
        # They are written at the same time; of those for one run, the first is to be the one that counts.
        first: dict[RunKey, int] = {}
        for position, claim in enumerate(claims):
            first.setdefault(claim.run.key, position)
        tried = dict(zip(first, self._table.map(self._claim, [claims[at] for at in first.values()]), strict=True))
        return [tried[claim.run.key] and first[claim.run.key] == at for at, claim in enumerate(claims)]

    def _claim(self, claim: Claim) -> bool:
        places = self._places.candidates(claim.run.key)
        write = _claiming(places[0], claim)
        answer = self._table.write(write)
        if answer.done:
            return True
        if answer.item is not None:
            return _was_mine(answer.item, write)
        found = self._places.find([claim.run.key]).get(claim.run.key)
        if found is None:
            return False
        again = _claiming(key_of(found), claim)
        answer = self._table.write(again)
        return answer.done or (answer.item is not None and _was_mine(answer.item, again))

    def settle(self, settlements: Sequence[Settlement], claims: Sequence[Claim] = ()) -> builtins.list[Run]:
        """As the port says. A run that ends in the same call needs no claim; a claim costs as much as an end."""
        ending = {settlement.run.key for settlement in settlements}
        self.claim([claim for claim in claims if claim.run.key not in ending])
        return self._endings.settle(settlements)

    def running(self) -> builtins.list[Claim]:
        """As the port says, by a walk through all that is kept: dispatchers learn of a crash from SQS instead."""
        items = builtins.list(self._walk.everything("#state = :running"))
        blobs = blobs_of(self._table, items)
        return [claim_from(item, blobs) for item in items]

    def cancelled(self, keys: Sequence[RunKey]) -> builtins.list[RunKey]:
        found = self._places.find(keys)
        return [
            key
            for key in keys
            if (item := found.get(key)) is not None and item["state"] == "running" and item.get("asked")
        ]

    def cancel(self, keys: Sequence[RunKey], now: int) -> builtins.list[RunKey]:
        return self._endings.cancel(keys, now)

    def withdraw(self, key: RunKey, now: int) -> bool:
        """Cancel a pending run unless a feeder may have begun to hand it over: for those that go straight to their
        queue, where nobody asks the store again. False if it is too late, or the run is not pending."""
        item = self._places.find([key]).get(key)
        if item is None or item["state"] not in ("pending", "moved") or item.get("blocks"):
            return False
        due = due_of(item)
        fences = [
            Check(place, "attribute_not_exists(#fence) OR #fence < :due", {"due": due})
            for one in self._places.generations(fresh=True)
            if not one.dropped
            for place in [fence_key(one.number, spread(key.schedule_id, one.shards))]
        ]
        try:
            self._table.transact([self._endings.cancelling(item, now), *fences])
        except RefusedError:
            return False
        return True

    def get(self, key: RunKey) -> RunRecord | None:
        item = self._places.find([key]).get(key)
        if item is None:
            return None
        return record_from(item, blobs_of(self._table, [item]), attempts_of(self._table, item))

    def list(self, query: RunQuery) -> builtins.list[RunRecord]:
        """As the port says. By `schedule_id`: the runs of that schedule; one-offs of that id only if there is no such
        schedule, and then by a walk that `start` and `end` shorten."""
        items = self._listing.items(query)
        blobs = blobs_of(self._table, items)
        return [record_from(item, blobs) for item in items]

    def counts(self) -> dict[str, int]:
        """As the port says, by a walk through all that is kept. A one-off that went straight to its queue counts as
        pending until it is removed."""
        counts = Counter({"pending": 0, "held": 0, "running": 0})
        open_items = self._walk.everything(IS_OPEN)
        counts.update("pending" if item["state"] == "moved" else text_of(item, "state") for item in open_items)
        dead = sum(1 for partition in dead_partitions(None) for _ in self._table.query(partition, consistent=False))
        return {**counts, "dead": dead}

    def dead_letters(
        self, schedule_id: str | None, limit: int, after: RunKey | None = None
    ) -> builtins.list[DeadLetter]:
        low = " " if after is None else f"{falling_text(after.scheduled)}#{after.schedule_id} "
        sorts: builtins.list[str] = []
        for partition in dead_partitions(schedule_id):
            rows = self._table.query(partition, low, limit=max(10, min(limit, 1000)))
            mine = (row for row in rows if schedule_id in (None, dead_run(text_of(row, "sk")).schedule_id))
            sorts += [text_of(row, "sk") for row in islice(mine, limit)]
        keys = [dead_run(sort) for sort in sorted(sorts)[:limit]]
        found = self._places.find(keys)
        return self._letters(item for key in keys if (item := found.get(key)) is not None and item.get("dead"))

    def dead_letter(self, key: RunKey) -> DeadLetter | None:
        item = self._places.find([key]).get(key)
        return self._letters([item])[0] if item is not None and item.get("dead") else None

    def _letters(self, items: Iterable[Item]) -> builtins.list[DeadLetter]:
        found = builtins.list(items)
        blobs = blobs_of(self._table, found)
        attempts = self._table.map(lambda item: attempts_of(self._table, item), found)
        return [letter_from(item, blobs, rows) for item, rows in zip(found, attempts, strict=True)]

    def redrive(self, keys: Sequence[RunKey], now: int) -> builtins.list[RunKey]:
        return self._endings.redrive(keys, now)

    def purge(self, keys: Sequence[RunKey]) -> builtins.list[RunKey]:
        return self._endings.purge(keys)

    def forget_runs(self, before: int, limit: int) -> int:
        """As the port says; DynamoDB does it by itself, and at no charge, when they expire."""
        where = f"attribute_exists(#finished) AND attribute_not_exists(#dead) AND NOT {IS_OPEN}"
        old = self._walk.everything(where, high=before - 1)
        keys = [key_of(item) for item in islice((one for one in old if key_of_run(one).scheduled < before), limit)]
        done = self._table.map(lambda key: self._table.write(Delete(key, where)).done, keys)
        return sum(done)


def _claiming(place: Key, claim: Claim) -> Update:
    sets: dict[str, Value] = {"state": "running", "started": claim.started, "by": token()}
    when = f"{WAITS} AND #due = :was_due"
    return change(place, sets, ("expires",), when=when, values={"was_due": claim.run.due})


def _was_mine(there: Item, write: Update) -> bool:
    """Whether the claim was made before, and only its answer was lost."""
    return there.get("by") == write.values["by"]
