"""Disks, files and clocks that misbehave under a running engine: nothing acknowledged is lost, and somebody is told."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.embedded.running import Running, SteppedClock, now, one_off, running, wait_for

from rota.app import App
from rota.core.current import current_run
from rota.core.errors import StoreCorruptError, StoreError, StoreFullError
from rota.core.payload import encode_payload
from rota.core.run import Run
from rota.core.triggers import At, Every
from rota.ports.runs import RunQuery

HOUR = 3_600_000


@pytest.fixture
def ran() -> list[str]:
    return []


@pytest.fixture
def app(ran: list[str]) -> App:
    app = App("shop")

    @app.task
    def note() -> None:
        ran.append(current_run().id)

    return app


def said(caplog: pytest.LogCaptureFixture, text: str) -> bool:
    return any(text in record.getMessage() for record in caplog.records)


def assert_no_gaps(it: Running, schedule_id: str, interval: int) -> None:
    """Each row of the ledger begins where the one before it ended."""
    rows = it.ticks(schedule_id)
    for before, row in itertools.pairwise(rows):
        assert row.scheduled == before.until + interval
    for row in rows:
        assert row.until - row.scheduled == (row.count - 1) * interval


def accept_until_it_fails(it: Running, accepted: list[Run]) -> None:
    while True:
        run = one_off("note", "x" * 100_000)
        it.accept(run)
        accepted.append(run)


@contextmanager
def no_room(it: Running) -> Iterator[None]:
    """The database cannot grow by another page."""
    writer, lock = it.file.database._writer, it.file.database._lock
    with lock:
        ((most,),) = writer.execute("PRAGMA max_page_count").fetchall()
        ((pages,),) = writer.execute("PRAGMA page_count").fetchall()
        writer.execute(f"PRAGMA max_page_count = {pages}")
    try:
        yield
    finally:
        with lock:
            writer.execute(f"PRAGMA max_page_count = {most}")


def test_a_full_disk_stops_nothing_for_good(
    tmp_path: Path, app: App, ran: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with running(tmp_path / "rota.db", app) as it:
        it.create("often", Every(0.1), "note", payload=encode_payload("x" * 100_000))
        wait_for(lambda: ran, "it ticks")
        accepted = [one_off("note", at=now() + 50) for _ in range(20)]
        it.accept(*accepted)
        with no_room(it):
            with pytest.raises(StoreFullError, match="is full; nothing was written, and rota goes on once there is r"):
                accept_until_it_fails(it, accepted)
            wait_for(lambda: said(caplog, "is full"), "the engine says that the disk is full")
        for run in accepted:
            assert it.ended(run).state == "succeeded"
        before = len(it.ticks("often"))
        wait_for(lambda: len(it.ticks("often")) > before + 2, "it ticks again")
        assert_no_gaps(it, "often", 100)
        assert it.engine.fatal is None
    assert len(set(ran)) == len(ran)


def test_a_locked_file_is_waited_for(tmp_path: Path, app: App, ran: list[str]) -> None:
    with running(tmp_path / "rota.db", app) as it, closing(sqlite3.connect(tmp_path / "rota.db")) as other:
        it.create("often", Every(0.1), "note")
        wait_for(lambda: ran, "it ticks")
        other.execute("BEGIN EXCLUSIVE")
        before = len(ran)
        at = now() + 400
        wait_for(lambda: now() > at, "time passes")
        other.execute("COMMIT")
        wait_for(lambda: len(ran) > before + 3, "it ticks again")
        assert_no_gaps(it, "often", 100)
    assert len(set(ran)) == len(ran)


@pytest.mark.slow
def test_a_file_that_stays_locked_is_reported_and_waited_for(
    tmp_path: Path, app: App, ran: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with running(tmp_path / "rota.db", app) as it, closing(sqlite3.connect(tmp_path / "rota.db")) as other:
        it.create("often", Every(0.1), "note")
        wait_for(lambda: ran, "it ticks")
        other.execute("BEGIN EXCLUSIVE")
        wait_for(lambda: said(caplog, "is locked by another process for too long"), "the engine says so")
        other.execute("COMMIT")
        before = len(ran)
        wait_for(lambda: len(ran) > before + 3, "it ticks again")
        assert_no_gaps(it, "often", 100)


def test_a_file_that_is_damaged_ends_the_engine(tmp_path: Path, app: App, ran: list[str]) -> None:
    path = tmp_path / "rota.db"
    with running(path, app) as it:
        it.file.runs.accept([one_off("note", "x" * 500, at=now() + HOUR) for _ in range(2000)])
        it.create("often", Every(0.1), "note")
        wait_for(lambda: ran, "it ticks")
        with it.file.database._lock:
            it.file.database._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            pages = path.stat().st_size // 4096
            with path.open("r+b") as file:
                for page in range(2, pages):
                    file.seek(page * 4096)
                    file.write(b"\xff" * 64)
            it.file.database._writer.execute("PRAGMA shrink_memory")
        late = [one_off("note", "x" * 500) for _ in range(10)]
        wait_for(lambda: it.engine.stopped.is_set() or _written(it, late), "the engine stops")
        assert isinstance(it.engine.fatal, StoreCorruptError)
        assert "is damaged or not a database" in str(it.engine.fatal)
        assert "restore a backup" in str(it.engine.fatal)


def _written(it: Running, runs: list[Run]) -> bool:
    """Give the engine something to read; whether it goes well does not matter."""
    try:
        it.accept(*runs)
    except (StoreError, sqlite3.Error):
        return False
    return False


def test_a_clock_that_steps_forward_makes_misfires(
    tmp_path: Path, app: App, ran: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    clock = SteppedClock()
    with running(tmp_path / "rota.db", app, clock=clock) as it:
        it.create("often", Every(0.2), "note", at=clock.now())
        soon = one_off("note", at=clock.now() + HOUR)
        it.accept(soon)
        wait_for(lambda: ran, "it ticks")
        clock.off += HOUR + 1000
        assert it.ended(soon).state == "succeeded"
        wait_for(lambda: any(row.reason == "misfire" for row in it.ticks("often")), "ticks are missed")
        before = len(ran)
        wait_for(lambda: len(ran) > before + 3, "it ticks again")
        assert_no_gaps(it, "often", 200)
        assert sum(row.count for row in it.ticks("often") if row.reason == "misfire") > 17_000
        wait_for(lambda: said(caplog, "the clock stepped by +360"), "the engine says so")
    assert len(set(ran)) == len(ran)


def test_a_clock_that_steps_back_fires_nothing_twice(
    tmp_path: Path, app: App, ran: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    clock = SteppedClock()
    with running(tmp_path / "rota.db", app, clock=clock) as it:
        it.create("often", Every(0.2), "note", at=clock.now())
        wait_for(lambda: len(ran) > 2, "it ticks")
        clock.off -= HOUR
        wait_for(lambda: said(caplog, "the clock stepped by -360"), "the engine says so")
        it.create("since", Every(0.2), "note", at=clock.now())
        soon = one_off("note", at=clock.now() + 300)
        it.accept(soon)
        assert it.ended(soon).state == "succeeded"
        wait_for(lambda: len(it.ticks("since")) > 2, "what was made since ticks")
        often = len(it.ticks("often"))
        clock.off += HOUR
        wait_for(lambda: len(it.ticks("often")) > often + 2, "it goes on when the time has come again")
        assert_no_gaps(it, "often", 200)
    assert len(set(ran)) == len(ran)


def test_no_run_is_early_by_its_own_clock(tmp_path: Path, app: App, ran: list[str]) -> None:
    clock = SteppedClock()
    clock.off = -HOUR
    with running(tmp_path / "rota.db", app, clock=clock) as it:
        it.create("once", At((clock.now() + 500) / 1000), "note", at=clock.now())
        wait_for(lambda: it.file.runs.list(RunQuery("once", "succeeded")), "it fires")
        (row,) = it.ticks("once")
        (record,) = it.file.runs.list(RunQuery("once"))
        assert record.lateness is not None
        assert record.lateness >= 0
        assert row.outcome == "fired"
