"""AWS on this machine for the connectors: one emulator a session, on a free loopback port, empty before each test."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

START_SECONDS = 30


def _python_with_emulator() -> str | None:
    """The emulator may live in an environment of its own, because it pins its own boto3."""
    named = os.environ.get("ROTA_EMULATOR_PYTHON")
    if named:
        return named
    return sys.executable if importlib.util.find_spec("ministack") else None


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_ministack/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running emulator."""
    python = _python_with_emulator()
    if python is None:
        pytest.skip(
            "ministack is not installed: pip install ministack==1.5.33, or name its Python in ROTA_EMULATOR_PYTHON"
        )
    folder = tmp_path_factory.mktemp("emulator")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = {**os.environ, "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "HOME": str(folder)}
    environment.pop("PYTHONPATH", None)
    with Path(folder / "log").open("wb") as log:
        process = subprocess.Popen([python, "-m", "ministack"], env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        until = time.monotonic() + START_SECONDS
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"the emulator did not start: {(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def aws(emulator: str) -> Iterator[str]:
    """The emulator, empty, as the endpoint of every client made meanwhile."""
    urllib.request.urlopen(urllib.request.Request(f"{emulator}/_ministack/reset", method="POST"), timeout=10).close()
    ours = {
        "AWS_ENDPOINT_URL": emulator,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    yield emulator
    for name, value in before.items():
        if value is None:
            os.environ.pop(name)
        else:
            os.environ[name] = value
