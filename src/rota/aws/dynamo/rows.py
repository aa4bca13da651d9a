"""Runs as items and back.

A run is one item, whose state changes where it lies; so accepting, claiming and settling are one write each, and cost
one unit as long as the item stays below 1 KB. A payload or value of more than 2 KB (`INLINE`) therefore lies beside it,
under a token drawn at random, and is written once: the item that is changed again and again stays small.

attributes of a run: state, due, attempt (attempts begun before the present one), spec (JSON), payload or blob, own (of
a stored schedule), blocks (others are held for it), by (token of the request that wrote it last, so that a request
whose answer was lost is recognized when it is made again), started, finished, value or answer (a blob), failure
(JSON), attempts (sort keys of those that failed), dead, asked (to stop).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from rota.aws.dynamo.items import Item, bytes_of, number_of, set_of, text_of
from rota.aws.dynamo.keys import Key, attempt_sort, attempts_partition, blob_key, run_of, run_sort
from rota.aws.dynamo.lifetimes import Lifetimes
from rota.aws.dynamo.table import Table
from rota.core.outcome import Failure
from rota.core.payload import NULL
from rota.core.run import AttemptRow, Claim, DeadLetter, Run, RunKey, RunRecord, RunSpec, Settlement

INLINE = 2048
OPEN = ("pending", "moved", "held", "running")
IS_OPEN = "#state IN (:pending, :moved, :held, :running)"
WAITS = "#state IN (:pending, :moved)"
FREE = f"(attribute_not_exists(#pk) OR (NOT {IS_OPEN} AND attribute_not_exists(#dead)))"
"""A new run may be put here. A dead letter is in the way, because its place in their index goes with it."""

_encode = msgspec.json.Encoder().encode
_spec = msgspec.json.Decoder(RunSpec)
_failure = msgspec.json.Decoder(Failure)

Blobs = Mapping[str, bytes]


class LargeValue(msgspec.Struct, frozen=True):
    """attributes: what the item says instead of the value. items: what lies beside it."""

    attributes: Item
    items: tuple[Item, ...] = ()


def token() -> str:
    return secrets.token_hex(6)


def large(data: bytes | None, inline: str, beside: str, expires: int | None) -> LargeValue:
    """`data` as attribute `inline`, or as a blob that attribute `beside` names. expires: epoch seconds, None: never."""
    if data is None:
        return LargeValue({})
    if len(data) <= INLINE:
        return LargeValue({inline: data})
    name = secrets.token_hex(12)
    key = blob_key(name)
    item: Item = {"pk": key.pk, "sk": key.sk, "data": data}
    if expires is not None:
        item["expires"] = expires
    return LargeValue({beside: name}, (item,))


class RowWriter:
    """Makes items of runs."""

    def __init__(self, lifetimes: Lifetimes) -> None:
        self.lifetimes: Lifetimes = lifetimes

    def run(self, run: Run, place: Key, *, blocks: bool = False, blob: str = "") -> tuple[Item, list[Item]]:
        """The item of a new run, and those that are to be there before it. blob: where its payload lies already."""
        item: Item = {
            "pk": place.pk,
            "sk": place.sk,
            "state": state_of(run),
            "due": run.due,
            "attempt": run.attempt,
            "spec": spec_text(run.spec),
            "by": token(),
        }
        if run.recurring:
            item["own"] = True
        else:
            item["expires"] = self.lifetimes.unclaimed(run.due)
        if blocks:
            item["blocks"] = True
        if blob:
            return {**item, "blob": blob}, []
        payload = None if run.payload == NULL else run.payload
        beside = large(payload, "payload", "blob", self.lifetimes.beside(run.due))
        return item | beside.attributes, list(beside.items)

    def signpost(self, key: RunKey, due: int, partition: str) -> Item:
        """Says in the far tier that the run is due then."""
        return {
            "pk": partition,
            "sk": run_sort(due, key),
            "kind": "signpost",
            "expires": self.lifetimes.unclaimed(due),
        }

    def attempt(self, settlement: Settlement) -> Item:
        item: Item = {
            "pk": attempts_partition(settlement.run.key),
            "sk": attempt_sort(settlement.started, settlement.attempt),
            "started": settlement.started,
            "finished": settlement.finished,
            "attempt": settlement.attempt,
            "expires": self.lifetimes.beside(settlement.finished),
        }
        if settlement.failure is not None:
            item["failure"] = failure_text(settlement.failure)
        return item


def state_of(run: Run) -> str:
    """The state of a run that is not running."""
    if run.held:
        return "held"
    return "pending" if run.due == run.scheduled else "moved"


def spec_text(spec: RunSpec) -> str:
    return _encode(spec).decode()


def failure_text(failure: Failure) -> str:
    return _encode(failure).decode()


def blobs_of(table: Table, items: Iterable[Item]) -> Blobs:
    """What lies beside the items, by token."""
    named = {text_of(item, field) for item in items for field in ("blob", "answer")} - {""}
    keys = {blob_key(name): name for name in named}
    return {keys[key]: bytes_of(item, "data") or b"" for key, item in table.get(keys).items()} if keys else {}


def payload_of(item: Item, blobs: Blobs) -> bytes:
    name = text_of(item, "blob")
    return blobs.get(name, NULL) if name else bytes_of(item, "payload") or NULL


def is_open(item: Item | None) -> bool:
    return item is not None and item.get("state") in OPEN


def key_of_run(item: Item) -> RunKey:
    return run_of(text_of(item, "sk"))


def run_from(item: Item, blobs: Blobs) -> Run:
    key = key_of_run(item)
    return Run(
        key.schedule_id,
        key.scheduled,
        due_of(item),
        _spec.decode(text_of(item, "spec")),
        payload_of(item, blobs),
        number_of(item, "attempt") or 0,
        item.get("own") is True,
        item.get("state") == "held",
    )


def runs_from(table: Table, items: Sequence[Item]) -> list[Run]:
    blobs = blobs_of(table, items)
    return [run_from(item, blobs) for item in items]


def due_of(item: Item) -> int:
    due = number_of(item, "due")
    assert due is not None
    return due


def claim_from(item: Item, blobs: Blobs) -> Claim:
    return Claim(run_from(item, blobs), number_of(item, "started") or 0)


def record_from(item: Item, blobs: Blobs, attempts: tuple[AttemptRow, ...] = ()) -> RunRecord:
    key, state = key_of_run(item), text_of(item, "state")
    answer = text_of(item, "answer")
    return RunRecord(
        key.schedule_id,
        key.scheduled,
        due_of(item),
        "pending" if state == "moved" else state,
        (number_of(item, "attempt") or 0) + (state == "running"),
        _spec.decode(text_of(item, "spec")),
        payload_of(item, blobs),
        number_of(item, "started"),
        number_of(item, "finished"),
        blobs.get(answer) if answer else bytes_of(item, "value"),
        failure_from(item),
        attempts,
    )


def failure_from(item: Item) -> Failure | None:
    text = text_of(item, "failure")
    return _failure.decode(text) if text else None


def letter_from(item: Item, blobs: Blobs, attempts: tuple[AttemptRow, ...]) -> DeadLetter:
    key = key_of_run(item)
    return DeadLetter(
        key.schedule_id,
        key.scheduled,
        number_of(item, "finished") or 0,
        number_of(item, "attempt") or 0,
        _spec.decode(text_of(item, "spec")),
        payload_of(item, blobs),
        failure_from(item),
        item.get("own") is True,
        attempts,
    )


def attempts_of(table: Table, item: Item) -> tuple[AttemptRow, ...]:
    """The failed attempts of the run, earliest first."""
    noted = set_of(item, "attempts")
    if not noted:
        return ()
    rows = table.query(attempts_partition(key_of_run(item)))
    return tuple(
        AttemptRow(
            number_of(row, "attempt") or 0, number_of(row, "started") or 0, number_of(row, "finished") or 0,
            failure_from(row),
        )
        for row in rows
        if row["sk"] in noted
    )  # fmt: skip


def attempts_noted(settlement: Settlement) -> frozenset[str]:
    """The sort key under which its failed attempt is noted."""
    return frozenset({attempt_sort(settlement.started, settlement.attempt)})
