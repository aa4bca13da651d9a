"""Decisions about schedules, carried out whole or not at all.

A change of up to about ninety rows is one transaction: the schedule's item (on the condition that its version is the
one the decision was made about), ledger rows, new runs, cancellations, and what follows for held runs.

A larger one does not fit into a transaction. Its rows are first stored in pages, where nobody looks yet; then one write
gives the schedule its new state and says that pages are to be carried out (`backlog`): that is the moment from which
the change holds. Each page is then a transaction of its own that also says how far that got (`page`), so each is
carried out once, whoever does it and however often somebody dies. Everything that reads or changes a schedule's item
finishes its backlog first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from rota.aws.dynamo.accepting import Writing
from rota.aws.dynamo.endings import TRIES
from rota.aws.dynamo.groups import Group
from rota.aws.dynamo.held import Regrouped
from rota.aws.dynamo.items import Delete, Item, Put, Update, Value, Write, bytes_of, change, number_of, text_of
from rota.aws.dynamo.keys import (
    Key,
    backlog_key,
    blob_key,
    index_key,
    ledger_key,
    schedule_key,
    tick_sort,
)
from rota.aws.dynamo.parts import Parts
from rota.aws.dynamo.rows import INLINE, is_open, large, token
from rota.aws.dynamo.schedule_rows import DEFINED, active_tick, definition_fields, state_fields, state_from, tick_fields
from rota.aws.dynamo.table import RefusedError
from rota.core.errors import StoreBusyError
from rota.core.run import Run, RunKey
from rota.core.schedule import Change, State, TickRow

_FITS = 85
_PAGE = 20


class Rows(msgspec.Struct, frozen=True):
    """What a change writes besides the schedule itself. blobs: where large payloads of runs lie, by scheduled time;
    they are left out of `runs`."""

    schedule_id: str
    at: int
    ticks: tuple[TickRow, ...] = ()
    runs: tuple[Run, ...] = ()
    cancel: tuple[RunKey, ...] = ()
    blobs: dict[int, str] = {}

    @property
    def writes(self) -> int:
        """At most so many writes."""
        return len(self.ticks) + 3 * len(self.runs) + 2 * len(self.cancel)


_encode = msgspec.json.Encoder().encode
_rows = msgspec.json.Decoder(Rows)


class Changes:
    """Carries out changes."""

    def __init__(self, parts: Parts) -> None:
        self._table = parts.table
        self._places = parts.places
        self._groups = parts.groups
        self._accepting = parts.accepting
        self._endings = parts.endings
        self._lifetimes = parts.lifetimes

    def items(self, ids: Sequence[str]) -> dict[str, Item]:
        """The items of those schedules that have one, with no backlog left."""
        keys = {schedule_key(name): name for name in ids}
        found = {keys[key]: item for key, item in self._table.get(keys).items()}
        for name, item in found.items():
            if "backlog" in item:
                found[name] = self.finish(name)
        return found

    def apply(self, changes: Sequence[Change]) -> list[bool]:
        """Those of one schedule in order, several schedules at a time."""
        chains: dict[str, list[int]] = {}
        for number, one in enumerate(changes):
            chains.setdefault(one.schedule_id, []).append(number)
        items = self.items(list(chains))
        self._places.prepare(self._times(changes))

        def work(name: str) -> list[tuple[int, bool]]:
            answers, item = [], items.get(name)
            for number in chains[name]:
                answers.append((number, self._apply(changes[number], item or {})))
                item = self.items([name]).get(name) if number != chains[name][-1] else None
            return answers

        done = dict(one for answer in self._table.map(work, list(chains)) for one in answer)
        return [done[number] for number in range(len(changes))]

    def _times(self, changes: Sequence[Change]) -> list[int]:
        times = [at for one in changes for run in one.runs for at in (run.scheduled, run.due)]
        ticks = [active_tick(one.after.state) for one in changes if one.after is not None]
        return times + [at for at in ticks if at is not None]

    def _apply(self, change_: Change, item: Item) -> bool:
        known: Mapping[RunKey, Item] | None = None
        for _ in range(TRIES):
            if item.get("version") != change_.version:
                return False
            rows, before = self._rows(change_, item)
            self._table.put_all(before)
            if rows.writes > _FITS:
                done = self._begin(change_, item, rows)
            else:
                done = self._at_once(change_, item, rows, known)
            if done:
                self._let_go(change_, item)
                return True
            known = self._places.find(run.key for run in change_.runs)
            item = self.items([change_.schedule_id]).get(change_.schedule_id, {})
        raise StoreBusyError(
            f"schedule {change_.schedule_id!r} was changed by others {TRIES} times in a row; try again",
            schedule=change_.schedule_id,
        )

    def _rows(self, change_: Change, item: Item) -> tuple[Rows, list[Item]]:
        """The rows of a change, and the payloads that are to lie beside them. The schedule's own need not be stored
        again."""
        tokens: dict[bytes, str] = {}
        if not change_.redefined and change_.after is not None and "blob" in item:
            tokens[change_.after.schedule.payload] = text_of(item, "blob")
        before: list[Item] = []
        named: dict[int, str] = {}
        runs = []
        for run in change_.runs:
            if len(run.payload) > INLINE:
                if run.payload not in tokens:
                    beside = large(run.payload, "", "blob", self._lifetimes.beside(run.due))
                    before += beside.items
                    tokens[run.payload] = text_of(beside.attributes, "blob")
                named[run.scheduled] = tokens[run.payload]
                runs.append(msgspec.structs.replace(run, payload=b""))
            else:
                runs.append(run)
        rows = Rows(change_.schedule_id, change_.at, change_.ticks, tuple(runs), change_.cancel, named)
        return rows, before

    def _at_once(self, change_: Change, item: Item, rows: Rows, known: Mapping[RunKey, Item] | None) -> bool:
        cancel = [key for key in rows.cancel if key.schedule_id == rows.schedule_id]
        touched = bool(rows.runs or cancel)
        group = self._groups.check(rows.schedule_id, item, cancel) if touched else None
        made, after = self._writing(rows, group, known)
        sets, removes, blobs = self._definition(change_, item)
        self._table.put_all([*made.before, *blobs])
        when, values = "#version = :was_version AND attribute_not_exists(#backlog)", dict[str, Value]()
        values["was_version"] = change_.version
        if group is not None and after is not None:
            sets |= group.fields(after)
            when += f" AND {group.same}"
            values |= group.was
        writes: list[Write] = [change(schedule_key(rows.schedule_id), sets, removes, when=when, values=values)]
        try:
            self._table.transact([*writes, *self._around(change_, item), *made.writes])
        except RefusedError:
            return False
        return True

    def _begin(self, change_: Change, item: Item, rows: Rows) -> bool:
        """Store the pages of a large change, commit it, and carry the pages out."""
        pages = _pages(rows)
        version = change_.version
        self._table.put_all(
            self._page_item(rows.schedule_id, version, number, page) for number, page in enumerate(pages)
        )
        sets, removes, blobs = self._definition(change_, item)
        around = self._around(change_, item)
        self._table.put_all([*blobs, *(one.item for one in around if isinstance(one, Put))])
        sets |= {"backlog": version, "page": 0, "pages": len(pages)}
        commit = change(
            schedule_key(rows.schedule_id),
            sets,
            removes,
            when="#version = :was_version AND attribute_not_exists(#backlog)",
            values={"was_version": version},
        )
        answer = self._table.write(commit)
        if not answer.done and (answer.item or {}).get("by") != sets["by"]:
            return False
        self._table.delete_all(one.key for one in around if isinstance(one, Delete))
        self.finish(rows.schedule_id)
        return True

    def _page_item(self, name: str, version: int, number: int, page: Rows) -> Item:
        key = backlog_key(name, version, number)
        expires = self._lifetimes.beside(page.at)
        return {"pk": key.pk, "sk": key.sk, "rows": _encode(page), "expires": expires}

    def finish(self, schedule_id: str) -> Item:
        """Carry out what is left of a large change; answers the schedule's item, empty if there is none."""
        key = schedule_key(schedule_id)
        while True:
            item = self._table.get([key]).get(key, {})
            version = number_of(item, "backlog")
            if version is None:
                return item
            number, pages = number_of(item, "page") or 0, number_of(item, "pages") or 0
            place = backlog_key(schedule_id, version, number)
            page = self._table.get([place]).get(place)
            # The write that carried out the last page removes the mark, so a page is there as long as one is asked for.
            rows = _rows.decode(bytes_of(page, "rows") or b"") if page else Rows(schedule_id, 0)
            self._carry_out(key, item, rows, version, number, last=number + 1 >= pages)

    def _carry_out(self, key: Key, item: Item, rows: Rows, version: int, number: int, *, last: bool) -> None:
        self._places.prepare(at for run in rows.runs for at in (run.scheduled, run.due))
        runs = [run.key for run in rows.runs]
        group = self._groups.check(rows.schedule_id, item, [*rows.cancel, *runs])
        made, after = self._writing(rows, group, {one: group.bases[one] for one in runs if one in group.bases})
        assert after is not None
        self._table.put_all(made.before)
        sets = group.fields(after)
        if not last:
            sets["page"] = number + 1
        step = change(
            key,
            sets,
            ("backlog", "page", "pages") if last else (),
            when=f"#backlog = :was_backlog AND #page = :was_page AND {group.same}",
            values={"was_backlog": version, "was_page": number, **group.was},
        )
        try:
            self._table.transact([step, *made.writes])
        except RefusedError:
            return

    def _writing(
        self, rows: Rows, group: Group | None, known: Mapping[RunKey, Item] | None
    ) -> tuple[Writing, Regrouped | None]:
        """The writes of ledger rows, runs and cancellations, and the open runs after them."""
        made = Writing([], [])
        if group is None:
            ticked = {row.scheduled: row for row in rows.ticks}
            made.writes.extend(self._tick(row, ran=False) for row in ticked.values())
            return made, None
        open_before = set(group.entries) | {key.scheduled for key in known or () if is_open((known or {})[key])}
        new = [run for run in rows.runs if run.scheduled not in open_before]
        dropped = {key.scheduled for key in rows.cancel}
        stillborn = [run for run in new if run.scheduled in dropped]
        living = [run for run in new if run.scheduled not in dropped]
        admitted = {run.scheduled: run.held for run in living}
        newly = {run.scheduled for run in new}
        ending = {
            key: group.bases[key]
            for key in dict.fromkeys(rows.cancel)
            if key.scheduled not in newly and is_open(group.bases.get(key))
        }
        ended = [key.scheduled for key, item in ending.items() if item["state"] != "running"]
        after = group.regroup(admitted, ended)
        blobs = {RunKey(rows.schedule_id, at): name for at, name in rows.blobs.items()}
        admissions = self._accepting.admissions(living, group, after.entries, known, blobs, ledger=False)
        made.before.extend(admissions.before)
        made.writes.extend(admissions.writes)
        for run in stillborn:
            self._stillborn(made, run, blobs.get(run.key, ""), rows.at, known)
        for key, item in ending.items():
            made.writes.append(self._endings.cancelling(item, rows.at, blocks=key.scheduled in after.marked))
        made.writes.extend(group.others(after, [*newly, *(key.scheduled for key in ending)]))
        ticked = {row.scheduled: row for row in rows.ticks}
        made.writes.extend(self._tick(row, ran=at in newly) for at, row in ticked.items())
        made.writes.extend(self._accepting.noting(run) for run in new if run.scheduled not in ticked)
        return made, after

    def _stillborn(self, made: Writing, run: Run, blob: str, at: int, known: Mapping[RunKey, Item] | None) -> None:
        """A run that is accepted and cancelled by one decision."""
        admission = self._accepting.admission(msgspec.structs.replace(run, held=False), known, blob=blob)
        put = admission.writes[0]
        assert isinstance(put, Put)
        put.item.update(state="cancelled", finished=at, expires=self._lifetimes.finished(at))
        made.before.extend(admission.before)
        made.writes.extend(admission.writes)

    def _tick(self, row: TickRow, *, ran: bool) -> Update:
        sets = tick_fields(row, self._lifetimes)
        if ran:
            sets["ran"] = True
        return change(ledger_key(row.schedule_id, row.scheduled), sets)

    def _definition(self, change_: Change, item: Item) -> tuple[dict[str, Value], tuple[str, ...], list[Item]]:
        """What the schedule's item is to say, what it is to say no more, and what is to lie beside it."""
        if change_.after is None:
            return {"by": token(), "expires": self._lifetimes.beside(change_.at)}, DEFINED, []
        sets: dict[str, Value] = {"by": token(), **state_fields(change_.after.state)}
        if not change_.redefined:
            return sets, (), []
        definition = definition_fields(change_.after.schedule)
        return {**sets, **definition.attributes}, ("payload", "blob"), list(definition.items)

    def _around(self, change_: Change, item: Item) -> list[Put | Delete]:
        """The schedule's place in the index and its next tick in the far tier, where they change."""
        name = change_.schedule_id
        if change_.after is None:
            return [Delete(index_key(name))]
        entry = self.next_entry(name, change_.after.state)
        before = state_from(item)
        again = active_tick(before) is None or before.updated != change_.after.state.updated or change_.redefined
        return [Put(entry)] if entry is not None and again else []

    def next_entry(self, schedule_id: str, state: State) -> Item | None:
        """The entry of the next tick in the far tier, if there is one."""
        at = active_tick(state)
        if at is None:
            return None
        return self.tick_entry(schedule_id, at, state.updated)

    def tick_entry(self, schedule_id: str, at: int, version: int) -> Item:
        """An entry for a tick: a feeder goes on from there as long as the definition is that of `version`."""
        return {
            "pk": self._places.entry_partition(schedule_id, at),
            "sk": tick_sort(at, schedule_id, version),
            "kind": "tick",
            "version": version,
            "expires": self._lifetimes.unclaimed(at),
        }

    def _let_go(self, change_: Change, item: Item) -> None:
        """A payload that no definition names any more goes when the runs that share it are gone."""
        name = text_of(item, "blob")
        if name and (change_.after is None or change_.redefined):
            expires = self._lifetimes.beside(change_.at)
            self._table.write(change(blob_key(name), {"expires": expires}, when="attribute_exists(#pk)"))


def _pages(rows: Rows) -> list[Rows]:
    """Ledger rows with the runs of the same time, a page at a time; then the cancellations."""
    ticks = {row.scheduled: row for row in rows.ticks}
    runs = {run.scheduled: run for run in rows.runs}
    times = sorted(ticks.keys() | runs.keys())
    pages = []
    for start in range(0, len(times), _PAGE):
        part = times[start : start + _PAGE]
        pages.append(
            Rows(
                rows.schedule_id,
                rows.at,
                tuple(ticks[at] for at in part if at in ticks),
                tuple(runs[at] for at in part if at in runs),
                (),
                {at: rows.blobs[at] for at in part if at in rows.blobs},
            )
        )
    cancel = [rows.cancel[start : start + _PAGE] for start in range(0, len(rows.cancel), _PAGE)]
    return pages + [Rows(rows.schedule_id, rows.at, cancel=part) for part in cancel]
