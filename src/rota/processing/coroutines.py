"""Calling an async task, in an event loop of this process that is made at the first call and kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any


class Coroutines:
    """limit: how many calls are made at the same time. timeout: seconds of each; None for no end."""

    def __init__(self, limit: int, timeout: float | None) -> None:
        self._limit = limit
        self._timeout = timeout
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Its result."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(coroutine)

    def call_each(
        self,
        values: Sequence[object],
        call: Callable[[object], Coroutine[Any, Any, object]],
        results: list[object],
        pace: float,
    ) -> list[tuple[int, BaseException]]:
        """Set the result of each value in `results`; answers those that raised, in order."""
        failed: list[tuple[int, BaseException]] = []
        items = iter(enumerate(values))

        async def take() -> None:
            for at, value in items:
                if pace:
                    await asyncio.sleep(pace * self._limit)
                try:
                    results[at] = await asyncio.wait_for(call(value), self._timeout)
                except (Exception, SystemExit) as error:  # noqa: BLE001 whatever a task raises is its item's outcome
                    failed.append((at, error))

        async def take_all() -> None:
            await asyncio.gather(*(take() for _ in range(min(self._limit, len(values)))))

        self.run(take_all())
        return sorted(failed, key=lambda pair: pair[0])
