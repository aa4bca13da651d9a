"""Schedules and ledger rows as items and back.

attributes of a schedule: version, definition (JSON, without the payload), state (JSON), payload or blob, by; open and
revision (its open runs, see `held`); backlog, page and pages (a large change that is being carried out). Without a
version there is no such schedule: what is left belongs to runs that outlive it.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from rota.aws.dynamo.items import Item, Value, bytes_of, text_of
from rota.aws.dynamo.lifetimes import Lifetimes
from rota.aws.dynamo.rows import Blobs, LargeValue, large
from rota.core.payload import NULL
from rota.core.schedule import Schedule, State, StoredSchedule, TickRow

_encode = msgspec.json.Encoder().encode
_schedule = msgspec.json.Decoder(Schedule)
_state = msgspec.json.Decoder(State)
_tick = msgspec.json.Decoder(TickRow)

DEFINED = ("version", "definition", "state", "payload", "blob")
"""The attributes that a schedule has as long as it exists."""


def definition_fields(schedule: Schedule) -> LargeValue:
    """The definition as attributes, and what lies beside."""
    text = _encode(msgspec.structs.replace(schedule, payload=NULL)).decode()
    payload = large(None if schedule.payload == NULL else schedule.payload, "payload", "blob", None)
    return LargeValue({"definition": text, **payload.attributes}, payload.items)


def state_fields(state: State) -> dict[str, Value]:
    return {"version": state.version, "state": _encode(state).decode()}


def exists(item: Item | None) -> bool:
    return item is not None and "version" in item


@lru_cache(maxsize=4096)
def _definition(text: str, payload: bytes) -> Schedule:
    schedule = _schedule.decode(text)
    msgspec.structs.force_setattr(schedule, "payload", payload)
    return schedule


def stored_from(item: Item, blobs: Blobs) -> StoredSchedule:
    name = text_of(item, "blob")
    payload = blobs.get(name, NULL) if name else bytes_of(item, "payload") or NULL
    return StoredSchedule(_definition(text_of(item, "definition"), payload), state_from(item))


def state_from(item: Item) -> State:
    return _state.decode(text_of(item, "state"))


def active_tick(state: State) -> int | None:
    return None if state.paused is not None else state.next_tick


def tick_fields(row: TickRow, lifetimes: Lifetimes) -> dict[str, Value]:
    return {"tick": _encode(row).decode(), "until": row.until, "expires": lifetimes.finished(row.decided)}


def tick_from(item: Item) -> TickRow:
    return _tick.decode(text_of(item, "tick"))
