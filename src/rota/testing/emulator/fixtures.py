"""pytest fixtures: `from rota.testing.emulator.fixtures import aws, emulator` in a conftest.py makes them known."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rota.testing.emulator.process import Emulator


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """AWS on this machine, for the whole session."""
    with Emulator() as running:
        yield running


@pytest.fixture
def aws(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The emulator with nothing in it, and the AWS_* environment that points to it."""
    emulator.reset()
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in emulator.environment().items():
        monkeypatch.setenv(name, value)
    return emulator
