"""One deployed stack for all tests here that leave it as it was, and one of its own for each that does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.aws.stack.site import Endpoint, Site, deployed

from rota.testing.emulator import Emulator


@pytest.fixture(scope="session")
def ground() -> Iterator[Emulator]:
    """An emulator for stacks alone, which no test empties, with the environment that points to it."""
    with Emulator() as running:
        yield running


@pytest.fixture(autouse=True)
def surroundings(ground: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ground.environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def _shared(ground: Emulator) -> Iterator[Site]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ground.environment().items():
            patch.setenv(name, value)
        with deployed(ground, "shop", LargePayloads="yes") as site:
            site.feed()
            yield site


@pytest.fixture
def site(_shared: Site) -> Site:
    """The stack of all, whose feeder has passed: it looks 150 seconds ahead."""
    return _shared


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    yield made
    made.close()
