"""What `--json` shows of things: plain values, times as ISO text in UTC."""

from __future__ import annotations

from typing import Any

import msgspec

from rota.core.ids import iso
from rota.core.payload import decode_payload
from rota.core.run import AttemptRow, DeadLetter, RunRecord
from rota.core.schedule import Schedule, StoredSchedule, TickRow
from rota.core.target import HttpTarget
from rota.ports.queues import Message

Shape = dict[str, Any]
_PLAIN = tuple(name for name in Schedule.__struct_fields__ if name not in {"trigger", "target", "payload", "retry"})


def _time(at: int | None) -> str | None:
    return None if at is None else iso(at)


def schedule_shape(row: StoredSchedule) -> Shape:
    """A schedule with its state. trigger also says itself in words, as `explained`; http is how a URL is called,
    without the values of headers, which may be secret."""
    schedule, state = row.schedule, row.state
    paused = state.paused
    return {name: msgspec.to_builtins(getattr(schedule, name)) for name in _PLAIN} | {
        "trigger": {**msgspec.to_builtins(schedule.trigger), "explained": schedule.trigger.explain()},
        "target": str(schedule.target),
        "http": _http_shape(schedule.target) if isinstance(schedule.target, HttpTarget) else None,
        "payload": decode_payload(schedule.payload),
        "retry": None if schedule.retry is None else _every_field(schedule.retry),
        "status": row.status,
        "next": None if paused else _time(state.next_tick),
        "fired": state.fired,
        "paused": None if paused is None else {"by": paused.by, "at": iso(paused.at), "reason": paused.reason},
        "created": iso(state.created),
        "updated": iso(state.updated),
    }


def _http_shape(target: HttpTarget) -> Shape:
    return {
        "method": target.method,
        "headers": list(target.headers),
        "timeout": target.timeout,
        "allow_private": target.allow_private,
    }


def _every_field(value: msgspec.Struct) -> Shape:
    """Its fields, those with their defaults too, which the stored form leaves out."""
    return {name: getattr(value, name) for name in value.__struct_fields__}


def tick_shape(row: TickRow) -> Shape:
    return {
        "schedule": row.schedule_id,
        "scheduled": iso(row.scheduled),
        "until": iso(row.until),
        "count": row.count,
        "outcome": row.outcome,
        "reason": row.reason,
        "detail": row.detail,
        "decided": iso(row.decided),
    }


def run_shape(record: RunRecord) -> Shape:
    """A run. late_ms: how late its last attempt started."""
    return {
        "id": record.id,
        "schedule": record.schedule_id,
        "scheduled": iso(record.scheduled),
        "due": iso(record.due),
        "state": record.state,
        "attempt": record.attempt,
        "target": str(record.spec.target),
        "payload": decode_payload(record.payload),
        "delivery": record.spec.delivery,
        "started": _time(record.started),
        "finished": _time(record.finished),
        "late_ms": record.lateness,
        "value": None if record.value is None else decode_payload(record.value),
        "failure": msgspec.to_builtins(record.failure),
        "attempts": [_attempt_shape(row) for row in record.attempts],
    }


def _attempt_shape(row: AttemptRow) -> Shape:
    return {
        "attempt": row.attempt,
        "started": iso(row.started),
        "finished": iso(row.finished),
        "failure": msgspec.to_builtins(row.failure),
    }


def dead_letter_shape(letter: DeadLetter) -> Shape:
    return {
        "id": letter.id,
        "schedule": letter.schedule_id,
        "scheduled": iso(letter.scheduled),
        "died": iso(letter.at),
        "attempt": letter.attempt,
        "target": str(letter.spec.target),
        "payload": decode_payload(letter.payload),
        "failure": msgspec.to_builtins(letter.failure),
        "attempts": [_attempt_shape(row) for row in letter.attempts],
    }


def message_shape(message: Message) -> Shape:
    return {
        "queue": message.queue,
        "id": message.id,
        "payload": decode_payload(message.body),
        "sent": iso(message.sent),
        "received": message.received,
        "receipt": message.receipt,
        "run": message.run_id,
    }
