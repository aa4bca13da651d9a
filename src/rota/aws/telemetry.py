"""What the functions say of themselves: CloudWatch metrics in the embedded format, and log lines with run ids."""

from __future__ import annotations

import logging
import threading
from typing import Protocol

from rota.core.outcome import Result
from rota.core.run import Run, Settlement

log: logging.Logger = logging.getLogger("rota.run")


class Sink(Protocol):
    """Where figures go. unit: Count or Milliseconds."""

    def put(self, name: str, value: float, unit: str) -> None: ...


class Telemetry:
    """Safe to share between threads."""

    def __init__(self, sink: Sink | None = None) -> None:
        self._sink = sink
        self._lock = threading.Lock()

    def count(self, name: str, value: float = 1) -> None:
        self._put(name, value, "Count")

    def milliseconds(self, name: str, value: float) -> None:
        self._put(name, value, "Milliseconds")

    def fired(self, run: Run, result: Result) -> None:
        """An attempt was made."""
        self.count("Fired")
        self.milliseconds("Lateness", max(0, result.started - run.due))

    def settled(self, it: Settlement) -> None:
        """An attempt was recorded."""
        about = {"run": it.run.id, "attempt": it.attempt, "late_ms": it.started - it.run.due}
        if it.failure is None:
            log.info("%s %s", it.run.id, it.outcome, extra=about)
            return
        self.count("Failed")
        follows = f"again in {it.retry_at - it.finished} ms" if it.retry_at is not None else "no more attempts"
        log.warning("%s attempt %d failed, %s: %s", it.run.id, it.attempt, follows, it.failure, extra=about)

    def _put(self, name: str, value: float, unit: str) -> None:
        if self._sink is not None:
            with self._lock:
                self._sink.put(name, value, unit)
