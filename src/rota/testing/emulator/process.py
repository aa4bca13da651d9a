"""`Emulator`: AWS on this machine, as a process that lives as long as it is used."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec

from rota.core.errors import InvalidError, NotFoundError, RotaError
from rota.testing.emulator.count import Count
from rota.testing.emulator.fault import Fault

LOOPBACK = "127.0.0.1"
REGION = "us-east-1"
_PATIENCE = 120.0
_ANSWER = 120.0
"""Seconds; a machine on which much else runs lets it wait."""
_GRACE = 5.0
_EXTRA = ("ministack", "samtranslator")


class Emulator:
    """AWS on a loopback port, functions included. A context manager:

        with Emulator() as emulator:
            boto3.client("sqs", endpoint_url=emulator.url, ...)

    port: 0 for a free one. log_level: of the emulator's own log, which `log` gives.
    NotFoundError if the extra rota[emulator] is not installed, InvalidError if the port is taken.
    """

    def __init__(self, port: int = 0, *, log_level: str = "WARNING") -> None:
        self._port: int = port
        self._log_level: str = log_level
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path = Path()
        self._http: httpx.Client | None = None
        self.url: str = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and wait until it answers. RotaError if it ends, or does not within two minutes."""
        if self._process is not None:
            raise RotaError("the emulator is running already")
        for module in _EXTRA:
            if importlib.util.find_spec(module) is None:
                raise NotFoundError("module", module, "the emulator is an extra: pip install 'rota[emulator]'")
        with _bound(self._port) as listener:
            port = listener.getsockname()[1]
            self._folder = Path(tempfile.mkdtemp(prefix="rota-emulator-"))
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(  # noqa: S603 - this very package
                    [sys.executable, "-P", "-m", "rota.testing.emulator.server", str(listener.fileno())],
                    env=self._surroundings(port),
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    pass_fds=[listener.fileno()],
                    start_new_session=True,
                )
        self.url = f"http://{LOOPBACK}:{port}"
        self._http = httpx.Client(base_url=self.url, timeout=_ANSWER, trust_env=False)
        try:
            self._wait(self._http, self._process)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it, the functions that it runs, and remove its files."""
        if self._http is not None:
            self._http.close()
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            shutil.rmtree(self._folder, ignore_errors=True)
        self._process = self._http = None

    def check(self) -> None:
        """RotaError if it has ended by itself."""
        if self._process is None or self._process.poll() is not None:
            raise RotaError(f"the emulator has ended: {self.log().strip()[-2000:]}")

    def environment(self) -> dict[str, str]:
        """What AWS's libraries and tools read to use it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",  # or StartSyncExecution goes to sync-127.0.0.1
        }

    def local_url(self, function_url: str) -> str:
        """Where a function answers whose URL is https://ID.lambda-url.REGION.on.aws/..."""
        url = httpx.URL(function_url)
        return f"{self.url}/_aws/lambda-url/{url.host.partition('.')[0]}{url.raw_path.decode()}"

    def reset(self) -> None:
        """Delete everything in it, take faults back and forget the counts."""
        self.faults({})
        self._post("/_ministack/reset")
        self.reset_counts()

    def counts(self) -> dict[str, Count]:
        """What was asked for since the last reset, by name: "sqs.SendMessage"; "internal.sqs.ReceiveMessage" and others
        are what AWS does by itself; "internal.lambda.Execute:NAME" are the executions of a function."""
        answer = self._client.get("/_rota/counts").raise_for_status()
        return msgspec.json.decode(answer.content, type=dict[str, Count])

    def billed(self) -> dict[str, float]:
        """What AWS would bill for it all, by the units of `rota.aws.prices`: write_units, queue_requests, invocations,
        gb_seconds, transitions, express_requests, object_writes ..."""
        answer = self._client.get("/_rota/billed").raise_for_status()
        return msgspec.json.decode(answer.content, type=dict[str, float])

    def reset_counts(self) -> None:
        """Count from nothing again."""
        self._post("/_rota/counts/reset")

    def faults(self, faults: Mapping[str, Fault | Mapping[str, Any]]) -> None:
        """Replace all injected faults: {"sqs.SendMessage": Fault(p=0.3, code="RequestThrottled")}. The names are those
        of counts, "sqs.*" for a service and "*" for all. InvalidError for a fault that there is not."""
        try:
            checked = msgspec.convert(msgspec.to_builtins(dict(faults)), dict[str, Fault])
        except msgspec.ValidationError as error:
            raise InvalidError("faults", dict(faults), str(error)) from None
        self._post("/_rota/faults", msgspec.json.encode(checked))

    def log(self) -> str:
        """What the emulator and the functions in it wrote."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    @property
    def _client(self) -> httpx.Client:
        if self._http is None:
            raise RotaError("the emulator is not running: call start(), or use it as a context manager")
        return self._http

    def _post(self, path: str, body: bytes = b"") -> None:
        self._client.post(path, content=body).raise_for_status()

    def _surroundings(self, port: int) -> dict[str, str]:
        """The environment of the process: none of the caller's credentials, nothing outside its folder."""
        kept = {name: it for name, it in os.environ.items() if not name.startswith(("AWS_", "ROTA_", "PYTHONPATH"))}
        return kept | {
            "GATEWAY_PORT": str(port),
            "HOME": str(self._folder),
            "IOT_MTLS_ENABLED": "0",
            "LAMBDA_EXECUTOR": "local",
            "LOG_LEVEL": self._log_level,
            "S3_DATA_DIR": str(self._folder / "s3"),
            "SFTP_ENABLED": "0",
            "TMPDIR": str(self._folder),
        }

    def _wait(self, http: httpx.Client, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + _PATIENCE
        while process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(httpx.TransportError):
                if http.get("/_ministack/health", timeout=5).status_code == httpx.codes.OK:
                    return
            time.sleep(0.02)
        why = self.log().strip()[-2000:] or f"no answer within {_PATIENCE:g} seconds"
        raise RotaError(f"the emulator did not start: {why}")


def _bound(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise InvalidError("port", port, f"a free port, or 0 for any ({error})") from None
    return listener
