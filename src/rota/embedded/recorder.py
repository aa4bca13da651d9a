"""Records what becomes of attempts, in groups.

Results gather while the last group is being synced, so the more there is to do the larger the group. A claim (this
attempt began) is written behind: an attempt that ends within a few milliseconds is recorded by its result alone. If
the engine dies in between, the run is still pending, so it is attempted again with the same run id, which is what
delivery at least once promises. Runs delivered at most once are claimed before they start, by the engine.

If the store cannot be written, nothing is dropped: the group is kept and tried again, and `healthy` tells the engine
to start nothing meanwhile.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from rota.core.errors import StoreCorruptError, StoreError
from rota.core.outcome import Result
from rota.core.run import Claim, Run, RunKey, Settlement
from rota.embedded.pool import Attempt, Pool
from rota.ports.clock import Clock
from rota.ports.runs import RunStore
from rota.service.work import PolicyOf, settle

log: logging.Logger = logging.getLogger("rota.engine")
T = TypeVar("T")
GROUP = 2000
CLAIM_AFTER = 5
"""Milliseconds after which an attempt that still runs is claimed."""


class Recorder:
    """settled: told what was recorded, and which held runs became pending. fatal: told that the store is beyond use."""

    def __init__(
        self,
        store: RunStore,
        clock: Clock,
        policy: PolicyOf,
        settled: Callable[[Sequence[RunKey], Sequence[Settlement], Sequence[Run]], None],
        fatal: Callable[[BaseException], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._policy = policy
        self._settled = settled
        self._fatal = fatal
        self._ended: deque[tuple[Attempt, Result]] = deque()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="rota-recorder", daemon=True)
        self.pool: Pool | None = None
        self.healthy: bool = True

    def start(self, pool: Pool) -> None:
        self.pool = pool
        self._thread.start()

    def report(self, attempt: Attempt, result: Result) -> None:
        self._ended.append((attempt, result))
        self._wake.set()

    def dispatched(self) -> None:
        """Attempts were started; look after their claims."""
        self._wake.set()

    def close(self) -> None:
        """Record what has been reported and end."""
        self._closing.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _loop(self) -> None:
        assert self.pool is not None
        while True:
            busy = self.pool.starting or any(not attempt.claimed for attempt in self._running())
            self._wake.wait(0.005 if busy else 0.5)
            self._wake.clear()
            try:
                while self._record() == GROUP:
                    pass
            except Exception as error:
                log.exception("the recorder ended")
                self._fatal(error)
                return
            if self._closing.is_set() and not self._ended:
                return

    def _running(self) -> list[Attempt]:
        assert self.pool is not None
        return list(self.pool.running.values())

    def _record(self) -> int:
        self._claim(self._unclaimed())
        ended: list[tuple[Attempt, Result]] = []
        while self._ended and len(ended) < GROUP:
            ended.append(self._ended.popleft())
        if not ended:
            return 0
        claimed = {attempt.key for attempt, _ in ended if attempt.claimed}
        # What was cancelled before the store knew of its attempt is on record as cancelled, not as asked to stop.
        asked = {attempt.key for attempt, _ in ended if attempt.asked}
        pairs = [(attempt.run, result) for attempt, result in ended if not attempt.lost]
        recorded = self._until_stored(lambda: settle(self._store, pairs, self._policy, (), claimed, asked), len(ended))
        if recorded is not None:
            self._settled([attempt.key for attempt, _ in ended], *recorded)
        return len(ended)

    def _claim(self, attempts: Sequence[Attempt]) -> None:
        """Tell the store that these run. One that was cancelled before it knew is told to stop, and stays cancelled."""
        if not attempts:
            return
        claims = [Claim(attempt.run, attempt.started) for attempt in attempts]
        answers = self._until_stored(lambda: self._store.claim(claims), 0)
        for attempt, held in zip(attempts, answers or (), strict=bool(answers)):
            attempt.claimed = True
            # An attempt that has ended meanwhile is settled like any other.
            if not held and not attempt.over:
                attempt.lost = True
                assert self.pool is not None
                self.pool.cancel(attempt.key)

    def _until_stored(self, store: Callable[[], T], waiting: int) -> T | None:
        """Try until it works; None if the engine is closing and the store still does not answer."""
        while True:
            try:
                answer = store()
                if not self.healthy:
                    log.warning("the store can be written again")
                    self.healthy = True
                return answer
            except StoreCorruptError:
                raise
            except StoreError as error:
                if self.healthy:
                    log.warning("outcomes wait, no run is started: %s", error)
                self.healthy = False
                if self._closing.is_set():
                    log.warning("%d outcomes are lost; their runs are attempted again at the next start", waiting)
                    return None
                self._closing.wait(0.5)

    def _unclaimed(self) -> list[Attempt]:
        before = self._clock.now() - CLAIM_AFTER
        return [it for it in self._running() if not it.claimed and not it.over and it.started <= before]
