"""A function that does by hand what the dispatcher does for a one-off, and nothing else: the limit of the emulator.

For each message: read an item, write it twice under a condition, and in between call an HTTP endpoint. As many at once
and as many threads as the dispatcher.
"""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Iterator
from typing import Any

import boto3

_SOURCE = """
import json, os, urllib.request
from concurrent.futures import ThreadPoolExecutor
import boto3
table = boto3.client("dynamodb")
pool = ThreadPoolExecutor(10)

def change(key, before, after):
    table.update_item(
        TableName="bare", Key=key, UpdateExpression="SET #s = :after", ConditionExpression="#s = :before",
        ExpressionAttributeNames={"#s": "state"},
        ExpressionAttributeValues={":before": {"S": before}, ":after": {"S": after}},
    )

def one(record):
    asked = json.loads(record["body"])
    key = {"pk": {"S": asked["id"]}}
    table.get_item(TableName="bare", Key=key, ConsistentRead=True)
    change(key, "pending", "running")
    call = urllib.request.Request(asked["url"], b"null", {"rota-run": asked["id"]}, method="POST")
    urllib.request.urlopen(call).read()
    change(key, "running", "succeeded")

def handler(event, context):
    list(pool.map(one, event["Records"]))
    return {"batchItemFailures": []}
"""


class BareFunction:
    """queue: the URL of what it reads; messages are JSON with `id` and `url`."""

    def __init__(self, queue: str) -> None:
        self.queue = queue

    def prepare(self, ids: list[str]) -> None:
        """Store what the messages are about."""
        table = boto3.resource("dynamodb").Table("bare")
        with table.batch_writer() as batch:
            for id in ids:
                batch.put_item(Item={"pk": id, "state": "pending"})


@contextlib.contextmanager
def bare_function(concurrency: int) -> Iterator[BareFunction]:
    dynamodb, sqs, functions = boto3.client("dynamodb"), boto3.client("sqs"), boto3.client("lambda")
    dynamodb.create_table(
        TableName="bare",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    url = sqs.create_queue(QueueName="bare-function", Attributes={"VisibilityTimeout": "180"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.py", _SOURCE)
    made: dict[str, Any] = {"Runtime": "python3.12", "Role": "arn:aws:iam::000000000000:role/bare", "Timeout": 60}
    functions.create_function(
        FunctionName="bare", Handler="index.handler", Code={"ZipFile": packed.getvalue()}, MemorySize=512, **made
    )
    mapping = functions.create_event_source_mapping(
        EventSourceArn=arn,
        FunctionName="bare",
        BatchSize=10,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        ScalingConfig={"MaximumConcurrency": concurrency},
    )
    try:
        yield BareFunction(url)
    finally:
        functions.delete_event_source_mapping(UUID=mapping["UUID"])
        functions.delete_function(FunctionName="bare")
        sqs.delete_queue(QueueUrl=url)
        dynamodb.delete_table(TableName="bare")
