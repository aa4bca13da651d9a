"""Gives every open batch run of a store a conductor, a few at a time, oldest first."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable

from rota.app import App
from rota.connectors.stored import GENERATOR, generator_of
from rota.core.batch import BatchKey, BatchRun
from rota.core.errors import StoreError
from rota.embedded.batch.conductor import Conductor, Generate
from rota.embedded.batch.forge import Forge
from rota.embedded.batch.workers import Lifeline
from rota.ports.batches import BatchStore
from rota.ports.clock import Clock

log: logging.Logger = logging.getLogger("rota.batch")
WATCH = 0.02
AT_ONCE = 4
_PAGE = 100
_AGAIN = 0.5
_FORGET_EVERY = 60.0


class BatchHost:
    """changed: answers a number that differs after another process wrote. only: host this batch run and no other, but
    for what needs no app: to end those that are cancelled or finishing, which nobody else can do meanwhile.
    retention: seconds that batch runs which have ended without dead letters are kept; None keeps them."""

    def __init__(
        self,
        store: BatchStore,
        clock: Clock,
        app: App,
        changed: Callable[[], int],
        only: BatchKey | None = None,
        retention: float | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._app = app
        self._changed = changed
        self._only = only
        self._retention = retention
        self._forgot = time.monotonic()
        self._forge = Forge()
        self._lifeline = Lifeline()
        self._conductors: dict[BatchKey, tuple[Conductor, threading.Thread]] = {}
        self._rested: dict[BatchKey, float] = {}
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="rota-batches", daemon=True)

    def start(self) -> None:
        """An app that declares batches gets the process that makes workers right away."""
        if self._app.batches:
            self._forge.start()
        self._thread.start()

    def wake(self) -> None:
        """Something was written by this process: look again."""
        self._wake.set()

    def stop(self, grace: float) -> None:
        """Give out nothing more, wait up to `grace` seconds for the chunks in hand; batch runs go on at the next
        start."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        for conductor, _ in self._conductors.values():
            conductor.stop(grace)
        for _, thread in self._conductors.values():
            thread.join()
        self._lifeline.close()
        self._forge.close()

    def _loop(self) -> None:
        seen: int | None = None
        while not self._stopping.is_set():
            try:
                version = self._changed()
                ended = [key for key, (_, thread) in self._conductors.items() if not thread.is_alive()]
                if version != seen or self._wake.is_set() or ended or self._rested:
                    self._wake.clear()
                    seen = version
                    self._look(ended)
                if self._retention is not None and time.monotonic() - self._forgot > _FORGET_EVERY:
                    self._forget(self._clock.now() - round(self._retention * 1000))
            except StoreError as error:
                log.warning("batch runs wait until the store answers: %s", error)
                self._stopping.wait(_AGAIN)
            self._wake.wait(WATCH)

    def _look(self, ended: list[BatchKey]) -> None:
        for key in ended:
            del self._conductors[key]
            self._rested[key] = time.monotonic() + _AGAIN
        for conductor, _ in self._conductors.values():
            conductor.look()
        now = time.monotonic()
        self._rested = {key: until for key, until in self._rested.items() if until > now}
        for run in self._wanted():
            if len(self._conductors) >= AT_ONCE:
                return
            if run.key not in self._conductors and run.key not in self._rested:
                self._conduct(run)

    def _wanted(self) -> list[BatchRun]:
        """Batch runs to be hosted, the most urgent first."""
        found = self._store.open(_PAGE)
        if self._only is None:
            return found
        own = [run for run in self._store.get([self._only]) if run.is_open]
        return own + [it for it in found if it.key != self._only and (it.wish == "cancel" or it.state == "finishing")]

    def _forget(self, before: int) -> None:
        self._forgot = time.monotonic()
        for run in self._store.forget(before, _PAGE):
            shutil.rmtree(run.place, ignore_errors=True)

    def _conduct(self, run: BatchRun) -> None:
        conductor = Conductor(
            run,
            store=self._store,
            clock=self._clock,
            tasks=self._app.tasks,
            generator=self._generator(run),
            forge=self._forge,
            lifeline=self._lifeline,
        )
        thread = threading.Thread(target=conductor.conduct, name=f"rota-batch {run.id}", daemon=True)
        self._conductors[run.key] = (conductor, thread)
        thread.start()

    def _generator(self, run: BatchRun) -> Generate | None:
        declared = self._app.batches.get(run.name)
        if run.spec.source.get("type") != GENERATOR or declared is None:
            return None
        return generator_of(declared.source)
