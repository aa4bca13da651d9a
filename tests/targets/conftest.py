import ssl
from collections.abc import Iterator
from contextlib import closing

import httpcore
import pytest
from tests.targets.endpoint import Endpoint

from rota.targets.http import HttpCall, http_call


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint().serving() as served:
        yield served


@pytest.fixture(scope="session")
def tls() -> ssl.SSLContext:
    """What a call trusts by default; made once, as reading all the certificates takes longer than most tests."""
    return httpcore.default_ssl_context()


@pytest.fixture
def call(tls: ssl.SSLContext) -> Iterator[HttpCall]:
    with closing(http_call(tls=tls)) as made:
        yield made
