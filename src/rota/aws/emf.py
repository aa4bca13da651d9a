"""CloudWatch's embedded metric format: one line on stdout, from which CloudWatch makes metrics at no extra call."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import msgspec

from rota.ports.clock import Clock

NAMESPACE = "rota"
_VALUES = 100
"""As many values of one metric as one line may hold."""


def write_line(line: str) -> None:
    """To stdout, where Lambda reads it."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Emf:
    """Gathers figures (rota.aws.telemetry.Sink) until `flush`. Its one dimension is `stack`, the stack's name."""

    def __init__(self, stack: str, clock: Clock, write: Callable[[str], object] = write_line) -> None:
        self._stack = stack
        self._clock = clock
        self._write = write
        self._figures: dict[tuple[str, str], list[float]] = {}

    def put(self, name: str, value: float, unit: str) -> None:
        """A count is added to what there is of its kind, anything else is a value of its own."""
        values = self._figures.setdefault((name, unit), [])
        if unit == "Count" and values:
            values[0] += value
        else:
            values.append(value)

    def flush(self) -> None:
        """Write what was gathered."""
        figures, self._figures = self._figures, {}
        while figures:
            line: dict[str, Any] = {
                "_aws": {
                    "Timestamp": self._clock.now(),
                    "CloudWatchMetrics": [
                        {
                            "Namespace": NAMESPACE,
                            "Dimensions": [["stack"]],
                            "Metrics": [{"Name": name, "Unit": unit} for name, unit in figures],
                        }
                    ],
                },
                "stack": self._stack,
            }
            for (name, _), values in figures.items():
                line[name] = values[0] if len(values) == 1 else values[:_VALUES]
            self._write(msgspec.json.encode(line).decode())
            figures = {key: values[_VALUES:] for key, values in figures.items() if len(values) > _VALUES}
