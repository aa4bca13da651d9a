"""A deployed stack whose functions really run, and the hands to work with it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import boto3
import httpx
import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ClientError
from tests.aws.stack.shop import app

from rota.aws.connect import connect_stack
from rota.aws.deploy import Deployer, deployer
from rota.aws.stacks import Stack
from rota.aws.synth import Synthesis, synthesize
from rota.client import Client
from rota.core.run import OUTCOMES, RunRecord
from rota.core.target import HttpTarget
from rota.testing.emulator import Emulator

PATIENCE = 180.0
"""Seconds; a deadline only ends a test that fails."""
T = TypeVar("T")


@cache
def synthesis() -> Synthesis:
    """The stack of the app, with what is installed here."""
    return synthesize(app, str(Path(__file__).with_name("shop.py")), None)


def quiet_deployer() -> Deployer:
    return deployer(told=lambda _: None, noted=lambda _: None, poll=0.01)


class Site:
    """One stack in `emulator`. The environment says where that is."""

    def __init__(self, emulator: Emulator, name: str, stack: Stack) -> None:
        self.emulator: Emulator = emulator
        self.name: str = name
        self.outputs: dict[str, str] = stack.outputs
        self.sqs: Any = boto3.client("sqs")
        self.functions: Any = boto3.client("lambda")
        self.client: Client = connect_stack(name, app)

    def feed(self) -> Any:
        """A pass of the feeder; what it answers."""
        return self.invoke(self.outputs["FeederName"], {})

    def adhoc(self, event: object) -> Any:
        """What the ad-hoc function answers when it is invoked."""
        return self.invoke(self.outputs["AdHocName"], event)

    def invoke(self, function: str, event: object) -> Any:
        """AssertionError with the function's error if it has one."""
        answer = self.functions.invoke(FunctionName=function, Payload=json.dumps(event))
        said = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, said
        return said

    def post(self, event: object, *, signed: bool = True) -> httpx.Response:
        """What the Function URL answers to who signs with IAM's credentials, or does not."""
        asked = AWSRequest("POST", self.emulator.local_url(self.outputs["AdHocUrl"]), data=json.dumps(event))
        if signed:
            SigV4Auth(boto3.Session().get_credentials(), "lambda", self.outputs["Region"]).add_auth(asked)
        headers = dict(asked.headers.items())
        return httpx.post(str(asked.url), content=asked.body, headers=headers, timeout=PATIENCE)

    def received(self, url: str, count: int = 1, wait: float = PATIENCE) -> list[dict[str, Any]]:
        """Messages that were on a queue until `count` had come, each taken from it once; `at`: when, epoch ms."""
        found: list[dict[str, Any]] = []
        end = time.monotonic() + wait
        while len(found) < count and time.monotonic() < end:
            answer = self.sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageAttributeNames=["All"]
            )
            for message in answer.get("Messages", ()):
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                found.append({**message, "at": round(time.time() * 1000)})
        return found

    def data(self, count: int = 1, wait: float = PATIENCE) -> list[dict[str, Any]]:
        """Of the stack's queue `data`."""
        return self.received(self.outputs["DataQueueUrl"], count, wait)

    def ended(self, run: str) -> RunRecord:
        """The record of a run once it has come to an end."""
        return self.until(lambda: it if (it := self.client.runs.get(run)).state in OUTCOMES else None, f"end of {run}")

    def unfinished(self, schedule: str) -> list[RunRecord]:
        """The runs of a schedule that have not come to an end."""
        return [it for it in self.client.runs.list(schedule=schedule, limit=1000) if it.state not in OUTCOMES]

    def until(self, holds: Callable[[], T | None], what: str, wait: float = PATIENCE) -> T:
        """What `holds` answers, once that is something."""
        end = time.monotonic() + wait
        while True:
            found = holds()
            if found:
                return found
            assert time.monotonic() < end, f"{what} did not come\n{self.emulator.log()[-3000:]}"
            time.sleep(0.1)

    def feed_somehow(self) -> None:
        """A pass of the feeder, which may fail."""
        with suppress(AssertionError, BotoCoreError, ClientError):
            self.feed()

    def function(self, output: str, timeout: int | None = None, **environment: str) -> None:
        """Set what a function may take, in seconds, and add to its environment."""
        name = self.outputs[output] if output in self.outputs else self.named(output)
        now = self.functions.get_function_configuration(FunctionName=name)
        variables = now["Environment"]["Variables"] | environment
        self.functions.update_function_configuration(
            FunctionName=name, Timeout=timeout or now["Timeout"], Environment={"Variables": variables}
        )

    def named(self, resource: str) -> str:
        """The name of the function with this name in the template."""
        found = boto3.client("cloudformation").describe_stack_resources(StackName=self.name, LogicalResourceId=resource)
        return str(found["StackResources"][0]["PhysicalResourceId"])

    def mapping(self, queue: str) -> str:
        """The id of what hands messages of the queue with this output to its function."""
        asked = self.sqs.get_queue_attributes(QueueUrl=self.outputs[queue], AttributeNames=["QueueArn"])
        found = self.functions.list_event_source_mappings(EventSourceArn=asked["Attributes"]["QueueArn"])
        return str(found["EventSourceMappings"][0]["UUID"])

    def resting(self) -> None:
        """The rule that calls the feeder is off: from here on it runs when it is asked to."""
        events = boto3.client("events")
        for rule in events.list_rules()["Rules"]:
            if self.outputs["FeederName"] in str(events.list_targets_by_rule(Rule=rule["Name"])["Targets"]):
                events.disable_rule(Name=rule["Name"])

    def hasty(self, timeout: int = 8) -> None:
        """What was cut off is looked at again after seconds, which takes minutes as the template has it. As often as it
        takes: on a slow machine so short a time is over before all is done, again and again."""
        for function, queue in (("Dispatcher", "DispatchQueueUrl"), ("Worker", "WorkerQueueUrl")):
            self.function(function, timeout)
            asked = self.sqs.get_queue_attributes(QueueUrl=self.outputs[queue], AttributeNames=["RedrivePolicy"])
            policy = json.loads(asked["Attributes"]["RedrivePolicy"]) | {"maxReceiveCount": 1000}
            self.sqs.set_queue_attributes(
                QueueUrl=self.outputs[queue],
                Attributes={"VisibilityTimeout": str(timeout), "RedrivePolicy": json.dumps(policy)},
            )


@contextmanager
def deployed(emulator: Emulator, name: str, **parameters: str) -> Iterator[Site]:
    """A stack of this name, gone afterwards."""
    it = quiet_deployer()
    few = {"DispatcherConcurrency": "2", "WorkerConcurrency": "2", "AdHocConcurrency": "2"}
    site = Site(emulator, name, it.execute(it.plan(name, synthesis(), few | parameters)))
    try:
        site.client.sync(app)
        yield site
    finally:
        emulator.faults({})
        site.client.close()
        it.destroy(name)


class Call(msgspec.Struct, frozen=True):
    """A request that the endpoint got. at: epoch seconds."""

    run: str
    at: float
    body: bytes
    headers: dict[str, str]


class Endpoint:
    """An HTTP endpoint on this machine that notes who calls. failing: so many requests are answered with 503 first."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.failing = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                at = time.time()
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.calls.append(Call(headers.get("rota-run", ""), at, body, headers))
                failing, outer.failing = outer.failing > 0, max(0, outer.failing - 1)
                self.send_response(503 if failing else 200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def target(self) -> HttpTarget:
        return HttpTarget(f"http://127.0.0.1:{self._server.server_port}/hook", allow_private=True)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
