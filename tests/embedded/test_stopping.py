"""A graceful stop finishes what it can, hands back the rest, and comes to an end whatever the store does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import pytest
from tests.embedded.running import PATIENCE, one_off, running, wait_for

from rota.app import App
from rota.core.current import current_run
from rota.core.errors import StoreFullError
from rota.core.run import Claim, Run, Settlement
from rota.ports.runs import RunStore


class Blocking:
    """An app whose task `block` waits to be let go. begun: the runs that got so far, as (run id, attempt)."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun: list[tuple[str, int]] = []
        self.app = App("shop")

        @self.app.task
        def block() -> str:
            self.begun.append((current_run().id, current_run().attempt))
            self.go.wait(PATIENCE)
            return "done"


@pytest.fixture
def it() -> Blocking:
    return Blocking()


def ends(stop: Callable[[], object]) -> None:
    """`stop` returns."""
    thread = threading.Thread(target=stop, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_what_ends_within_the_grace_period_is_recorded(tmp_path: Path, it: Blocking) -> None:
    run = one_off("block")
    with running(tmp_path / "rota.db", it.app) as engine:
        engine.accept(run)
        wait_for(lambda: it.begun, "it begins")
        threading.Timer(0.1, it.go.set).start()
        engine.engine.stop(PATIENCE)
    with running(tmp_path / "rota.db", it.app, start=False) as after:
        assert after.record(run).state == "succeeded"
        assert after.record(run).value == b'"done"'


def test_what_does_not_end_is_handed_back_and_attempted_again(tmp_path: Path, it: Blocking) -> None:
    run = one_off("block")
    with running(tmp_path / "rota.db", it.app) as engine:
        engine.accept(run)
        wait_for(lambda: it.begun, "it begins")
        engine.engine.stop(0)
    with running(tmp_path / "rota.db", it.app) as engine:
        it.go.set()
        record = engine.ended(run)
    assert (record.state, record.attempt) == ("succeeded", 2)
    assert [row.attempt for row in record.attempts] == [1]
    assert it.begun == [(run.id, 1), (run.id, 2)]


def test_what_is_delivered_at_most_once_is_interrupted(tmp_path: Path, it: Blocking) -> None:
    run = one_off("block", delivery="at_most_once")
    with running(tmp_path / "rota.db", it.app) as engine:
        engine.accept(run)
        wait_for(lambda: it.begun, "it begins")
        engine.engine.stop(0)
    with running(tmp_path / "rota.db", it.app) as engine:
        assert engine.ended(run).state == "interrupted"
    assert it.begun == [(run.id, 1)]


@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
def test_what_waits_for_a_worker_is_handed_back(tmp_path: Path, it: Blocking, delivery: str) -> None:
    first, second = one_off("block"), one_off("block", delivery=delivery)
    with running(tmp_path / "rota.db", it.app, workers=1) as engine:
        engine.accept(first)
        wait_for(lambda: it.begun, "the first begins")
        engine.accept(second)
        wait_for(lambda: engine.engine._pool._ready, "the second waits")
        engine.engine.stop(0)
    assert [id for id, _ in it.begun] == [first.id]
    with running(tmp_path / "rota.db", it.app) as engine:
        it.go.set()
        assert engine.ended(second).state == "succeeded"
    assert [id for id, _ in it.begun].count(second.id) == 1


def test_an_engine_that_was_never_started_can_be_stopped(tmp_path: Path, it: Blocking) -> None:
    with running(tmp_path / "rota.db", it.app, start=False) as engine:
        engine.engine.stop()
        assert engine.engine.stopped.is_set()


def test_stopping_twice_waits_for_the_first(tmp_path: Path, it: Blocking) -> None:
    it.go.set()
    with running(tmp_path / "rota.db", it.app) as engine:
        threads = [threading.Thread(target=engine.engine.stop) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert engine.engine.stopped.is_set()


class Full:
    """A store that cannot be written any more once it is `full`."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self.full = False
        self.asked = 0

    def settle(self, settlements: Sequence[Settlement], claims: Sequence[Claim] = ()) -> list[Run]:
        self.asked += 1
        if self.full:
            raise StoreFullError("the disk is full", database="rota.db")
        return self._store.settle(settlements, claims)

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


def test_a_store_that_cannot_be_written_does_not_keep_the_engine_from_stopping(tmp_path: Path, it: Blocking) -> None:
    run, stores = one_off("block"), list[Full]()

    def fill(store: RunStore) -> RunStore:
        stores.append(Full(store))
        return cast("RunStore", stores[0])

    with running(tmp_path / "rota.db", it.app, runs=fill) as engine:
        engine.accept(run)
        wait_for(lambda: engine.state(run) == "running", "it is claimed")
        stores[0].full = True
        it.go.set()
        wait_for(lambda: not engine.engine._recorder.healthy, "the recorder notices")
        ends(engine.engine.stop)
    with running(tmp_path / "rota.db", it.app) as engine:
        assert engine.ended(run).state == "succeeded"
    assert it.begun == [(run.id, 1), (run.id, 2)]


def test_a_store_that_cannot_be_written_is_not_asked_without_rest(tmp_path: Path, it: Blocking) -> None:
    it.go.set()
    stores: list[Full] = []

    def fill(store: RunStore) -> RunStore:
        stores.append(Full(store))
        return cast("RunStore", stores[0])

    with running(tmp_path / "rota.db", it.app, runs=fill) as engine:
        stores[0].full = True
        runs = [one_off("block") for _ in range(5)]
        engine.accept(*runs)
        wait_for(lambda: len(it.begun) == 5, "all have run")
        before, began = stores[0].asked, time.monotonic()
        wait_for(lambda: stores[0].asked >= before + 2, "it is tried again")
        time.sleep(0.5)
        assert stores[0].asked - before <= 5 + 4 * (time.monotonic() - began)
        stores[0].full = False
        for run in runs:
            assert engine.ended(run).state == "succeeded"
        assert len(it.begun) == 5
