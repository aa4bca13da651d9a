"""Where benchmarks of the AWS engine run: an emulator, and stacks in it whose functions really run."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
from benchmarks.aws_app import app

from rota.aws.connect import connect_stack
from rota.aws.deploy import deployer
from rota.aws.synth import synthesize
from rota.client import Client
from rota.core.target import HttpTarget
from rota.testing.emulator import Emulator

PATIENCE = 120.0


class Stack:
    """A deployed stack."""

    def __init__(self, emulator: Emulator, name: str, outputs: dict[str, str]) -> None:
        self.emulator = emulator
        self.outputs = outputs
        self.sqs = boto3.client("sqs")
        self.client: Client = connect_stack(name, app)
        self._lambda = boto3.client("lambda")

    def feed(self) -> dict[str, Any]:
        """A pass of the deployed feeder."""
        answer = self._lambda.invoke(FunctionName=self.outputs["FeederName"], Payload=b"{}")
        said: dict[str, Any] = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, said
        return said

    def resting(self) -> None:
        """From here on the feeder runs only when it is asked to."""
        events = boto3.client("events")
        for rule in events.list_rules()["Rules"]:
            if self.outputs["FeederName"] in str(events.list_targets_by_rule(Rule=rule["Name"])["Targets"]):
                events.disable_rule(Name=rule["Name"])


@contextlib.contextmanager
def ground() -> Iterator[Emulator]:
    """An emulator, and the environment that points to it."""
    with Emulator() as emulator:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            os.environ.pop(name, None)
        os.environ.update(emulator.environment())
        yield emulator


@contextlib.contextmanager
def deployed(emulator: Emulator, name: str = "bench", **parameters: str) -> Iterator[Stack]:
    it = deployer(told=lambda _: None, noted=lambda _: None, poll=0.01)
    synthesis = synthesize(app, str(Path(__file__).with_name("aws_app.py")), None)
    made = it.execute(it.plan(name, synthesis, {"LogLevel": "ERROR"} | parameters))
    stack = Stack(emulator, name, made.outputs)
    try:
        yield stack
    finally:
        emulator.faults({})
        stack.client.close()
        it.destroy(name)


class Consumer:
    """Threads that read a queue, and note when each message came, in epoch seconds, by what `key` says of it."""

    def __init__(self, url: str, key: Callable[[dict[str, Any]], str], threads: int = 2) -> None:
        self.came: dict[str, float] = {}
        self._url = url
        self._key = key
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._read, daemon=True) for _ in range(threads)]
        for one in self._threads:
            one.start()

    def stop(self) -> None:
        self._over.set()
        for one in self._threads:
            one.join()

    def _read(self) -> None:
        sqs = boto3.session.Session().client("sqs")
        while not self._over.is_set():
            found = sqs.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=2, MessageAttributeNames=["All"]
            ).get("Messages", ())
            now = time.time()
            for one in found:
                self.came.setdefault(self._key(one), now)
            if found:
                gone = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(found)]
                sqs.delete_message_batch(QueueUrl=self._url, Entries=gone)


class Endpoint:
    """An HTTP endpoint on this machine; `came` is when each run called, in epoch seconds."""

    def __init__(self) -> None:
        self.came: dict[str, float] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer.came.setdefault(self.headers["rota-run"], time.time())
                self.rfile.read(int(self.headers.get("content-length", 0)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 128

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def target(self) -> HttpTarget:
        return HttpTarget(f"http://127.0.0.1:{self._server.server_port}/", allow_private=True)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def until(holds: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise SystemExit(f"{what} did not come")
        time.sleep(0.1)


def load() -> str:
    """What else the machine does, for who reads the figures."""
    return f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}"
