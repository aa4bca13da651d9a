"""Step Functions: retriers honour MaxDelaySeconds and JitterStrategy, which stock ignores."""

from __future__ import annotations

import random
from typing import Any

from ministack.services import stepfunctions

from rota.testing.emulator.guard import replace

_LONGEST = 31_622_400


def mend() -> None:
    """Patch what finds the retrier of an error."""
    replace(stepfunctions, "_find_matching_retrier", "cb494ae8503c", with_its_delay)


def with_its_delay(find: Any) -> Any:
    """Callers multiply interval and backoff themselves: they are given the delay, and a backoff of 1."""

    def found(retriers: Any, error: str, counts: dict[int, int]) -> tuple[dict[str, Any] | None, int]:
        retrier, index = find(retriers, error, counts)
        if retrier is None:
            return None, index
        grown = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** counts.get(index, 0)
        delay = min(grown, retrier.get("MaxDelaySeconds", _LONGEST))
        if retrier.get("JitterStrategy") == "FULL":
            delay = random.uniform(0, delay)
        return {**retrier, "IntervalSeconds": delay, "BackoffRate": 1.0}, index

    return found
