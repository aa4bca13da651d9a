import os
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpcore
import pytest
from tests.targets.endpoint import Endpoint

from rota.targets.aws import Clients
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


@pytest.fixture
def clients(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Clients]:
    """boto3's own clients, for whom the endpoint is every service of AWS."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    ours = {
        "AWS_ENDPOINT_URL": endpoint.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    with closing(Clients()) as made:
        yield made
