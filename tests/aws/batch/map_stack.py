"""What a batch run with the topology map needs of a stack, in the emulator, without a template."""

from __future__ import annotations

import io
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import boto3

from rota.app import App
from rota.aws.batch.assembly import BatchParts, batch_parts
from rota.aws.batch.map_machine import machine
from rota.aws.batch.settings import BatchSettings
from rota.aws.dynamo.schema import create_table
from rota.aws.engine import parts_of
from rota.aws.settings import StackSettings
from rota.client.batches import Batches
from rota.core.batch import BatchRun
from rota.system import SystemClock

ROLE = "arn:aws:iam::000000000000:role/map"
BUCKET = "shop-bucket"
QUEUES = ("chunks.fifo", "plan", "finalize", "failures", "told", "dispatch", "worker")


class MapStack:
    """Table, bucket, queues, both functions of maps and their state machine. The rest is called by `turn`."""

    def __init__(self, app: App, module: str, source: Path) -> None:
        self.s3: Any = boto3.client("s3")
        self.sqs: Any = boto3.client("sqs")
        self.states: Any = boto3.client("stepfunctions")
        self.s3.create_bucket(Bucket=BUCKET)
        create_table(boto3.client("dynamodb"), "shop")
        self.queues: dict[str, str] = {name: self._queue(f"shop-{name}") for name in QUEUES}
        prefix = self.queues["told"].removesuffix("told")
        stack = StackSettings(
            stack="shop",
            table="shop",
            dispatch_queue=self.queues["dispatch"],
            worker_queue=self.queues["worker"],
            queue_prefix=prefix,
            bucket=BUCKET,
        )
        environment = {
            "ROTA_STACK": "shop",
            "ROTA_TABLE": "shop",
            "ROTA_DISPATCH_QUEUE_URL": stack.dispatch_queue,
            "ROTA_WORKER_QUEUE_URL": stack.worker_queue,
            "ROTA_QUEUE_PREFIX": prefix,
            "ROTA_BUCKET": BUCKET,
            "ROTA_APP": module,
            "ROTA_BATCH_QUEUE_URL": self.queues["chunks.fifo"],
            "ROTA_PLAN_QUEUE_URL": self.queues["plan"],
            "ROTA_FINALIZE_QUEUE_URL": self.queues["finalize"],
        }
        mapper = self._function("shop-mapper", "mapper", environment, source)
        worker = self._function("shop-mapworker", "mapworker", environment, source)
        made = self.states.create_state_machine(
            name="shop-maps",
            definition=json.dumps(machine(mapper, worker, self.queues["failures"])),
            roleArn=ROLE,
            type="STANDARD",
        )
        settings = BatchSettings(
            chunks=self.queues["chunks.fifo"],
            plan=self.queues["plan"],
            finalize=self.queues["finalize"],
            bucket=BUCKET,
            machine=made["stateMachineArn"],
        )
        self.app = app
        self.batches: BatchParts = batch_parts(parts_of(stack), settings)
        self.planner: Any = self.batches.planner(app)
        self.client = Batches(
            self.batches.looking_store, SystemClock(), app.batches, self.batches.around, lambda: None, time.sleep
        )

    def _queue(self, name: str) -> str:
        more = {"Attributes": {"FifoQueue": "true"}} if name.endswith(".fifo") else {}
        return str(self.sqs.create_queue(QueueName=name, **more)["QueueUrl"])

    def _function(self, name: str, module: str, environment: dict[str, str], source: Path) -> str:
        code = f"from rota.aws.handlers.{module} import handler\n"
        text = {"code_of_function": code, source.stem: source.read_text()}
        made = boto3.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.12",
            Role=ROLE,
            Handler="code_of_function.handler",
            Code={"ZipFile": _bundle(text)},
            Timeout=60,
            Environment={"Variables": environment},
        )
        return str(made["FunctionArn"])

    def put(self, key: str, body: bytes) -> str:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        return f"s3://{BUCKET}/{key}"

    def messages(self, name: str) -> list[str]:
        """Take what is in a queue."""
        found: list[str] = []
        while batch := self.sqs.receive_message(
            QueueUrl=self.queues[name], MaxNumberOfMessages=10, WaitTimeSeconds=0
        ).get("Messages"):
            for one in batch:
                found.append(one["Body"])
                self.sqs.delete_message(QueueUrl=self.queues[name], ReceiptHandle=one["ReceiptHandle"])
        return found

    def turn(self) -> None:
        """Let planner and finalizer deal with what they have been sent."""
        for body in self.messages("plan"):
            self.planner.handle(body, 1, lambda: 60_000)
        for body in self.messages("finalize"):
            self.batches.finalizer().handle(body, 1)

    def ended(self, id: str, seconds: float = 180) -> BatchRun:
        """The batch run, once it and its execution have ended."""
        self.turn()
        until = time.monotonic() + seconds
        while self.client.get(id).is_open or any(it["status"] == "RUNNING" for it in self.executions()):
            assert time.monotonic() < until, (self.client.get(id), self.executions())
            time.sleep(0.05)
        return self.client.get(id)

    def executions(self) -> list[dict[str, Any]]:
        found = self.states.list_executions(stateMachineArn=self.batches.settings.machine)["executions"]
        return [self.states.describe_execution(executionArn=it["executionArn"]) for it in found]


def _bundle(modules: dict[str, str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in modules.items():
            archive.writestr(f"{name}.py", text)
    return file.getvalue()
