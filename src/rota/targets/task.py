"""Run a task: the user's function, with the payload as its one argument."""

from __future__ import annotations

import msgspec

from rota.core.current import CURRENT, CurrentRun, StopSignal
from rota.core.payload import NULL, decode_payload
from rota.core.run import Run
from rota.core.task import Task

VALUE_LIMIT = 64 * 1024
_encode = msgspec.json.Encoder().encode


def arguments(task: Task[..., object], run: Run) -> tuple[object, ...]:
    """What the function of `task` is called with for `run`."""
    if not task.takes_payload:
        return ()
    return (None,) if run.payload is NULL else (decode_payload(run.payload),)


def kept(value: object) -> bytes | None:
    """What a task returned, as the JSON that its run keeps: None if it is not JSON or is over 64 KiB."""
    if value is None:
        return None
    try:
        text = _encode(value)
    except (TypeError, ValueError, RecursionError, OverflowError):
        return None
    return text if len(text) <= VALUE_LIMIT else None


def run_task(task: Task[..., object], run: Run, signal: StopSignal) -> bytes | None:
    """Call the function of `task` in this thread. Raises what the function raises."""
    token = CURRENT.set(CurrentRun(run.schedule_id, run.scheduled, run.attempt + 1, signal))
    try:
        return kept(task.function(*arguments(task, run)))
    finally:
        CURRENT.reset(token)
