"""Faults that only a process of its own can suffer: asleep, out of room, without rights, or in a race for the file."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.crash.checker import check
from tests.crash.fire import PATIENCE, ROOT, Field, engine, field, kill, meddler, settle
from tests.crash.history import History, read_history, read_lines

from rota.embedded.sqlite.file import SqliteFile


@pytest.fixture
def place(tmp_path: Path) -> Field:
    return field(tmp_path)


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}"
        time.sleep(0.02)


@contextmanager
def served(place: Field) -> Iterator[subprocess.Popen[bytes]]:
    """An engine that works, beside a meddler; both are killed at the end, and what is left comes to its end."""
    other, serving = meddler(place, "fault"), engine(place)
    try:
        wait_for(lambda: len(read_lines(place.log)) > 50, "runs begin")
        yield serving
    finally:
        other.kill()
        other.wait()
        serving.kill()
        serving.wait()


def outcome(place: Field) -> History:
    settle(place)
    history = read_history(place.database, place.acknowledged, place.log)
    assert check(history) == []
    return history


def works_again(place: Field) -> None:
    before = len(read_lines(place.log))
    wait_for(lambda: len(read_lines(place.log)) > before + 20, "runs begin again")


def test_a_laptop_that_sleeps(place: Field) -> None:
    with served(place) as serving:
        for _ in range(3):
            serving.send_signal(signal.SIGSTOP)
            time.sleep(0.8)
            serving.send_signal(signal.SIGCONT)
            works_again(place)
    history = outcome(place)
    reasons = {row.reason for rows in history.ledger.values() for row in rows if row.ticks > 1}
    assert "misfire" in reasons


def test_no_room_and_room_again(place: Field) -> None:
    """Files of the engine may not grow, as on a full disk or over quota, while the meddler goes on writing."""
    with served(place) as serving:
        # Its log has room; the write-ahead log is beyond that already, or will be whenever it begins anew.
        most = place.log.stat().st_size + 100_000
        wal = place.database.with_name("rota.db-wal")
        wait_for(lambda: wal.stat().st_size > most, "more is written than will be allowed")
        resource.prlimit(serving.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
        wait_for(lambda: "is started" in place.errors.read_text(), "it says that nothing is started")
        assert "look at the disk, its quotas and limits of file size" in place.errors.read_text()
        assert serving.poll() is None
        resource.prlimit(serving.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        works_again(place)
        assert serving.poll() is None
    outcome(place)


def test_servers_that_race_for_a_file(place: Field) -> None:
    place.database.unlink()
    for _ in range(3):
        race(place)
    assert len([line for line in read_lines(place.log) if line.kind == "ready"]) == 3
    outcome(place)


def race(place: Field) -> None:
    """Of four servers that begin at once one serves; it is killed in the end."""
    racers = [engine(place) for _ in range(4)]
    try:
        wait_for(lambda: sum(it.poll() is None for it in racers) == 1, "all but one give up")
        (winner,) = [it for it in racers if it.poll() is None]
        assert [it.returncode for it in racers if it is not winner] == [1, 1, 1]
        works_again(place)
        assert f"is served already, by process {winner.pid} on {os.uname().nodename}" in place.errors.read_text()
        kill(winner)
    finally:
        for it in racers:
            it.kill()
            it.wait()


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that any user can reach, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="rota-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def refusal(database: Path, spare: Path) -> str:
    """What a process without special rights is told when it serves `database`."""
    found = subprocess.run(
        [sys.executable, "-m", "tests.crash.unprivileged", str(database), str(spare)],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=PATIENCE,
    )  # fmt: skip
    return found.stdout.strip()


def test_a_directory_that_may_not_be_written(public: Path, tmp_path: Path) -> None:
    SqliteFile(public / "rota.db").close()
    (public / "rota.db").chmod(0o666)
    public.chmod(0o555)
    told = refusal(public / "rota.db", tmp_path / "spare.db").splitlines()
    assert told[0] == f"serve StoreReadOnlyError: {public}/rota.db.lock cannot be written (Permission denied)"
    assert told[1].startswith(f"create StoreReadOnlyError: {public}/rota.db ")


def test_a_file_that_may_not_be_written(public: Path, tmp_path: Path) -> None:
    SqliteFile(public / "rota.db").close()
    (public / "rota.db").chmod(0o444)
    public.chmod(0o777)
    told = refusal(public / "rota.db", tmp_path / "spare.db").splitlines()
    assert told[0] == f"serve StoreReadOnlyError: {public}/rota.db cannot be written, which a server must"
    assert told[1].startswith(f"create StoreReadOnlyError: {public}/rota.db or its directory cannot be written")


def test_a_new_file_where_none_may_be_made(public: Path, tmp_path: Path) -> None:
    public.chmod(0o555)
    told = refusal(public / "rota.db", tmp_path / "spare.db").splitlines()
    assert told[0] == f"serve StoreReadOnlyError: {public}/rota.db.lock cannot be written (Permission denied)"
    assert told[1].startswith(f"create StoreReadOnlyError: {public}/rota.db cannot be opened")
    assert list(public.iterdir()) == []
