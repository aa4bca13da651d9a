"""Batch requests of which a part is not carried out: which part goes on, and what is added to the answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from rota.testing.emulator.actions import Asked

Pick = Callable[[int], set[int]]
"""Which of so many positions are left out."""

_FAILING = frozenset({"SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"})


class Cut(NamedTuple):
    """forward: the request that goes on, None if nothing is left of it. complete: the answer to it, completed."""

    forward: dict[str, Any] | None
    complete: Callable[[dict[str, Any]], dict[str, Any]]


def items_of(what: Asked, given: object) -> int:
    """How many entries a request holds; 1 for what is no batch."""
    if not isinstance(given, dict):
        return 1
    entries: Any
    if what.action in ("BatchWriteItem", "BatchGetItem") and isinstance(given.get("RequestItems"), dict):
        tables = given["RequestItems"].values()
        entries = [it for table in tables for it in (table.get("Keys", []) if isinstance(table, dict) else table)]
    elif what.action in ("TransactWriteItems", "TransactGetItems"):
        entries = given.get("TransactItems")
    else:
        entries = given.get("Entries")
    return len(entries) if isinstance(entries, list) and entries else 1


def cut(what: Asked, given: dict[str, Any], pick: Pick, *, unprocessed: bool, partial: bool) -> Cut | None:
    """How a fault cuts this request; None if the fault is not for this action."""
    if unprocessed and what == ("dynamodb", "BatchWriteItem"):
        return _cut_writes(given, pick)
    if unprocessed and what == ("dynamodb", "BatchGetItem"):
        return _cut_gets(given, pick)
    if partial and what.service == "sqs" and what.action in _FAILING:
        return _cut_entries(given, pick)
    return None


def _cut_writes(given: dict[str, Any], pick: Pick) -> Cut:
    flat = [(table, request) for table, requests in given["RequestItems"].items() for request in requests]
    out = pick(len(flat))
    kept, left = _by_table(flat, out)

    def complete(answer: dict[str, Any]) -> dict[str, Any]:
        merged = dict(answer.get("UnprocessedItems") or {})
        for table, requests in left.items():
            merged[table] = [*merged.get(table, []), *requests]
        return {**answer, "UnprocessedItems": merged}

    return Cut({**given, "RequestItems": kept} if kept else None, complete)


def _cut_gets(given: dict[str, Any], pick: Pick) -> Cut:
    asked_of = given["RequestItems"]
    flat = [(table, key) for table, request in asked_of.items() for key in request["Keys"]]
    out = pick(len(flat))
    kept, left = _by_table(flat, out)

    def requests(keys: dict[str, list[Any]]) -> dict[str, Any]:
        return {table: {**asked_of[table], "Keys": some} for table, some in keys.items()}

    def complete(answer: dict[str, Any]) -> dict[str, Any]:
        return {"Responses": {}, **answer, "UnprocessedKeys": requests(left)}

    return Cut({**given, "RequestItems": requests(kept)} if kept else None, complete)


def _cut_entries(given: dict[str, Any], pick: Pick) -> Cut:
    entries = given.get("Entries") or []
    out = pick(len(entries)) if entries else set()
    kept = [it for position, it in enumerate(entries) if position not in out]
    failed = [
        {"Id": it.get("Id"), "Code": "InternalError", "Message": "injected", "SenderFault": False}
        for position, it in enumerate(entries)
        if position in out
    ]

    def complete(answer: dict[str, Any]) -> dict[str, Any]:
        return {"Successful": [], **answer, "Failed": [*answer.get("Failed", []), *failed]}

    return Cut({**given, "Entries": kept} if kept else None, complete)


def _by_table(flat: list[tuple[str, Any]], out: set[int]) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    kept: dict[str, list[Any]] = {}
    left: dict[str, list[Any]] = {}
    for position, (table, it) in enumerate(flat):
        (left if position in out else kept).setdefault(table, []).append(it)
    return kept, left


def json_of(body: bytes) -> Any:
    """The JSON of a body, None if it is none."""
    try:
        return json.loads(body)
    except ValueError:
        return None
