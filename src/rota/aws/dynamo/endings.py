"""How runs end, wait again, and come back: settling, cancelling, redriving, purging.

The usual end is one write, on the condition that nothing else hangs on the run: nobody is held for it (`blocks`), it is
not held itself, and it is no dead letter. Where that does not hold, the run is read and everything that hangs on it
goes into one transaction, on the condition that nobody wrote the run meanwhile (`by`); who loses begins again.

Failed attempts are stored before the run says that it ended: a crash between leaves a row that says what happened, and
the same settlement, made again, replaces it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from rota.aws.dynamo.groups import Groups
from rota.aws.dynamo.held import BLOCKS
from rota.aws.dynamo.items import Delete, Item, Put, Update, Value, Write, change, key_of, set_of, text_of
from rota.aws.dynamo.keys import Key, attempts_partition, blob_key, dead_key
from rota.aws.dynamo.places import Places
from rota.aws.dynamo.rows import (
    LargeValue,
    RowWriter,
    attempts_noted,
    blobs_of,
    due_of,
    failure_text,
    is_open,
    large,
    payload_of,
    runs_from,
    token,
)
from rota.aws.dynamo.table import RefusedError, Table
from rota.core.errors import StoreBusyError
from rota.core.run import Outcome, Run, RunKey, Settlement

TRIES = 20
_GROUP = 30
_PLAIN = "attribute_exists(#pk) AND attribute_not_exists(#blocks) AND attribute_not_exists(#dead) AND #state <> :held"
_ENDS = ("blocks", "asked", "dead", "expires", "value", "answer", "failure", "started")


def crowded(run: RunKey) -> StoreBusyError:
    return StoreBusyError(f"run {run.id!r} was changed by others {TRIES} times in a row; try again", run=run.id)


class Endings:
    """The half of DynamoRuns that takes runs out of the open states and back."""

    def __init__(self, table: Table, places: Places, writer: RowWriter, groups: Groups) -> None:
        self._table = table
        self._places = places
        self._writer = writer
        self._lifetimes = writer.lifetimes
        self._groups = groups

    def settle(self, settlements: Sequence[Settlement]) -> list[Run]:
        """Each in its turn where they are of one schedule, several at a time otherwise."""
        chains: dict[str, list[int]] = {}
        for number, settlement in enumerate(settlements):
            chains.setdefault(settlement.run.schedule_id, []).append(number)

        def work(numbers: list[int]) -> list[tuple[int, Run]]:
            released = [(number, self._settle(settlements[number])) for number in numbers]
            return [(number, run) for number, run in released if run is not None]

        answers = self._table.map(work, list(chains.values()))
        return [run for _, run in sorted((one for answer in answers for one in answer), key=lambda one: one[0])]

    def _settle(self, settlement: Settlement) -> Run | None:
        if settlement.outcome is None:
            return self._again(settlement)
        answer = self._answer(settlement)
        if settlement.dead:
            return self._end_with_all(settlement, settlement.outcome, answer)
        self._note(settlement)
        for place in self._places.candidates(settlement.run.key):
            done = self._table.write(self._end(place, settlement, settlement.outcome, answer, _PLAIN, {}))
            if done.done:
                return None
            if done.item is not None:
                break
        return self._end_with_all(settlement, settlement.outcome, answer)

    def _answer(self, settlement: Settlement) -> LargeValue:
        expires = None if settlement.dead else self._lifetimes.beside(settlement.finished)
        answer = large(settlement.value, "value", "answer", expires)
        self._table.put_all(answer.items)
        return answer

    def _note(self, settlement: Settlement) -> None:
        if settlement.failure is not None:
            self._table.write(Put(self._writer.attempt(settlement)))

    def _end(
        self,
        place: Key,
        settlement: Settlement,
        outcome: Outcome,
        answer: LargeValue,
        when: str,
        values: dict[str, Value],
    ) -> Update:
        sets = self._ended(settlement, outcome, answer)
        adds = {"attempts": attempts_noted(settlement)} if settlement.failure is not None else {}
        return change(place, sets, _ENDS, adds, when, values)

    def _ended(self, settlement: Settlement, outcome: Outcome, answer: LargeValue) -> dict[str, Value]:
        """The attributes of a run that ended so."""
        sets: dict[str, Value] = {
            "state": outcome,
            "due": settlement.run.due,
            "attempt": settlement.attempt,
            "started": settlement.started,
            "finished": settlement.finished,
            "by": token(),
            **answer.attributes,
        }
        if settlement.failure is not None:
            sets["failure"] = failure_text(settlement.failure)
        if settlement.dead and outcome == settlement.outcome:
            sets["dead"] = True
        else:
            sets["expires"] = self._lifetimes.finished(settlement.finished)
        return sets

    def _end_with_all(self, settlement: Settlement, outcome: Outcome, answer: LargeValue) -> Run | None:
        """End it together with what hangs on it; answers the run that was held for it."""
        key = settlement.run.key
        for _ in range(TRIES):
            item = self._places.find([key]).get(key)
            writes: list[Write] = []
            freed: Item | None = None
            if item is None:
                writes += self._lost(settlement, outcome, answer)
            else:
                hangs = item.get("blocks") is True or item["state"] == "held"
                when = "#by = :seen" if hangs else "#by = :seen AND attribute_not_exists(#blocks)"
                seen = {"seen": item["by"]}
                kept = self._own_copy(item) if settlement.dead else {}
                all_large = LargeValue({**answer.attributes, **kept})
                writes.append(self._end(key_of(item), settlement, outcome, all_large, when, seen))
                if hangs:
                    group = self._groups.read(key.schedule_id, [key])
                    after = group.regroup({}, [key.scheduled])
                    writes += [group.write(after), *group.others(after)]
                    freed = None if after.released is None else group.base(after.released)
            dead = settlement.dead and outcome == settlement.outcome
            writes += self._beside(settlement, item, dead=dead)
            try:
                self._table.transact(writes)
            except RefusedError:
                continue
            if dead:
                self._keep(item, settlement)
            return None if freed is None else _freed(self._table, freed)
        raise crowded(key)

    def _beside(self, settlement: Settlement, item: Item | None, *, dead: bool) -> list[Write]:
        writes: list[Write] = []
        if settlement.failure is not None:
            attempt = self._writer.attempt(settlement)
            if dead:
                del attempt["expires"]
            writes.append(Put(attempt))
        place = dead_key(settlement.run.key)
        if dead:
            writes.append(Put({"pk": place.pk, "sk": place.sk}))
        elif item is not None and item.get("dead"):
            writes.append(Delete(place))
        return writes

    def _lost(self, settlement: Settlement, outcome: Outcome, answer: LargeValue) -> list[Write]:
        """The run is not there any more; what became of it is recorded all the same."""
        run = msgspec.structs.replace(settlement.run, held=False)
        item, blobs = self._writer.run(run, self._places.home(run.key))
        self._table.put_all(blobs)
        item.pop("expires", None)
        item |= self._ended(settlement, outcome, answer)
        if settlement.failure is not None:
            item["attempts"] = attempts_noted(settlement)
        return [Put(item, when="attribute_not_exists(#pk)")]

    def _keep(self, item: Item | None, settlement: Settlement) -> None:
        """A dead letter waits without limit, and so must what lies beside it."""
        noted = set_of(item, "attempts") - attempts_noted(settlement) if item else frozenset()
        for key in _kept_with(settlement.run.key, item or {}, noted):
            self._table.write(change(key, {}, ("expires",), when="attribute_exists(#pk)"))

    def _own_copy(self, item: Item) -> Item:
        """A run of a schedule may share a large payload with it, which goes with it; a dead letter may not."""
        if not item.get("own") or "blob" not in item:
            return {}
        data = payload_of(item, blobs_of(self._table, [item]))
        copy = large(data, "payload", "blob", None)
        self._table.put_all(copy.items)
        return copy.attributes

    def _again(self, settlement: Settlement) -> Run | None:
        """Another attempt at `retry_at`: the signpost first, so that the run is never due where nobody looks."""
        run, at = settlement.run, settlement.retry_at
        assert at is not None
        if at != run.scheduled:
            partition = self._places.entry_partition(run.schedule_id, at)
            self._table.write(Put(self._writer.signpost(run.key, at, partition)))
        self._note(settlement)
        noted = {"attempts": attempts_noted(settlement)} if settlement.failure is not None else {}
        state = "pending" if at == run.scheduled else "moved"
        sets: dict[str, Value] = {"state": state, "due": at, "attempt": settlement.attempt, "by": token()}
        when = "#state IN (:pending, :moved, :running) AND #attempt < :attempt AND attribute_not_exists(#asked)"
        place = self._places.candidates(run.key)[0]
        answer = self._table.write(change(place, sets, ("started", "expires"), noted, when))
        if answer.done:
            return None
        item = answer.item or self._places.find([run.key]).get(run.key)
        if item is None:
            return None
        if answer.item is None:
            answer = self._table.write(change(key_of(item), sets, ("started", "expires"), noted, when))
        if not answer.done and item.get("asked") and item["state"] == "running":
            return self._end_with_all(settlement, "cancelled", LargeValue({}))
        if not answer.done and noted:
            self._table.write(change(key_of(item), {}, (), noted, "attribute_exists(#pk)"))
        return None

    def cancel(self, keys: Sequence[RunKey], now: int) -> list[RunKey]:
        found = self._places.find(keys)
        single = [key for key in found if not _hangs(found[key])]
        grouped: dict[str, list[RunKey]] = {}
        for key in found:
            if _hangs(found[key]):
                grouped.setdefault(key.schedule_id, []).append(key)
        cancelled = set(self._table.map(lambda key: self._cancel_one(key, found[key], now), single))

        def together(group: list[RunKey]) -> list[RunKey]:
            pages = [group[start : start + _GROUP] for start in range(0, len(group), _GROUP)]
            return [key for page in pages for key in self.cancel_together(page, now)]

        for done in self._table.map(together, list(grouped.values())):
            cancelled |= set(done)
        return [key for key in dict.fromkeys(keys) if key in cancelled]

    def _cancel_one(self, key: RunKey, item: Item | None, now: int) -> RunKey | None:
        for _ in range(TRIES):
            if item is None or not is_open(item):
                return None
            if _hangs(item):
                return next(iter(self.cancel_together([key], now)), None)
            write = self.cancelling(item, now)
            answer = self._table.write(write)
            if answer.done or (answer.item is not None and answer.item.get("by") == write.values.get("by")):
                return key
            item = answer.item
        raise crowded(key)

    def cancelling(self, item: Item, now: int, *, blocks: bool = False) -> Update:
        """What cancelling does to an open run as it was read: it ends, or is asked to stop."""
        if item["state"] == "running":
            sets: dict[str, Value] = {"asked": True, "by": token(), **({"blocks": True} if blocks else {})}
            return change(key_of(item), sets, when="#state = :running")
        sets = {"state": "cancelled", "finished": now, "expires": self._lifetimes.finished(now), "by": token()}
        alone = "" if item.get("blocks") else " AND attribute_not_exists(#blocks)"
        when = f"#by = :seen AND #state = :was{alone}"
        return change(key_of(item), sets, ("blocks",), when=when, values={"seen": item["by"], "was": item["state"]})

    def cancel_together(self, keys: Sequence[RunKey], now: int) -> list[RunKey]:
        """Runs of one schedule, some of which are held, or have others held for them."""
        name = keys[0].schedule_id
        for _ in range(TRIES):
            group = self._groups.read(name, keys)
            items = {key: group.bases[key] for key in keys if is_open(group.bases.get(key))}
            ended = [key.scheduled for key, item in items.items() if item["state"] != "running"]
            after = group.regroup({}, ended)
            writes: list[Write] = [
                self.cancelling(item, now, blocks=key.scheduled in after.marked) for key, item in items.items()
            ]
            if not writes:
                return []
            if ended:
                writes += [group.write(after), *group.others(after, [key.scheduled for key in items])]
            try:
                self._table.transact(writes)
            except RefusedError:
                continue
            return list(items)
        raise crowded(keys[0])

    def redrive(self, keys: Sequence[RunKey], now: int) -> list[RunKey]:
        wanted = list(dict.fromkeys(keys))
        self._places.prepare([now])
        chains: dict[str, list[RunKey]] = {}
        for key in wanted:
            chains.setdefault(key.schedule_id, []).append(key)

        def one_by_one(chain: list[RunKey]) -> list[RunKey]:
            return [key for key in chain if self._redrive(key, now)]

        done = {key for answer in self._table.map(one_by_one, list(chains.values())) for key in answer}
        return [key for key in wanted if key in done]

    def _redrive(self, key: RunKey, now: int) -> bool:
        for _ in range(TRIES):
            item = self._places.find([key]).get(key)
            if item is None or not item.get("dead"):
                return False
            sets: dict[str, Value] = {
                "state": "pending" if now == key.scheduled else "moved",
                "due": now,
                "attempt": 0,
                "by": token(),
            }
            writes: list[Write] = [Delete(dead_key(key))]
            if now != key.scheduled:
                partition = self._places.entry_partition(key.schedule_id, now)
                writes.append(Put(self._writer.signpost(key, now, partition)))
            if item.get("own"):
                group = self._groups.read(key.schedule_id)
                after = group.regroup({key.scheduled: False}, ())
                if after.entries[key.scheduled] == BLOCKS:
                    sets["blocks"] = True
                writes += [group.write(after), *group.others(after, [key.scheduled])]
            gone = ("dead", "expires", "started", "finished", "value", "answer", "failure")
            writes.append(change(key_of(item), sets, gone, when="#by = :seen", values={"seen": item["by"]}))
            try:
                self._table.transact(writes)
            except RefusedError:
                continue
            self._keep_no_longer(key, item, now)
            return True
        raise crowded(key)

    def purge(self, keys: Sequence[RunKey]) -> list[RunKey]:
        wanted = list(dict.fromkeys(keys))
        found = self._places.find(wanted)
        done = self._table.map(lambda key: self._purge(key, found.get(key)), wanted)
        return [key for key, purged in zip(wanted, done, strict=True) if purged]

    def _purge(self, key: RunKey, item: Item | None) -> bool:
        if item is None or not item.get("dead"):
            return False
        expires = self._lifetimes.finished(due_of(item))
        forget = change(key_of(item), {"expires": expires, "by": token()}, ("dead",), when="attribute_exists(#dead)")
        try:
            self._table.transact([forget, Delete(dead_key(key))])
        except RefusedError:
            return False
        self._keep_no_longer(key, item, due_of(item))
        return True

    def _keep_no_longer(self, key: RunKey, item: Item, at: int) -> None:
        """It is a dead letter no more."""
        beside: dict[str, Value] = {"expires": self._lifetimes.beside(at)}
        for place in _kept_with(key, item, set_of(item, "attempts")):
            self._table.write(change(place, beside, when="attribute_exists(#pk)"))


def _hangs(item: Item) -> bool:
    """Whether other runs hang on it, or it on others."""
    return item.get("blocks") is True or item["state"] == "held"


def _kept_with(key: RunKey, item: Item, noted: Iterable[str]) -> list[Key]:
    """What lies beside a run: its payload, if that is large, and those of its failed attempts."""
    blob = text_of(item, "blob")
    return [*([blob_key(blob)] if blob else []), *(Key(attempts_partition(key), sort) for sort in sorted(noted))]


def _freed(table: Table, item: Item) -> Run:
    return msgspec.structs.replace(runs_from(table, [item])[0], held=False)
