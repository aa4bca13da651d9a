"""The file: opened by many at once, migrated, told from others' files, checked and copied."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

import pytest
from tests.embedded.running import one_off

from rota.core.errors import (
    InvalidError,
    RotaError,
    StoreCorruptError,
    StoreLockedError,
    StoreReadOnlyError,
    StoreVersionError,
)
from rota.core.run import Run
from rota.embedded.lock import ServerLock, holder_of
from rota.embedded.sqlite.file import SqliteFile
from rota.embedded.sqlite.migrate import APPLICATION_ID, migrations, statements


def schema(path: Path) -> list[tuple[str, str]]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").fetchall()
    connection.close()
    return rows


def make(path: Path, *script: str) -> None:
    connection = sqlite3.connect(path)
    for statement in script:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_many_may_open_a_new_file_at_the_same_time(tmp_path: Path) -> None:
    for attempt in range(25):
        path, errors, start = tmp_path / f"{attempt}.db", list[RotaError](), threading.Barrier(6)

        def open_it(path: Path = path, errors: list[RotaError] = errors, start: threading.Barrier = start) -> None:
            start.wait()
            try:
                SqliteFile(path, "process").close()
            except RotaError as error:
                errors.append(error)

        threads = [threading.Thread(target=open_it) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []


def test_a_migrated_file_has_the_schema_of_a_new_one(tmp_path: Path) -> None:
    SqliteFile(tmp_path / "new.db").close()
    for upto in range(len(migrations())):
        old = tmp_path / f"{upto}.db"
        done = [statement for _, sql in migrations()[: upto + 1] for statement in statements(sql)]
        make(old, *done, f"PRAGMA user_version = {migrations()[upto][0]}", f"PRAGMA application_id = {APPLICATION_ID}")
        file = SqliteFile(old)
        assert file.version == migrations()[-1][0]
        file.close()
        assert schema(old) == schema(tmp_path / "new.db")


def test_a_newer_file_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "rota.db"
    SqliteFile(path).close()
    make(path, "PRAGMA user_version = 999")
    before = path.read_bytes()
    with pytest.raises(StoreVersionError, match=r"rota\.db has schema 999, this rota knows up to \d+; upgrade rota"):
        SqliteFile(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "script",
    [("CREATE TABLE t (x)",), ("PRAGMA application_id = 42",), ("PRAGMA application_id = 42", "CREATE TABLE t (x)")],
)
def test_another_programs_file_is_refused_untouched(tmp_path: Path, script: tuple[str, ...]) -> None:
    path = tmp_path / "theirs.db"
    make(path, *script)
    before = path.read_bytes()
    with pytest.raises(StoreCorruptError, match="is a database of another program; give rota a file of its own"):
        SqliteFile(path)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["theirs.db"]


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreReadOnlyError, match="is a directory"):
        SqliteFile(tmp_path)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreReadOnlyError, match="does its directory exist"):
        SqliteFile(tmp_path / "nowhere" / "rota.db")


def test_one_server_to_a_file(tmp_path: Path) -> None:
    first = ServerLock(tmp_path / "rota.db")
    with pytest.raises(StoreLockedError, match=r"is served already, by process \d+ on .+; stop that one first"):
        ServerLock(tmp_path / "rota.db")
    first.release()
    ServerLock(tmp_path / "rota.db").release()


def test_anyone_can_tell_who_has_a_file_and_for_what(tmp_path: Path) -> None:
    path = tmp_path / "rota.db"
    assert holder_of(path) is None
    server = ServerLock(path)
    found = holder_of(path)
    assert found is not None
    assert (found.who.split()[:2], found.only) == (["process", str(os.getpid())], None)
    assert found.carries("orders@1")
    server.release()
    assert holder_of(path) is None
    command = ServerLock(path, only="")
    assert holder_of(path) == (found.who, "")
    command.carry("orders@1")
    found = holder_of(path)
    assert found is not None
    assert (found.carries("orders@1"), found.carries("orders@2")) == (True, False)
    with pytest.raises(StoreLockedError, match=r"which carries out a batch run \(orders@1\)"):
        ServerLock(path)
    command.release()


def test_garbage_in_the_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rota.db"
    SqliteFile(path).close()
    path.write_bytes(b"no database at all" + path.read_bytes()[18:])
    with pytest.raises(StoreCorruptError, match="is damaged or not a database"):
        SqliteFile(path)


def damage(path: Path) -> None:
    """Garbage in every page behind those that hold the schema and the roots of tables."""
    content = bytearray(path.read_bytes())
    for page in range(60, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(content)


def test_garbage_in_the_middle_is_found_by_check(tmp_path: Path) -> None:
    path = tmp_path / "rota.db"
    file = SqliteFile(path)
    file.runs.accept([one_off("t", "x" * 500) for _ in range(2000)])
    assert file.check() == []
    file.close()
    damage(path)
    file = SqliteFile(path)
    assert file.check() != []
    file.close()


def test_a_backup_is_a_sound_copy_made_while_others_write(tmp_path: Path) -> None:
    file, stop, accepted = SqliteFile(tmp_path / "rota.db", "process"), threading.Event(), list[Run]()

    def write() -> None:
        while not stop.is_set():
            run = one_off("t")
            file.runs.accept([run])
            accepted.append(run)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        while len(accepted) < 100:
            stop.wait(0.001)
        before = len(accepted)
        file.backup(tmp_path / "copy.db")
    finally:
        stop.set()
        thread.join()
    copy = SqliteFile(tmp_path / "copy.db")
    assert copy.check() == []
    assert copy.runs.counts()["pending"] >= before
    with pytest.raises(InvalidError, match="a file that does not exist yet"):
        file.backup(tmp_path / "copy.db")
    copy.close()
    file.close()


def test_many_writers_share_commits_and_each_is_kept(tmp_path: Path) -> None:
    file, failures = SqliteFile(tmp_path / "rota.db"), list[RotaError]()
    mine = [[one_off("t") for _ in range(30)] for _ in range(16)]
    taken = one_off("t")
    file.runs.accept([taken])

    def write(runs: list[Run]) -> None:
        for run in runs:
            file.runs.accept([run])
        try:
            file.runs.accept([taken])
        except RotaError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(runs,)) for runs in mine]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 16, "work that fails is undone alone"
    assert {run.id for run in file.runs.due(1 << 50, 10_000)} == {run.id for runs in mine for run in runs} | {taken.id}
    file.close()
