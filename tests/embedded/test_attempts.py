"""Attempts end to end: results, timeouts, retries, dead letters, coroutines, and endings that nobody expects."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.embedded.running import PATIENCE, Running, now, one_off, running, wait_for

from rota.app import App
from rota.core.current import current_run
from rota.core.errors import ConflictError
from rota.core.retry import Retry
from rota.core.run import Run, RunKey
from rota.embedded.pool import Attempt, Pool
from rota.system import SystemClock

SOON = Retry(attempts=3, initial=0.01, jitter="none")


class Shop:
    """An app whose tasks end in every way. go: lets those that wait go on."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.ran: list[str] = []
        self.attempts: list[int] = []
        self.together = 0
        self.all_there = asyncio.Event()
        self.app = App("shop")
        self._functions(self.app)
        self._coroutines(self.app)

    def _functions(self, app: App) -> None:

        @app.task
        def echo(payload: object) -> object:
            return payload

        @app.task
        def nothing_kept() -> object:
            return object()

        @app.task
        def leave() -> None:
            sys.exit("enough")

        @app.task(retry=SOON)
        def fail() -> None:
            self.attempts.append(current_run().attempt)
            raise ValueError("no")

        @app.task(retry=Retry(attempts=5, initial=0.01, give_up_on=(KeyError,)))
        def give_up() -> None:
            self.attempts.append(current_run().attempt)
            raise KeyError("never")

        @app.task(timeout=0.1)
        def hang() -> None:
            self.go.wait(PATIENCE)

        @app.task
        def log() -> None:
            self.ran.append(current_run().id)

    def _coroutines(self, app: App) -> None:
        @app.task
        async def gather() -> int:
            self.together += 1
            if self.together == 50:
                self.all_there.set()
            await self.all_there.wait()
            return self.together

        @app.task(timeout=0.1)
        async def hang_async() -> None:
            try:
                await asyncio.sleep(PATIENCE)
            finally:
                self.ran.append("cleaned up")

        @app.task
        async def fail_async() -> None:
            raise ValueError("no")

        @app.task
        async def sleep_async() -> None:
            await asyncio.sleep(PATIENCE)


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def it(tmp_path: Path, shop: Shop) -> Iterator[Running]:
    with running(tmp_path / "rota.db", shop.app, grace=0) as it:
        yield it


def test_what_a_task_returns_is_kept(it: Running) -> None:
    run = one_off("echo", {"a": [1, "ü"]})
    it.accept(run)
    record = it.ended(run)
    assert (record.state, record.value, record.attempt) == ("succeeded", '{"a":[1,"ü"]}'.encode(), 1)
    assert record.started is not None
    assert record.finished is not None
    assert run.due <= record.started <= record.finished


def test_what_is_not_json_is_not_kept(it: Running) -> None:
    run = one_off("nothing_kept")
    it.accept(run)
    assert (it.ended(run).state, it.ended(run).value) == ("succeeded", None)


@pytest.mark.parametrize(
    ("task", "message"),
    [("leave", "enough"), ("fail_async", "no"), ("absent", "the app's tasks are")],
)
def test_an_unhappy_ending_is_a_dead_letter(it: Running, task: str, message: str) -> None:
    runs = [one_off(task) for _ in range(15)]
    it.accept(*runs)
    for run in runs:
        assert it.ended(run).state == "failed"
        letter = it.file.runs.dead_letter(run.key)
        assert letter is not None
        assert letter.failure is not None
        assert message in letter.failure.message
    after = one_off("echo")
    it.accept(after)
    assert it.ended(after).state == "succeeded", "the workers live on"


def test_retries_up_to_the_dead_letters_and_a_redrive(it: Running, shop: Shop) -> None:
    run = one_off("fail")
    it.accept(run)
    record = it.ended(run)
    assert (record.state, record.attempt) == ("failed", 3)
    assert [row.attempt for row in record.attempts] == shop.attempts == [1, 2, 3]
    assert it.file.runs.redrive([run.key], now()) == [run.key]
    it.engine.wake()
    wait_for(lambda: len(shop.attempts) == 6, "three attempts more")
    assert it.ended(run).state == "failed"
    assert len(it.record(run).attempts) == 6


def test_some_exceptions_are_given_up_on(it: Running, shop: Shop) -> None:
    run = one_off("give_up")
    it.accept(run)
    assert it.ended(run).state == "failed"
    assert shop.attempts == [1]


def test_a_thread_that_overruns_its_timeout_is_replaced(tmp_path: Path, shop: Shop) -> None:
    with running(tmp_path / "rota.db", shop.app, workers=1) as it:
        late, after = one_off("hang"), one_off("echo")
        it.accept(late, after)
        assert it.ended(after).state == "succeeded"
        failure = it.ended(late).failure
        assert failure is not None
        assert failure.type == "TimeoutError"
        assert failure.message == "longer than the timeout of 0.1 s"
        shop.go.set()
        again = one_off("echo")
        it.accept(again)
        it.ended(again)
        assert it.state(late) == "failed", "what it returns too late is ignored"


def test_a_coroutine_that_overruns_its_timeout_is_cancelled(it: Running, shop: Shop) -> None:
    run = one_off("hang_async")
    it.accept(run)
    assert it.ended(run).state == "failed"
    wait_for(lambda: shop.ran == ["cleaned up"], "its finally is executed")


def test_coroutines_run_together_on_few_threads(tmp_path: Path, shop: Shop) -> None:
    with running(tmp_path / "rota.db", shop.app, workers=1) as it:
        runs = [one_off("gather") for _ in range(50)]
        it.accept(*runs)
        for run in runs:
            assert it.ended(run).state == "succeeded"


def test_no_more_coroutines_than_allowed(tmp_path: Path, shop: Shop) -> None:
    with running(tmp_path / "rota.db", shop.app, async_limit=3, grace=0) as it:
        it.accept(*(one_off("sleep_async") for _ in range(10)))
        wait_for(lambda: it.file.runs.counts()["running"] >= 3, "three are claimed")
        assert shop.together == 0
        plain = one_off("echo")
        it.accept(plain)
        assert it.ended(plain).state == "succeeded", "threads are still free"


def test_a_coroutine_cancelled_before_its_first_step_ends(it: Running) -> None:
    runs = [one_off("sleep_async") for _ in range(100)]
    keys: list[RunKey] = [run.key for run in runs]
    it.accept(*runs)
    while len(it.file.runs.cancelled(keys)) < len(keys) and any(it.state(run) != "cancelled" for run in runs):
        it.file.runs.cancel(keys, now())
        for key in keys:
            it.engine._pool.cancel(key)
    for run in runs:
        assert it.ended(run).state == "cancelled"
    wait_for(lambda: not it.engine._pool.running, "none is left behind")


def test_there_is_no_current_run_outside_a_task(it: Running) -> None:
    with pytest.raises(ConflictError, match="only inside a task"):
        current_run()


def test_the_pool_says_that_a_thread_is_about_to_begin(shop: Shop) -> None:
    """Else nobody would claim what begins just after the recorder has looked."""
    gate, ended, run = threading.Event(), list[Attempt](), one_off("echo")

    def at_the_gate(_run: Run) -> None:
        gate.wait(PATIENCE)

    pool = Pool(
        workers=1,
        async_limit=1,
        clock=SystemClock(),
        tasks=shop.app.tasks,
        calls={},
        timeout=at_the_gate,
        report=lambda attempt, _result: ended.append(attempt),
    )
    assert not pool.starting
    pool.put([Attempt(run.key, run)])
    assert pool.starting
    assert not pool.running
    gate.set()
    wait_for(lambda: ended, "it ends")
    wait_for(lambda: not pool.starting, "the thread rests")
    pool.drain()
