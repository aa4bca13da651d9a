"""Two ways to do a batch on AWS without rota, as functions in the emulator: what rota stands beside.

`Rows` is how a batch is tracked in the systems that this benchmark was asked to beat: a row an item is put when it is
enqueued, put again when it is done, and deleted; whether any is left is asked again and again. `Bare` does the work and
keeps no account at all: SQS, a function, results. Both read the same file, run the same task and keep results as
objects, one a message.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from typing import Any

import boto3

ROLE = "arn:aws:iam::000000000000:role/function"
MEMORY = 1024
AT_ONCE = 4
TASK = """
import json, os, time
import boto3
s3, sqs, table = boto3.client("s3"), boto3.client("sqs"), boto3.client("dynamodb")
TABLE, QUEUE, BUCKET, KEY = (os.environ.get(name, "") for name in ("TABLE", "QUEUE", "BUCKET", "KEY"))

def double(item):
    time.sleep(item["wait"] / 1000)
    return {"id": item["id"], "twice": item["value"] * 2}

def keep(name, results):
    s3.put_object(Bucket=BUCKET, Key=name, Body="\\n".join(map(json.dumps, results)).encode())
"""
_BATCHER = (
    TASK
    + """
def handler(event, context):
    each, run = event["each"], event["run"]
    lines = s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read().splitlines()[: event["items"]]
    bodies = []
    for at in range(0, len(lines), each):
        items = [json.loads(line) for line in lines[at : at + each]]
        for item in items:
            row = {"pk": {"S": run}, "sk": {"S": str(item["id"])}, "status": {"S": "queued"}}
            table.put_item(TableName=TABLE, Item=row)
        bodies.append(json.dumps({"run": run, "at": at, "items": items}))
    for at in range(0, len(bodies), 10):
        entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[at : at + 10])]
        sqs.send_message_batch(QueueUrl=QUEUE, Entries=entries)
"""
)
_PROCESSOR = (
    TASK
    + """
def handler(event, context):
    for record in event["Records"]:
        message = json.loads(record["body"])
        results = []
        for item in message["items"]:
            results.append(double(item))
            key = {"pk": {"S": message["run"]}, "sk": {"S": str(item["id"])}}
            table.put_item(TableName=TABLE, Item={**key, "status": {"S": "done"}})
            table.delete_item(TableName=TABLE, Key=key)
        keep(f"{message['run']}/{message['at']}", results)
"""
)
_CHECKER = (
    TASK
    + """
def handler(event, context):
    found = table.query(
        TableName=TABLE,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": event["run"]}},
        ConsistentRead=True,
        Limit=1,
    )
    return {"empty": not found["Items"]}
"""
)
_BARE = (
    TASK
    + """
def handler(event, context):
    for record in event["Records"]:
        message = json.loads(record["body"])
        span = f"bytes={message['start']}-{message['end'] - 1}"
        lines = s3.get_object(Bucket=BUCKET, Key=KEY, Range=span)["Body"].read().splitlines()
        keep(f"{message['run']}/{message['start']}", [double(json.loads(line)) for line in lines])
"""
)


class Rows:
    """table, queue and functions of the one with a row an item."""

    def __init__(self, bucket: str, key: str) -> None:
        boto3.client("dynamodb").create_table(
            TableName="rows",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
        queue = boto3.client("sqs").create_queue(QueueName="rows", Attributes={"VisibilityTimeout": "900"})["QueueUrl"]
        environment = {"TABLE": "rows", "QUEUE": queue, "BUCKET": bucket, "KEY": key}
        for name, source in (("rows-batcher", _BATCHER), ("rows-processor", _PROCESSOR), ("rows-checker", _CHECKER)):
            create_function(name, source, environment)
        feed("rows", "rows-processor")

    def run(self, run: str, items: int, each: int, executed: Callable[[], int]) -> None:
        """Do a batch. each: items a message. executed: how often the processor was. The rows are asked for once, when
        all is done: how often that would be depends on how long it takes, and on nothing else."""
        wanted = executed() + -(-items // each)
        _invoke("rows-batcher", {"run": run, "items": items, "each": each})
        while executed() < wanted:
            time.sleep(0.05)
        assert _invoke("rows-checker", {"run": run})["empty"]


class Bare:
    """Queue and function of the one that keeps no account."""

    def __init__(self, bucket: str, key: str) -> None:
        self._bucket = bucket
        self._queue: str = boto3.client("sqs").create_queue(QueueName="bare", Attributes={"VisibilityTimeout": "900"})[
            "QueueUrl"
        ]
        create_function("bare", _BARE, {"BUCKET": bucket, "KEY": key})
        feed("bare", "bare")

    def run(self, run: str, spans: list[tuple[int, int]]) -> None:
        """Do these ranges of the file."""
        sqs = boto3.client("sqs")
        for at in range(0, len(spans), 10):
            bodies = [json.dumps({"run": run, "start": low, "end": high}) for low, high in spans[at : at + 10]]
            entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
            sqs.send_message_batch(QueueUrl=self._queue, Entries=entries)
        while len(put_times(self._bucket, f"{run}/")) < len(spans):
            time.sleep(0.1)


def span(bucket: str, prefix: str) -> tuple[float, float]:
    """When the first and the last of these objects were put, epoch ms."""
    times = put_times(bucket, prefix)
    return min(times), max(times)


def put_times(bucket: str, prefix: str) -> list[float]:
    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [entry["LastModified"].timestamp() * 1000 for page in pages for entry in page.get("Contents", ())]


def create_function(name: str, source: str, environment: dict[str, str]) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("code_of_function.py", source)
    boto3.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.12",
        Role=ROLE,
        Handler="code_of_function.handler",
        Code={"ZipFile": file.getvalue()},
        Timeout=900,
        MemorySize=MEMORY,
        Environment={"Variables": environment},
    )


def feed(queue: str, function: str) -> None:
    arn = f"arn:aws:sqs:us-east-1:000000000000:{queue}"
    boto3.client("lambda").create_event_source_mapping(
        EventSourceArn=arn, FunctionName=function, BatchSize=1, ScalingConfig={"MaximumConcurrency": AT_ONCE}
    )


def _invoke(function: str, event: object) -> Any:
    answer = boto3.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
    said = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise RuntimeError(f"{function}: {said}")
    return said
