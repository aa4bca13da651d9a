"""An engine together with its client and its app: what users start and stop."""

from __future__ import annotations

from types import TracebackType

from rota.app import App
from rota.client import Client
from rota.embedded.batch.host import BatchHost
from rota.embedded.engine import Engine
from rota.service.sync import SyncReport


class Serving:
    """client: talks to the same store, in this process. report: what storing the app's schedules changed, once
    started."""

    def __init__(self, engine: Engine, host: BatchHost, client: Client, app: App) -> None:
        self.engine: Engine = engine
        self._host = host
        self.client: Client = client
        self.app: App = app
        self.report: SyncReport = SyncReport()

    def start(self, *, prune: bool = False) -> None:
        """Store what the app declares, then fire what is due. prune: delete schedules that the app no longer declares.
        Raises StoreError, and InvalidError, ExistsError or ConflictError for a declaration that cannot be stored."""
        try:
            self.report = self.client.sync(self.app, prune=prune)
            self.engine.start()
            self._host.start()
        except BaseException:
            self.engine.stop(0)
            raise

    def stop(self, grace: float | None = None) -> None:
        """Start nothing more, wait up to `grace` seconds for what runs, and hand back the rest."""
        self._host.stop(self.engine.grace if grace is None else grace)
        self.engine.stop(grace)

    def __enter__(self) -> Client:
        self.start()
        return self.client

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
