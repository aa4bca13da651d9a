"""The in-memory stores owe what every engine's stores owe."""

from __future__ import annotations

import pytest

from rota.testing import MemoryStores
from rota.testing.conformance import *  # noqa: F403 - the suite


@pytest.fixture
def stores() -> MemoryStores:
    return MemoryStores()
