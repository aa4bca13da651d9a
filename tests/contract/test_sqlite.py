"""The SQLite stores owe what every engine's stores owe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rota.embedded.sqlite.file import SqliteFile
from rota.testing.conformance import *  # noqa: F403 - the suite


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[SqliteFile]:
    file = SqliteFile(tmp_path / "rota.db", "process")
    yield file
    assert file.check() == []
    file.close()
