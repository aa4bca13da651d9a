"""A DynamoDB client that adds up what each call consumes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any


class Metered:
    """Passes calls to `client`. writes, reads: units consumed; calls: how often each method was called."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.meta = client.meta
        self.writes = 0.0
        self.reads = 0.0
        self.calls: Counter[str] = Counter()
        self.before: Callable[[str, dict[str, Any]], None] = lambda _method, _arguments: None

    def __getattr__(self, method: str) -> Any:
        def call(**arguments: Any) -> Any:
            self.before(method, arguments)
            answer = getattr(self._client, method)(**arguments, ReturnConsumedCapacity="TOTAL")
            self.calls[method] += 1
            capacity = answer.get("ConsumedCapacity", [])
            units = sum(one["CapacityUnits"] for one in ([capacity] if isinstance(capacity, dict) else capacity))
            if method in ("query", "get_item", "batch_get_item"):
                self.reads += units
            else:
                self.writes += units
            return answer

        return call

    def reset(self) -> None:
        self.writes = self.reads = 0.0
        self.calls.clear()
