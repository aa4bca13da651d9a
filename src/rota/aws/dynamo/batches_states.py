"""The states of a batch run: each change is one conditional write, or one transaction with what goes with it, so one of
several callers makes it. Each says who made it (`by`), so that a request that is sent twice, because its answer was
lost, is not taken for somebody else's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rota.aws.dynamo.batches_headers import groups_text, is_open
from rota.aws.dynamo.batches_keys import header_key, open_key
from rota.aws.dynamo.items import Delete, Item, Put, Value, Write, change, number_of
from rota.aws.dynamo.rows import token
from rota.aws.dynamo.table import RefusedError, Table
from rota.core.batch import BatchKey, Wish
from rota.core.completion import Verdict
from rota.core.errors import ExistsError, StoreBusyError
from rota.core.run import Run
from rota.ports.batches import Finished

_TRIES = 20
_NOT_DECIDED = "#state IN (:pending, :running)"


class Joining(Protocol):
    """What is wanted of `DynamoRuns`."""

    def joining(self, runs: Sequence[Run]) -> list[Write]:
        """The writes that accept `runs`, for a transaction of the caller's."""


class States:
    """Changes the states of batch runs in `table`. runs: accepts those that notify."""

    def __init__(self, table: Table, runs: Joining) -> None:
        self._table = table
        self._notified = runs

    def begin(self, key: BatchKey, now: int) -> bool:
        """As the port says."""
        return self._set(key, {"state": "running", "started": now}, "#state = :pending")

    def decide(self, key: BatchKey, verdict: Verdict) -> bool:
        """As the port says."""
        sets: dict[str, Value] = {"state": "finishing", "outcome": verdict.outcome, "error": verdict.error}
        return self._set(key, sets, _NOT_DECIDED)

    def ask(self, key: BatchKey, wish: Wish) -> bool:
        """Whether there is a batch run that may do as is wished, or be cancelled as was wished before."""
        when = f"{_NOT_DECIDED} AND #wish <> :cancel"
        sets: dict[str, Value] = {"wish": wish}
        if wish == "run":
            # What it was held for is no reason of a pause that comes later.
            sets["error"] = ""
        answer = self._table.write(change(header_key(key), sets, when=when, values={"cancel": "cancel"}))
        return answer.done or (answer.item is not None and answer.item["state"] in ("pending", "running"))

    def hold(self, key: BatchKey, why: str) -> bool:
        """Pause a batch run that goes on, and say why; False if that was done before."""
        sets: dict[str, Value] = {"wish": "pause", "error": why, "held": True}
        when = f"{_NOT_DECIDED} AND #wish = :run AND (attribute_not_exists(#held) OR #held = :no)"
        values: dict[str, Value] = {"run": "run", "no": False, "pending": "pending", "running": "running"}
        return self._table.write(change(header_key(key), sets, when=when, values=values)).done

    def finish(self, key: BatchKey, finished: Finished, notify: Sequence[Run]) -> bool:
        """As the port says. ExistsError if a run that notifies is open already."""
        sets: dict[str, Value] = {
            "state": finished.outcome,
            "outcome": finished.outcome,
            "finished": finished.at,
            "error": finished.error,
            "version": finished.version,
            "root": finished.root,
            "manifest": finished.manifest,
        }
        notices = self._notified.joining(notify) if notify else []
        if notify:
            sets["told"] = finished.outcome
        header = change(header_key(key), sets, when="#state = :finishing", values={"finishing": "finishing"})
        try:
            self._table.transact([header, Delete(open_key(key)), *notices])
        except RefusedError as refused:
            if 0 in refused.failed:
                return False
            raise ExistsError("run", notify[0].id, "it is to notify of the end of a batch run, and is open") from None
        return True

    def redrive(self, key: BatchKey, groups: Sequence[str], items: int, expires: int) -> bool:
        """Whether it had ended and is pending again."""
        place = header_key(key)
        for _ in range(_TRIES):
            header = self._table.get([place]).get(place)
            if header is None or is_open(header):
                return False
            revision = number_of(header, "revision") or 0
            sets: dict[str, Value] = {"state": "pending", "wish": "run", "error": "", "groups": groups_text(groups)}
            sets |= {"revision": revision + 1, "again": items, "held": False}
            when = "#state IN (:succeeded, :failed, :cancelled) AND #revision = :was"
            again = change(place, sets, ("started", "finished"), when=when, values={"was": revision})
            waiting = open_key(key)
            try:
                self._table.transact([again, Put({"pk": waiting.pk, "sk": waiting.sk, "expires": expires})])
            except RefusedError:
                continue
            return True
        raise StoreBusyError(f"batch run {key.id!r} was changed by others {_TRIES} times in a row", batch_run=key.id)

    def _set(self, key: BatchKey, sets: dict[str, Value], when: str) -> bool:
        mine = token()
        answer = self._table.write(change(header_key(key), {**sets, "by": mine}, when=when))
        return answer.done or _is_by(answer.item, mine)


def _is_by(header: Item | None, who: str) -> bool:
    return header is not None and header.get("by") == who
