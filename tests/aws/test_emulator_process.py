"""The emulator starts, answers, and never outlives its starter."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import boto3
import httpx
import pytest
from tests.aws.lambdas import create, invoke

from rota.core.errors import InvalidError, NotFoundError, RotaError
from rota.testing.emulator import Emulator

PATIENCE = 120.0
EXECUTABLE = [sys.executable, "-m", "rota", "emulator", "--json", "--port", "0"]


def ended(pid: int) -> bool:
    """Whether a process has ended, or is a zombie that nobody waits for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until_ended(*pids: int) -> None:
    until = time.monotonic() + PATIENCE
    while not all(map(ended, pids)):
        assert time.monotonic() < until, f"still there: {[it for it in pids if not ended(it)]}"
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in found for child in file.read_text().split()]


def test_answers_and_ends() -> None:
    with Emulator() as emulator:
        assert emulator.environment()["AWS_ENDPOINT_URL"] == emulator.url
        assert emulator.counts() == {}
        emulator.check()
        with pytest.raises(RotaError, match="running already"):
            emulator.start()
    with pytest.raises(httpx.ConnectError):
        httpx.get(emulator.url)
    with pytest.raises(RotaError, match="not running"):
        emulator.counts()


def test_listens_on_loopback_alone(emulator: Emulator) -> None:
    port = httpx.URL(emulator.url).port
    assert port is not None
    mine = f":{port:04X}"
    listening = [
        line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines() if f"{mine} 00000000:0000" in line
    ]
    assert listening == [f"0100007F{mine}"]


def test_ends_with_its_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    with Emulator() as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        create("pid", "import os\ndef handler(event, context):\n    return os.getpid(), os.getppid()\n")
        _, (function, server) = invoke("pid")
    wait_until_ended(function, server)


def test_ends_when_its_starter_is_killed(tmp_path: Path) -> None:
    source = (
        "import time\n"
        "from rota.testing.emulator import Emulator\n"
        "with Emulator() as emulator:\n"
        "    print(emulator.url, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, env=_with_tmp(tmp_path)) as starter:
        assert starter.stdout is not None
        starter.stdout.readline()
        servers = children(starter.pid)
        assert len(servers) == 1
        starter.kill()
    wait_until_ended(*servers)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    source = "from rota.testing.emulator import Emulator\nwith Emulator(): pass\n"
    subprocess.run([sys.executable, "-c", source], check=True, env=_with_tmp(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_the_callers_credentials_stay_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the caller's own")
    with Emulator() as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        create("environment", "import os\ndef handler(event, context):\n    return dict(os.environ)\n")
        _, environment = invoke("environment")
    assert environment["AWS_ENDPOINT_URL"] == emulator.url
    assert "the caller's own" not in environment.values()


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidError, match=r"port: .* a free port") as refused:
            Emulator(port).start()
    assert refused.value.value == port


def test_a_port_that_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidError, match="port"):
        Emulator(70000).start()


def test_reset_empties(aws: Emulator) -> None:
    boto3.client("sqs").create_queue(QueueName="left")
    aws.faults({"sqs.ListQueues": {"code": "Nope"}})
    aws.reset()
    assert aws.counts() == {}
    assert not boto3.client("sqs").list_queues().get("QueueUrls")


def test_command_prints_the_environment_until_a_signal() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "rota", "emulator", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdout is not None
        lines = [command.stdout.readline() for _ in range(6)]
        assert lines[0].startswith("export AWS_ENDPOINT_URL=http://127.0.0.1:")
        assert "export AWS_SECRET_ACCESS_KEY=test\n" in lines
        servers = children(command.pid)
        command.send_signal(signal.SIGINT)
        _, err = command.communicate(timeout=PATIENCE)
    assert command.returncode == 0
    assert err.splitlines()[-1] == "rota: stopped"
    wait_until_ended(*servers)


def test_command_says_when_it_ends_by_itself() -> None:
    with subprocess.Popen(EXECUTABLE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        while command.stdout.readline() != "}\n":
            pass
        for server in children(command.pid):
            os.kill(server, signal.SIGKILL)
        _, err = command.communicate(timeout=PATIENCE)
    assert command.returncode == 1
    assert "the emulator has ended" in err


def test_without_the_extra_there_is_one_clear_error() -> None:
    script = "import sys; sys.modules['ministack'] = None; from rota.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", script, "emulator"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "rota: error: no module 'ministack'; the emulator is an extra: pip install 'rota[emulator]'\n"


def test_importing_the_test_kit_needs_no_extra() -> None:
    script = (
        "import sys; sys.modules['ministack'] = None\n"
        "import rota.testing, rota.testing.emulator, rota.testing.emulator.fixtures\n"
        "assert 'hypercorn' not in sys.modules and 'boto3' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert NotFoundError("module", "ministack").kind == "module"


def _with_tmp(folder: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(folder)}
