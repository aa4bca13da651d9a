"""A cancelled run is not started, wherever it waits, and one that runs is not tried again."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from tests.embedded.running import SteppedClock, now, one_off, running, wait_for

from rota.app import App
from rota.core.current import current_run
from rota.core.retry import Retry
from rota.core.run import Claim, Run
from rota.embedded.sqlite.file import SqliteFile
from rota.ports.runs import RunStore


def make_app(go: threading.Event, ran: list[str]) -> App:
    app = App("shop")

    @app.task
    def block() -> None:
        ran.append(current_run().id)
        go.wait(20)

    @app.task(retry=Retry(attempts=5, initial=0, maximum=0))
    def fail() -> None:
        ran.append(current_run().id)
        go.wait(20)
        raise ValueError("no")

    @app.task
    def obey() -> None:
        ran.append(current_run().id)
        while not current_run().cancelled:
            go.wait(0.01)

    return app


class Unclaiming:
    """A store that was never asked to claim what runs, as in the first milliseconds of an attempt."""

    def __init__(self, store: RunStore) -> None:
        self._store = store

    @classmethod
    def over(cls, store: RunStore) -> RunStore:
        return cast("RunStore", cls(store))

    def claim(self, claims: Sequence[Claim]) -> list[bool]:
        return [True] * len(claims)

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


def cancel_elsewhere(path: Path, run: Run) -> None:
    """As another process does it."""
    other = SqliteFile(path, "process")
    assert other.runs.cancel([run.key], now()) == [run.key]
    other.close()


def test_a_run_that_waits_for_a_worker_is_not_started(tmp_path: Path) -> None:
    go, ran = threading.Event(), list[str]()
    with running(tmp_path / "rota.db", make_app(go, ran), workers=1) as it:
        first, second, third = one_off("block"), one_off("block"), one_off("block")
        it.accept(first)
        wait_for(lambda: it.state(first) == "running", "the first is claimed")
        it.accept(second, third)
        wait_for(lambda: len(it.engine._pool._ready) == 2, "the others wait for the worker")
        cancel_elsewhere(tmp_path / "rota.db", second)
        wait_for(lambda: second.key not in it.engine._near_runs.known, "it is noticed")
        go.set()
        it.ended(third)
        assert ran == [first.id, third.id]
        assert it.state(second) == "cancelled"


def test_a_run_that_is_nearly_due_is_not_started(tmp_path: Path) -> None:
    go, ran, clock = threading.Event(), list[str](), SteppedClock()
    go.set()
    # Their time comes when the clock is set forward, so that it cannot come before the cancellation.
    with running(tmp_path / "rota.db", make_app(go, ran), clock=clock, horizon=60) as it:
        soon, later = one_off("block", at=now() + 50_000), one_off("block", at=now() + 50_100)
        it.accept(soon, later)
        wait_for(lambda: len(it.engine._near_runs.known) == 2, "both are in the near tier")
        cancel_elsewhere(tmp_path / "rota.db", soon)
        wait_for(lambda: soon.key not in it.engine._near_runs.known, "it is noticed")
        clock.off = 51_000
        it.ended(later)
        assert ran == [later.id]


def test_a_failed_attempt_of_a_run_cancelled_before_its_claim_is_not_followed_by_another(tmp_path: Path) -> None:
    go, ran = threading.Event(), list[str]()
    with running(tmp_path / "rota.db", make_app(go, ran), runs=Unclaiming.over) as it:
        run = one_off("fail")
        it.accept(run)
        wait_for(lambda: ran, "it begins")
        cancel_elsewhere(tmp_path / "rota.db", run)
        go.set()
        wait_for(lambda: not it.engine._near_runs.known, "it is settled")
        probe = one_off("block")
        it.accept(probe)
        it.ended(probe)
        assert ran == [run.id, probe.id]
        assert it.state(run) == "cancelled"


def test_a_running_task_is_told_by_another_process(tmp_path: Path) -> None:
    go, ran = threading.Event(), list[str]()
    with running(tmp_path / "rota.db", make_app(go, ran)) as it:
        run = one_off("obey")
        it.accept(run)
        wait_for(lambda: it.state(run) == "running", "it is claimed")
        cancel_elsewhere(tmp_path / "rota.db", run)
        assert it.ended(run).state == "cancelled"


class SlowToClaim(Unclaiming):
    """A store in which the first claim comes too late: somebody cancelled the run."""

    def claim(self, claims: Sequence[Claim]) -> list[bool]:
        self._store.cancel([claim.run.key for claim in claims], now())
        return self._store.claim(claims)


def test_a_run_cancelled_before_its_claim_is_told_and_stays_cancelled(tmp_path: Path) -> None:
    go, ran = threading.Event(), list[str]()
    with running(tmp_path / "rota.db", make_app(go, ran), runs=SlowToClaim.over) as it:
        run = one_off("obey")
        it.accept(run)
        wait_for(lambda: ran and not it.engine._pool.running, "it obeys")
        wait_for(lambda: not it.engine._near_runs.known, "its end is noticed")
        assert it.state(run) == "cancelled"
