"""Ad-hoc schedules: `{"timestamp": 1564378340, "data": "..."}`, and the data is on the target queue at that time.

    {"timestamp": ..., "data": ..., "target": ..., "id": ..., "precise": ...}      one; only the first is needed
    {"schedules": [{...}, ...]}                                        many, all or none, if no `id` is given
    {"cancel": ID}                                                     before it fires
    {"update": {"id": ID, "timestamp": ..., "data": ...}}              likewise; what is not given stays

timestamp: epoch seconds, or ISO text with an offset; what is past fires at once. data: any JSON, null if it is left
out. target: as everywhere, by default the stack's queue `data`, whose messages hold a text as it is and anything else
as JSON. `batch:NAME` starts a batch, whose generator gets the data, in a stack that has batches.

Without an `id` it is a run and no more, the cheapest thing there is, and its run id is answered: it can be cancelled
and updated until it is handed to SQS, minutes before its time. With an `id` it is a schedule like any other, which can
be changed up to its time.

Updating a run is cancelling it and accepting another, in that order, for the other way round might fire both. Should
the function die in between, the answer never came and the run is cancelled; the same update again says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from rota.aws.handing import CheckSpec, any_spec
from rota.aws.payloads import Payloads
from rota.client import Client
from rota.core.errors import ConflictError, InvalidError
from rota.core.ids import iso, moment, parse_run_id, when_ms
from rota.core.payload import LIMIT, decode_payload
from rota.core.run import RunSpec
from rota.core.target import AnyTarget, parse_target
from rota.core.triggers import At

Json = dict[str, Any]
MOST = 10_000
_ONE = ("timestamp", "data", "target", "id", "precise")
_CHANGES = ("id", "timestamp", "data", "target")
_FORMS = 'an object with "timestamp" and "data", or with "schedules", "cancel" or "update"'


class AdHoc:
    """client: of the stack. target: where data goes unless said otherwise. payloads: where data goes that is too large
    for a message; None refuses it. check: raises for what the stack cannot fire."""

    def __init__(
        self, client: Client, target: str, payloads: Payloads | None = None, check: CheckSpec = any_spec
    ) -> None:
        self._client = client
        self._check = check
        self._target = target
        self._payloads = payloads

    def handle(self, event: object) -> Json:
        """Do what the event says; answers what became of it. Raises InvalidError, NotFoundError, ExistsError,
        ConflictError, and nothing is stored then."""
        if not isinstance(event, dict):
            raise InvalidError("event", event, _FORMS)
        forms: dict[str, Callable[[Json], Json]] = {
            "timestamp": self._create,
            "schedules": self._many,
            "cancel": self._cancel,
            "update": self._update,
        }
        found = [name for name in forms if name in event]
        if len(found) != 1:
            raise InvalidError("event", sorted(event), _FORMS)
        return forms[found[0]](event)

    def _create(self, event: Json) -> Json:
        _check_fields("event", event, _ONE)
        when, target, precise = self._parts(event)
        data = self._data(event)
        if "id" in event:
            id = _text("id", event["id"])
            self._client.schedules.create(id, At(moment(when)), target, payload=data, precise=precise, overlap="allow")
            return {"id": id, "timestamp": iso(when)}
        return {"id": self._client.at(when / 1000, target, data, precise=precise), "timestamp": iso(when)}

    def _many(self, event: Json) -> Json:
        _check_fields("event", event, ("schedules",))
        given = event["schedules"]
        if not isinstance(given, list) or not 1 <= len(given) <= MOST:
            size = len(given) if isinstance(given, list) else given
            raise InvalidError("schedules", size, f"a list of 1 to {MOST}")
        groups: dict[tuple[Any, bool], list[int]] = {}
        rows: list[tuple[float, object]] = []
        for number, one in enumerate(given):
            try:
                if not isinstance(one, dict):
                    raise InvalidError("event", one, _FORMS)
                _check_fields("event", one, tuple(name for name in _ONE if name != "id"))
                when, target, precise = self._parts(one)
                self._check_size(one.get("data"))
                self._check(RunSpec(target))
            except InvalidError as error:
                raise InvalidError(f"schedules[{number}].{error.field}", error.value, error.allowed) from None
            groups.setdefault((str(target), precise), []).append(number)
            rows.append((when / 1000, one.get("data")))
        ids = [""] * len(rows)
        for (target, precise), numbers in groups.items():
            sent = [(rows[number][0], self._data({"data": rows[number][1]})) for number in numbers]
            made = self._client.at_many(sent, target, precise=precise)
            for number, id in zip(numbers, made, strict=True):
                ids[number] = id
        return {"ids": ids}

    def _cancel(self, event: Json) -> Json:
        _check_fields("event", event, ("cancel",))
        id = _text("cancel", event["cancel"])
        if "@" in id:
            self._client.runs.cancel(id)
        else:
            stored = self._client.schedules.get(id)
            if stored.state.next_tick is None:
                raise ConflictError(f"schedule {id!r} has fired already", schedule=id)
            self._client.schedules.delete(id)
        return {"id": id, "cancelled": True}

    def _update(self, event: Json) -> Json:
        _check_fields("event", event, ("update",))
        wanted = event["update"]
        if not isinstance(wanted, dict):
            raise InvalidError("update", wanted, 'an object with "id" and what is to change')
        _check_fields("update", wanted, _CHANGES)
        id = _text("update.id", wanted.get("id"))
        return self._update_run(id, wanted) if "@" in id else self._update_schedule(id, wanted)

    def _update_schedule(self, id: str, wanted: Json) -> Json:
        changes: Any = {}
        if "timestamp" in wanted:
            changes["trigger"] = At(moment(when_ms("timestamp", wanted["timestamp"])))
        if "data" in wanted:
            changes["payload"] = self._data(wanted)
        if "target" in wanted:
            changes["target"] = wanted["target"]
        stored = self._client.schedules.update(id, **changes)
        if stored.state.next_tick is None:
            raise ConflictError(f"schedule {id!r} has fired already", schedule=id)
        return {"id": id, "timestamp": iso(stored.state.next_tick)}

    def _update_run(self, id: str, wanted: Json) -> Json:
        record = self._client.runs.get(id)
        if record.state != "pending":
            raise ConflictError(f"{id} is {record.state} and cannot be updated any more", run=id)
        _, scheduled = parse_run_id(id)
        when = when_ms("timestamp", wanted["timestamp"]) if "timestamp" in wanted else scheduled
        target = parse_target(wanted["target"]) if "target" in wanted else record.spec.target
        data = self._data(wanted) if "data" in wanted else decode_payload(record.payload)
        self._client.runs.cancel(id)
        made = self._client.at(when / 1000, target, data, precise=record.spec.precise)
        return {"id": made, "timestamp": iso(when), "replaces": id}

    def _parts(self, event: Json) -> tuple[int, AnyTarget, bool]:
        if "timestamp" not in event:
            raise InvalidError("timestamp", None, "epoch seconds, or ISO text with an offset")
        precise = event.get("precise", False)
        if not isinstance(precise, bool):
            raise InvalidError("precise", precise, "true or false")
        target = event.get("target", self._target)
        parsed = parse_target(target if isinstance(target, str) else _text("target", target))
        return when_ms("timestamp", event["timestamp"]), parsed, precise

    def _check_size(self, data: object) -> int:
        size = len(msgspec.json.encode(data))
        if size > LIMIT and self._payloads is None:
            raise InvalidError(
                "data",
                f"{size} bytes of JSON",
                f"at most {LIMIT} bytes, unless the stack keeps large data in S3 (parameter LargePayloads)",
            )
        return size

    def _data(self, event: Json) -> object:
        data = event.get("data")
        if self._check_size(data) <= LIMIT or self._payloads is None:
            return data
        return self._payloads.put(msgspec.json.encode(data))


def _check_fields(field: str, event: Mapping[str, object], allowed: tuple[str, ...]) -> None:
    for name in event:
        if name not in allowed:
            raise InvalidError(field, name, "one of " + ", ".join(allowed))


def _text(field: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidError(field, value, "a text")
    return value
