"""The client: one store, seen through services."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Self

from rota.app import App
from rota.client.batches import Batches
from rota.client.dead_letters import DeadLetters
from rota.client.queues import Queues
from rota.client.runs import Runs
from rota.client.schedules import Schedules, When
from rota.core.errors import ConflictError, InvalidError
from rota.core.ids import when_ms
from rota.core.limits import check_flag, check_list
from rota.core.payload import encode_payload
from rota.core.retry import Retry
from rota.core.run import Delivery, Run, RunSpec
from rota.core.schedule import Schedule
from rota.core.target import parse_target
from rota.core.triggers import At
from rota.ports.batches import BatchStore
from rota.ports.clock import Clock
from rota.ports.ids import Ids
from rota.ports.queues import QueueStore
from rota.ports.runs import RunStore
from rota.ports.schedules import ScheduleStore
from rota.service.batches import NOWHERE, Surroundings
from rota.service.schedules import check_task
from rota.service.sync import SyncReport, sync

_SPECS = 1000
_ROWS = "pairs (when, payload)"
_SpecKey = tuple[object, Retry | None, float | None, Delivery, bool]


def _nothing() -> None:
    """Nobody in this process waits to hear of a write."""


def _cannot_wait(_seconds: float) -> None:
    raise ConflictError("this client cannot wait: it was made without a `sleep`")


class Client:
    """What `rota.connect` gives. Safe to share between threads. Use it as a context manager, or close it.

    schedules, runs, queues, dead_letters, batches: the services. app: its tasks are the only ones that targets may
    name. around: where batch runs keep their files. actor: who is said to have paused a schedule. notify: called after
    a write that an engine in this process should look at."""

    def __init__(
        self,
        schedules_store: ScheduleStore,
        runs_store: RunStore,
        queues_store: QueueStore,
        batches_store: BatchStore,
        clock: Clock,
        ids: Ids,
        *,
        app: App | None = None,
        around: Surroundings = NOWHERE,
        actor: str = "unknown",
        notify: Callable[[], None] | None = None,
        close: Callable[[], None] | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._schedules_store = schedules_store
        self._runs_store = runs_store
        self._clock = clock
        self._ids = ids
        self._tasks = None if app is None else app.tasks
        self._notify = notify or _nothing
        self._close = close or _nothing
        self._specs: dict[_SpecKey, RunSpec] = {}
        self.schedules: Schedules = Schedules(schedules_store, runs_store, clock, self._tasks, actor, self._notify)
        self.runs: Runs = Runs(runs_store, clock, self._notify)
        self.dead_letters: DeadLetters = DeadLetters(runs_store, clock, self._notify)
        self.queues: Queues = Queues(queues_store, clock, sleep or _cannot_wait)
        declared = None if app is None else app.batches
        self.batches: Batches = Batches(
            batches_store, clock, declared, around, self._notify, sleep or _cannot_wait, self._tasks
        )

    def at(
        self,
        when: When,
        target: object,
        payload: object = None,
        *,
        id: str | None = None,
        retry: Retry | None = None,
        timeout: float | None = None,
        delivery: Delivery = "at_least_once",
        precise: bool = False,
        tags: Sequence[str] = (),
        description: str = "",
    ) -> str:
        """Do it once, at `when` (aware datetime, ISO text with an offset, or epoch seconds; what is past is done at
        once), and answer the run id.

        Without an id this is a run and no more: the cheapest thing there is. With one it is a schedule, which can be
        listed, paused, updated and deleted; then an id that is taken raises ExistsError. timeout: seconds. precise: on
        AWS too it starts within milliseconds, not within a second."""
        at = when_ms("when", when)
        if id is not None:
            trigger = At(when)
            made = self.schedules.create(
                id,
                trigger,
                target,
                payload=payload,
                retry=retry,
                timeout=timeout,
                delivery=delivery,
                precise=precise,
                tags=tags,
                description=description,
            )
            assert made.state.next_tick is not None
            return Run(id, made.state.next_tick, at, made.schedule.spec).id
        if tags or description:
            raise InvalidError("tags", (*tags, description), "tags and description only together with an id")
        spec = self._spec(target, retry, timeout, delivery, precise)
        run = Run(self._ids.new(), at, at, spec, encode_payload(payload))
        self._runs_store.accept((run,), fresh=True)
        self._notify()
        return run.id

    def at_many(
        self,
        rows: Iterable[tuple[When, object]],
        target: object,
        *,
        retry: Retry | None = None,
        timeout: float | None = None,
        delivery: Delivery = "at_least_once",
        precise: bool = False,
    ) -> list[str]:
        """One-offs in bulk: rows of (when, payload). All or none (on AWS in pages, so a crash in the middle may leave
        some that nobody was told of); answers the run ids in the same order. It takes about 300 bytes of memory a row
        while it runs, so cut what has more than some millions."""
        spec = self._spec(target, retry, timeout, delivery, precise)
        given = check_list("rows", rows, _ROWS)
        runs = []
        for id, row in zip(self._ids.new_many(len(given)), given, strict=True):
            if not isinstance(row, tuple | list) or len(row) != 2:
                raise InvalidError("rows", row, f"a list of {_ROWS}")
            when, payload = row
            at = when_ms("when", when)
            runs.append(Run(id, at, at, spec, encode_payload(payload)))
        if runs:
            self._runs_store.accept(runs, fresh=True)
            self._notify()
        return [run.id for run in runs]

    def sync(self, app: App, *, prune: bool = False) -> SyncReport:
        """Store what `app` declares: new schedules are created, changed ones updated, unchanged ones keep their state.
        Those it no longer declares are paused and reported, or deleted with prune=True."""
        if not isinstance(app, App):
            raise InvalidError("app", app, "a rota.App")
        check_flag("prune", prune)
        declared = list(app.schedules.values())
        report = sync(
            self._schedules_store,
            self._runs_store,
            app.name,
            declared,
            self._clock.now(),
            tasks=app.tasks,
            prune=prune,
        )
        self._notify()
        return report

    def close(self) -> None:
        """Give up what the client holds open."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _spec(
        self, target: object, retry: Retry | None, timeout: float | None, delivery: Delivery, precise: bool
    ) -> RunSpec:
        """The checked spec of such a run; the same object for the same arguments, so that many runs share one."""
        key = (target, retry, timeout, delivery, precise)
        try:
            known = self._specs.get(key)
        except TypeError:  # a target with headers has no hash
            return self._new_spec(target, retry, timeout, delivery, precise)
        if known is None:
            known = self._new_spec(target, retry, timeout, delivery, precise)
            if len(self._specs) >= _SPECS:
                self._specs.clear()
            self._specs[key] = known
        return known

    def _new_spec(
        self, target: object, retry: Retry | None, timeout: float | None, delivery: Delivery, precise: bool
    ) -> RunSpec:
        parsed = parse_target(target)
        check_task(parsed, self._tasks)
        # A schedule checks all that runs and schedules have in common.
        checked = Schedule(
            id="one-off",
            trigger=At(0),
            target=parsed,
            retry=retry,
            timeout=timeout,
            delivery=delivery,
            precise=precise,
        )
        return checked.spec
