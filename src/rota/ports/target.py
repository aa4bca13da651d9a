"""Carrying out what a firing does."""

from __future__ import annotations

from collections.abc import Callable

from rota.core.outcome import Result
from rota.core.run import Run

TargetCall = Callable[[Run], bytes | None]
"""Does what the run's target says and answers with JSON, or None. An implementer owes: it raises on failure,
TargetError with `transient` where it knows whether another try can help; it hands the run id on as idempotency key;
it may be called again with the same run. It blocks until done."""

Inquiry = Callable[[Run], Result | None]
"""Asks the target what became of the last attempt of a run, which was cut off. An implementer owes: it does nothing but
ask; it answers with what the attempt came to, or None where the target does not know, or knows of no such attempt."""
