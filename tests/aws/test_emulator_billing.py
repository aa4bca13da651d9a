"""The emulator reckons what AWS would bill."""

from __future__ import annotations

import time
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.aws import lambdas, queues

from rota.testing.emulator import Emulator, Fault


def table() -> Any:
    made = boto3.client("dynamodb", config=Config(retries={"total_max_attempts": 1}))
    made.create_table(
        TableName="items",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return made


def test_what_aws_would_bill_is_reckoned(aws: Emulator) -> None:
    dynamo = table()
    url = queues.create("q")
    aws.reset_counts()
    dynamo.put_item(TableName="items", Item={"pk": {"S": "b"}, "text": {"S": "x" * 1500}})
    dynamo.get_item(TableName="items", Key={"pk": {"S": "b"}}, ConsistentRead=True)
    with pytest.raises(dynamo.exceptions.ConditionalCheckFailedException):
        dynamo.put_item(TableName="items", Item={"pk": {"S": "b"}}, ConditionExpression="attribute_not_exists(pk)")
    boto3.client("sqs").send_message(QueueUrl=url, MessageBody="x")
    assert aws.billed() == {"write_units": 3, "read_units": 1, "queue_requests": 1}


def test_what_is_refused_or_left_is_not_billed_and_what_is_repeated_is(aws: Emulator) -> None:
    dynamo = table()
    aws.faults(
        {
            "dynamodb.PutItem": Fault(),
            "dynamodb.DeleteItem": Fault(twice=True),
            "dynamodb.BatchWriteItem": Fault(unprocessed=True),
        }
    )
    with pytest.raises(ClientError):
        dynamo.put_item(TableName="items", Item={"pk": {"S": "a"}})
    dynamo.delete_item(TableName="items", Key={"pk": {"S": "a"}})
    left = dynamo.batch_write_item(
        RequestItems={"items": [{"PutRequest": {"Item": {"pk": {"S": str(i)}}}} for i in range(25)]}
    )["UnprocessedItems"]["items"]
    assert aws.billed() == {"write_units": 2 + 25 - len(left)}


def test_executions_and_what_feeds_them_are_billed(aws: Emulator) -> None:
    url = queues.create("q")
    lambdas.create("f", "import time\ndef handler(event, context):\n    time.sleep(0.1)\n", MemorySize=1024)
    mapping = {"EventSourceArn": queues.arn(url), "FunctionName": "f"}
    boto3.client("lambda").create_event_source_mapping(**mapping)
    aws.reset_counts()
    boto3.client("sqs").send_message(QueueUrl=url, MessageBody="x")
    until = time.monotonic() + queues.PATIENCE
    while "internal.sqs.DeleteMessageBatch" not in aws.counts():
        assert time.monotonic() < until
        time.sleep(0.02)
    found = aws.billed()
    assert (found["invocations"], found["queue_requests"]) == (1, 3)
    assert found["gb_seconds"] >= 0.1
