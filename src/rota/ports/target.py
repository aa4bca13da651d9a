"""Carrying out what a firing does."""

from __future__ import annotations

from collections.abc import Callable

from rota.core.run import Run

TargetCall = Callable[[Run], bytes | None]
"""Does what the run's target says and answers with JSON, or None. An implementer owes: it raises on failure,
TargetError with `transient` where it knows whether another try can help; it hands the run id on as idempotency key;
it may be called again with the same run. It blocks until done."""
