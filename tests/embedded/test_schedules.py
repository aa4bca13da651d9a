"""Schedules end to end: overlap, max_executions, precision, and changes that other processes make."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.embedded.running import PATIENCE, Running, now, running, wait_for

from rota.app import App
from rota.core.current import current_run
from rota.core.run import RunRecord
from rota.core.triggers import At, Cron, Every
from rota.embedded.sqlite.file import SqliteFile
from rota.ports.runs import RunQuery
from rota.service import schedules


class Shop:
    def __init__(self) -> None:
        self.go = threading.Event()
        self.ran: list[str] = []
        self.stopped: list[str] = []
        self.going = self.most = 0
        self.app = app = App("shop")

        @app.task
        def log() -> None:
            self.ran.append(current_run().id)

        @app.task
        def block() -> None:
            self.ran.append(current_run().id)
            self.going += 1
            self.most = max(self.most, self.going)
            while not self.go.wait(0.005):
                if current_run().cancelled:
                    self.stopped.append(current_run().id)
                    break
            self.going -= 1


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def it(tmp_path: Path, shop: Shop) -> Iterator[Running]:
    with running(tmp_path / "rota.db", shop.app, grace=PATIENCE) as it:
        yield it
        shop.go.set()


def runs_of(it: Running, schedule_id: str) -> list[RunRecord]:
    """Earliest first."""
    return it.file.runs.list(RunQuery(schedule_id, limit=1000))[::-1]


def states(it: Running, schedule_id: str) -> list[str]:
    return [record.state for record in runs_of(it, schedule_id)]


def reasons(it: Running, schedule_id: str) -> list[str | None]:
    return [row.reason for row in it.ticks(schedule_id)]


def fired(it: Running, schedule_id: str) -> int:
    return sum(row.outcome == "fired" for row in it.ticks(schedule_id))


def test_overlap_allow_runs_side_by_side(it: Running, shop: Shop) -> None:
    it.create("a", Every(0.05), "block", overlap="allow")
    wait_for(lambda: shop.most >= 3, "three at once")
    assert set(reasons(it, "a")) == {None}


def test_overlap_skip_says_who_was_still_open(it: Running, shop: Shop) -> None:
    it.create("a", Every(0.05), "block", overlap="skip")
    wait_for(lambda: len(it.ticks("a")) >= 4 and shop.ran, "four ticks are decided, and the first run begins")
    rows = it.ticks("a")
    assert [row.outcome for row in rows[:4]] == ["fired", "skipped", "skipped", "skipped"]
    assert rows[1].reason == "overlap"
    assert rows[1].detail == f"{shop.ran[0]} was still open"
    shop.go.set()
    wait_for(lambda: len(shop.ran) > 1, "it fires again")


def test_overlap_queue_one_holds_the_next(it: Running, shop: Shop) -> None:
    it.create("a", Every(0.05), "block", overlap="queue_one")
    wait_for(lambda: len(it.ticks("a")) >= 4, "four ticks are decided")
    wait_for(lambda: states(it, "a") == ["running", "held"], "the first is claimed")
    assert reasons(it, "a")[:4] == [None, None, "overlap", "overlap"]
    shop.go.set()
    wait_for(lambda: states(it, "a")[:2] == ["succeeded", "succeeded"], "the held one runs")
    assert shop.most == 1


def test_overlap_queue_all_runs_every_tick_one_after_the_other(it: Running, shop: Shop) -> None:
    it.create("a", Every(0.05), "block", overlap="queue_all", max_executions=6)
    wait_for(lambda: states(it, "a") == ["running"] + ["held"] * 5, "five are held")
    shop.go.set()
    wait_for(lambda: states(it, "a") == ["succeeded"] * 6, "all run")
    assert shop.most == 1
    assert shop.ran == [record.id for record in runs_of(it, "a")]


def test_overlap_cancel_previous_asks_it_to_stop(it: Running, shop: Shop) -> None:
    it.create("a", Every(0.2), "block", overlap="cancel_previous")
    wait_for(lambda: len(shop.ran) >= 3, "three begin")
    wait_for(lambda: set(shop.ran[:2]) <= set(shop.stopped), "those before it are asked to stop")
    wait_for(lambda: states(it, "a")[:2] == ["cancelled", "cancelled"], "they end as cancelled")
    assert set(reasons(it, "a")) == {None}


def test_max_executions_is_the_number_of_firings(it: Running, shop: Shop) -> None:
    it.create("a", Every(0.05), "log", overlap="allow", max_executions=3)
    it.create("later", Every(0.05), "log", overlap="allow", max_executions=8)
    wait_for(lambda: fired(it, "later") == 8, "the other goes on")
    assert fired(it, "a") == 3
    # A tick that is late enough to be decided together with the third is on record too.
    assert set(reasons(it, "a")) <= {None, "max_executions"}
    (stored,) = it.file.schedules.get(["a"])
    assert (stored.status, stored.state.fired) == ("finished", 3)


def test_nothing_is_early(it: Running, shop: Shop) -> None:
    for index in range(20):
        it.create(f"at-{index}", At((now() + 300 + 13 * index) / 1000), "log")
    it.create("each", Cron("* * * * * ?"), "log", max_executions=1)
    wait_for(lambda: len(shop.ran) == 21, "all fire")
    wait_for(lambda: not any(it.file.runs.counts().values()), "all end")
    records = [record for index in range(20) for record in runs_of(it, f"at-{index}")] + runs_of(it, "each")
    assert len(records) == 21
    for record in records:
        assert record.lateness is not None
        assert record.lateness >= 0


def test_what_other_processes_do_is_noticed(it: Running, shop: Shop, tmp_path: Path) -> None:
    other = SqliteFile(tmp_path / "rota.db", "process")
    it.create("mine", Every(0.1), "log", overlap="allow")
    made = it.file.schedules.get(["mine"])[0].schedule
    wait_for(lambda: it.ticks("mine"), "it ticks")
    schedules.pause(other.schedules, "mine", "ann", "", now())
    decided = len(it.ticks("mine"))
    theirs = type(made)(id="theirs", trigger=Every(0.1), target=made.target, overlap="allow")
    schedules.create(other.schedules, [theirs], now())
    wait_for(lambda: len(it.ticks("theirs")) > 3, "theirs ticks")
    assert len(it.ticks("mine")) == decided
    schedules.resume(other.schedules, "mine", now())
    wait_for(lambda: len(it.ticks("mine")) > decided + 2, "mine ticks again")
    assert "paused" in reasons(it, "mine")
    schedules.delete(other.schedules, other.runs, "theirs", now())
    decided = len(it.ticks("theirs"))
    before = len(it.ticks("mine"))
    wait_for(lambda: len(it.ticks("mine")) > before + 3, "mine goes on")
    assert len(it.ticks("theirs")) == decided
    other.close()
