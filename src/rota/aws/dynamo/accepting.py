"""How runs are accepted: whole calls or nothing, by the cheapest means that can do it.

    one one-off             one write, on the condition that its id is free: one write unit
    up to 100 writes        one transaction: two units a write
    with fresh ids          25 to a request, one unit each, nothing read
    more                    a look whether all ids are free, then 25 to a request, one unit each; if a page fails, what
                            was stored is removed. A crash between the pages leaves runs whose acceptance nobody was
                            told of. Two such calls at once for the same id may both succeed: it is one run all the
                            same, the later one's.

A run of a schedule also changes the list of its open runs and is noted in its ledger partition, so it takes three
writes, always in transactions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec

from rota.aws.dynamo.endings import TRIES, crowded
from rota.aws.dynamo.groups import Group, Groups
from rota.aws.dynamo.held import BLOCKS, HELD
from rota.aws.dynamo.items import Delete, Item, Put, Value, Write, change, key_of, size_of
from rota.aws.dynamo.keys import Key, dead_key, ledger_key
from rota.aws.dynamo.places import Places
from rota.aws.dynamo.rows import FREE, RowWriter, is_open, key_of_run
from rota.aws.dynamo.table import TRANSACTION, TRANSACTION_BYTES, RefusedError, Table
from rota.core.errors import ExistsError, RotaError
from rota.core.run import Run, RunKey

_PAGE = 20


class Writing(NamedTuple):
    """before: items that are to be there first. writes: what belongs together."""

    before: list[Item]
    writes: list[Write]


class Accepting:
    """The half of DynamoRuns that takes runs in."""

    def __init__(self, table: Table, places: Places, writer: RowWriter, groups: Groups) -> None:
        self._table = table
        self._places = places
        self._writer = writer
        self._groups = groups

    def accept(self, runs: Sequence[Run]) -> None:
        keys: set[RunKey] = set()
        for run in runs:
            if run.key in keys:
                raise ExistsError("run", run.id, "it is named twice in one call")
            keys.add(run.key)
        if not runs:
            return
        self._places.prepare(at for run in runs for at in (run.scheduled, run.due))
        if len(runs) <= TRANSACTION:
            self._together(runs)
        else:
            self._in_pages(runs)

    def joining(self, runs: Sequence[Run]) -> list[Write]:
        """The writes that accept one-offs, for a transaction of the caller's, which is refused if an id is taken; what
        must be there before them is stored at once."""
        self._places.prepare(at for run in runs for at in (run.scheduled, run.due))
        writing = Writing([], [])
        for run in runs:
            _add(writing, self.admission(run, None))
        self._table.put_all(writing.before)
        return writing.writes

    def accept_fresh(self, runs: Sequence[Run]) -> None:
        """Store one-offs whose ids were drawn at random, so that nobody else can have them: 25 to a request, one write
        unit each, and nothing is read. If a page fails, what was stored is removed."""
        self._places.prepare(at for run in runs for at in (run.scheduled, run.due))
        try:
            self._store(runs)
        except RotaError:
            self._remove(runs)
            raise

    def _remove(self, runs: Sequence[Run]) -> None:
        # Where even that is refused, the first error is what the caller has to know.
        with suppress(RotaError):
            self._table.delete_all(self._places.home(run.key) for run in runs)

    def _store(self, runs: Iterable[Run]) -> None:
        before, items = [], []
        for run in runs:
            item, blobs = self._writer.run(run, self._places.home(run.key))
            before += blobs
            if run.due != run.scheduled:
                before.append(self._signpost(run))
            items.append(item)
        self._table.put_all(before)
        self._table.put_all(items)

    def _signpost(self, run: Run) -> Item:
        partition = self._places.entry_partition(run.schedule_id, run.due)
        return self._writer.signpost(run.key, run.due, partition)

    def _together(self, runs: Sequence[Run]) -> None:
        """Without a look at first: most ids are free."""
        known: Mapping[RunKey, Item] | None = None
        for _ in range(TRIES):
            writing = self._writing(runs, known)
            size = sum(size_of(one.item) for one in writing.writes if isinstance(one, Put))
            if len(writing.writes) > TRANSACTION or size > TRANSACTION_BYTES:
                self._in_pages(runs)
                return
            self._table.put_all(writing.before)
            try:
                self._table.transact(writing.writes)
            except RefusedError as refused:
                if any(_is_mine(writing.writes[number], item) for number, item in refused.failed.items()):
                    return
            else:
                return
            known = self._places.find(run.key for run in runs)
            _check_free(runs, known)
        raise crowded(runs[0].key)

    def _writing(self, runs: Sequence[Run], known: Mapping[RunKey, Item] | None) -> Writing:
        all_writes = Writing([], [])
        own: dict[str, list[Run]] = {}
        for run in runs:
            if run.recurring:
                own.setdefault(run.schedule_id, []).append(run)
            else:
                _add(all_writes, self.admission(run, known))
        for name, group_runs in own.items():
            group = self._groups.read(name)
            after = group.regroup({run.scheduled: run.held for run in group_runs}, ())
            _add(all_writes, self.admissions(group_runs, group, after.entries, known))
            all_writes.writes.append(group.write(after))
            all_writes.writes.extend(group.others(after, [run.scheduled for run in group_runs]))
        return all_writes

    def admissions(
        self,
        runs: Sequence[Run],
        group: Group,
        entries: Mapping[int, int],
        known: Mapping[RunKey, Item] | None,
        blob: Mapping[RunKey, str] | None = None,
        *,
        ledger: bool = True,
    ) -> Writing:
        """The writes of new runs of one schedule. entries: the marks they get. blob: where payloads lie already.
        ledger: note them in the ledger partition too."""
        made = Writing([], [])
        for run in runs:
            mark = entries.get(run.scheduled)
            final = msgspec.structs.replace(run, held=mark == HELD)
            name = (blob or {}).get(run.key, "")
            _add(made, self.admission(final, known, blocks=mark == BLOCKS, blob=name))
            if ledger:
                made.writes.append(self.noting(run))
        return made

    def noting(self, run: Run) -> Write:
        """The entry of a run in its schedule's ledger partition."""
        sets: dict[str, Value] = {"ran": True, "expires": self._writer.lifetimes.finished(run.due)}
        return change(ledger_key(run.schedule_id, run.scheduled), sets)

    def admission(
        self, run: Run, known: Mapping[RunKey, Item] | None, *, blocks: bool = False, blob: str = ""
    ) -> Writing:
        """The writes of one new run. known: what lies there now, if somebody looked."""
        home = self._places.home(run.key)
        item, before = self._writer.run(run, home, blocks=blocks, blob=blob)
        writes: list[Write] = []
        if known is None:
            writes.append(Put(item, FREE))
            writes += [Delete(rival, FREE) for rival in self._places.rivals(run.key)]
        else:
            writes += self._replacing(item, home, known.get(run.key))
        if run.due != run.scheduled:
            writes.append(Put(self._signpost(run)))
        return Writing(before, writes)

    def _replacing(self, item: Item, home: Key, there: Item | None) -> list[Write]:
        """Put `item` in place of what was seen there, or in an older generation."""
        if there is None:
            return [Put(item, "attribute_not_exists(#pk)")]
        seen = {"seen": there["by"]}
        place = key_of(there)
        writes: list[Write] = [Put(item, "#by = :seen", seen)]
        if place != home:
            writes = [Put(item, "attribute_not_exists(#pk)"), Delete(place, "#by = :seen", seen)]
        if there.get("dead"):
            writes.append(Delete(dead_key(key_of_run(there))))
        return writes

    def _in_pages(self, runs: Sequence[Run]) -> None:
        found = self._places.find(run.key for run in runs)
        _check_free(runs, found)
        try:
            self._store(run for run in runs if not run.recurring)
            own: dict[str, list[Run]] = {}
            for run in runs:
                if run.recurring:
                    own.setdefault(run.schedule_id, []).append(run)
            self._table.map(self._own_pages, list(own.values()))
        except RotaError:
            self._remove(runs)
            raise
        self._table.delete_all(dead_key(key) for key, item in found.items() if item.get("dead"))
        self._table.delete_all(key_of(item) for key, item in found.items() if key_of(item) != self._places.home(key))

    def _own_pages(self, runs: Sequence[Run]) -> None:
        for start in range(0, len(runs), _PAGE):
            self._together(runs[start : start + _PAGE])


def _add(to: Writing, more: Writing) -> None:
    to.before.extend(more.before)
    to.writes.extend(more.writes)


def _is_mine(write: Write, there: Item | None) -> bool:
    """Whether the request was made before, and only its answer was lost."""
    return isinstance(write, Put) and there is not None and there.get("by") == write.item.get("by")


def _check_free(runs: Sequence[Run], found: Mapping[RunKey, Item]) -> None:
    for run in runs:
        if is_open(found.get(run.key)):
            raise ExistsError("run", run.id)
