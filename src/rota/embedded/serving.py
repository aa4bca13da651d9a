"""An engine together with its client and its app: what users start and stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType

from rota.app import App
from rota.client import Client
from rota.core.errors import InvalidError
from rota.embedded.batch.host import BatchHost
from rota.embedded.engine import Engine
from rota.embedded.sqlite.lacking import NAMED, Lacking
from rota.service.sync import SyncReport


class Serving:
    """client: talks to the same store, in this process. report: what storing the app's schedules changed, once
    started. app: None serves what needs none: queues, HTTP endpoints, services of AWS."""

    def __init__(
        self,
        engine: Engine,
        host: BatchHost,
        client: Client,
        app: App | None,
        lacking: Callable[[], Sequence[Lacking]],
    ) -> None:
        self.engine: Engine = engine
        self._host = host
        self.client: Client = client
        self.app: App | None = app
        self._lacking = lacking
        self.report: SyncReport = SyncReport()

    def start(self, *, prune: bool = False) -> None:
        """Store what the app declares, then fire what is due. prune: delete schedules that the app no longer declares.
        Raises StoreError, and InvalidError, ExistsError or ConflictError for a declaration that cannot be stored;
        InvalidError too where there is no app but tasks or batches to run, which would use up their firings."""
        try:
            if self.app is None:
                self._refuse_what_needs_an_app()
            else:
                self.report = self.client.sync(self.app, prune=prune)
            self.engine.start()
            self._host.start()
        except BaseException:
            self.engine.stop(0)
            raise

    def lacking(self) -> Sequence[Lacking]:
        """The tasks and batches that are stored as targets but that the app does not have: their runs fail. Reads
        every schedule."""
        return self._lacking()

    def _refuse_what_needs_an_app(self) -> None:
        found = self._lacking()
        if not found:
            return
        named = ", ".join(map(str, found[:NAMED]))
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        hint = f"name the module of the app, as in `rota serve shop.py`: without it runs would fail of {named}{more}"
        raise InvalidError("app", None, hint)

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
