"""Many threads write through one Database: all that was acknowledged is there, and what raised is undone alone."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from rota.embedded.sqlite.connection import Database

THREADS, WRITES = 12, 60


@pytest.fixture
def database(tmp_path: Path) -> Database:
    found = Database(tmp_path / "it.db", "process")
    found.write(lambda connection: connection.execute("CREATE TABLE it (n INTEGER PRIMARY KEY)"))
    return found


def put(database: Database, n: int, *, fail: bool = False) -> int:
    def work(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO it VALUES (?)", (n,))
        if fail:
            raise ValueError(n)
        return n

    return database.write(work)


def rows(database: Database) -> set[int]:
    return {n for (n,) in database.read("SELECT n FROM it")}


def test_every_caller_gets_its_own_answer_and_failures_stay_alone(database: Database) -> None:
    wrong: list[object] = []

    def write(first: int) -> None:
        for n in range(first, first + WRITES):
            try:
                if put(database, n, fail=n % 7 == 0) != n or n % 7 == 0:
                    wrong.append(n)
            except ValueError as error:
                if error.args != (n,) or n % 7:
                    wrong.append(error)

    threads = [threading.Thread(target=write, args=(1000 * k,)) for k in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
    expected = {1000 * k + n for k in range(THREADS) for n in range(WRITES)}
    assert rows(database) == {n for n in expected if n % 7}


def test_who_waits_is_carried_along_by_who_leads(database: Database) -> None:
    inside, go = threading.Event(), threading.Event()

    def slow(_connection: sqlite3.Connection) -> None:
        inside.set()
        assert go.wait(30)

    leader = threading.Thread(target=database.write, args=(slow,))
    leader.start()
    assert inside.wait(30)
    followers = [threading.Thread(target=put, args=(database, n)) for n in range(5)]
    for thread in followers:
        thread.start()
    assert rows(database) == set()
    go.set()
    for thread in (leader, *followers):
        thread.join(30)
    assert rows(database) == set(range(5))


def test_an_interrupt_in_the_lead_passes_the_lead_on(database: Database) -> None:
    def interrupted(_connection: sqlite3.Connection) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        database.write(interrupted)
    assert put(database, 1) == 1
    assert rows(database) == {1}
