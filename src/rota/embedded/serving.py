"""An engine together with its client and its app: what users start and stop."""

from __future__ import annotations

from types import TracebackType
from typing import Generic, Protocol, TypeVar

from rota.app import App
from rota.embedded.engine import Engine

R_co = TypeVar("R_co", covariant=True)


class Syncs(Protocol[R_co]):
    """What serving asks of a client: to store the app's declared schedules."""

    def sync(self, app: App, *, prune: bool = False) -> R_co: ...


C = TypeVar("C", bound=Syncs[object])


class Serving(Generic[C]):
    """client: talks to the same store, in this process. report: what storing the app's schedules changed, once
    started."""

    def __init__(self, engine: Engine, client: C, app: App) -> None:
        self.engine = engine
        self.client = client
        self.app = app
        self.report: object = None

    def start(self, *, prune: bool = False) -> None:
        """Store what the app declares, then fire what is due. prune: delete schedules the app no longer declares."""
        try:
            self.report = self.client.sync(self.app, prune=prune)
            self.engine.start()
        except BaseException:
            self.engine.stop(0)
            raise

    def stop(self, grace: float | None = None) -> None:
        """Stop gracefully: see Engine.stop."""
        self.engine.stop(grace)

    def __enter__(self) -> C:
        self.start()
        return self.client

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
