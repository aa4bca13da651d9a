"""A place for each test, and AWS on this machine for those that ask for `aws`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.batch.running import Place

from rota.testing.emulator.fixtures import aws, emulator

__all__ = ["aws", "emulator", "place"]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)
