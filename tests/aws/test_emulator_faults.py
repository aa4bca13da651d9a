"""What is asked of the emulator is counted, and fails on request."""

from __future__ import annotations

import time
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from tests.aws import lambdas, queues

from rota.core.errors import InvalidError
from rota.testing.emulator import Emulator, Fault
from rota.testing.emulator.actions import Asked
from rota.testing.emulator.fault import Faults
from rota.testing.emulator.partial import cut, items_of

pytestmark = pytest.mark.usefixtures("aws")
ONCE = Config(retries={"total_max_attempts": 1})


def client(service: str) -> Any:
    """A client that does not try again."""
    return boto3.client(service, config=ONCE)


def table() -> Any:
    made = client("dynamodb")
    made.create_table(
        TableName="items",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return made


def puts(count: int) -> list[dict[str, Any]]:
    return [{"PutRequest": {"Item": {"pk": {"S": str(i)}}}} for i in range(count)]


def test_requests_are_counted_by_what_they_ask_for(aws: Emulator) -> None:
    table().batch_write_item(RequestItems={"items": puts(7)})
    s3 = client("s3")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="a/b", Body=b"12345")
    s3.get_object(Bucket="bucket", Key="a/b")["Body"].read()
    s3.list_objects_v2(Bucket="bucket")
    lambdas.create("f", "def handler(event, context): ...\n")
    lambdas.invoke("f")
    client("cloudformation").list_stacks()
    counts = aws.counts()
    assert {name.removeprefix("internal.") for name in counts} == {
        *("dynamodb.CreateTable", "dynamodb.BatchWriteItem", "cloudformation.ListStacks"),
        *("s3.CreateBucket", "s3.PutObject", "s3.GetObject", "s3.ListObjectsV2"),
        *("lambda.CreateFunction", "lambda.Invoke", "lambda.Execute", "lambda.Execute:f"),
    }
    assert (counts["dynamodb.BatchWriteItem"].requests, counts["dynamodb.BatchWriteItem"].items) == (1, 7)
    assert counts["s3.PutObject"].bytes >= 5
    aws.reset_counts()
    assert aws.counts() == {}


def test_what_functions_ask_for_is_counted(aws: Emulator) -> None:
    lambdas.create("f", "import boto3\ndef handler(event, context):\n    boto3.client('sqs').list_queues()\n")
    assert lambdas.invoke("f") == (None, None)
    assert aws.counts()["sqs.ListQueues"].requests == 1


def test_a_fault_refuses_so_often(aws: Emulator) -> None:
    url = queues.create("q")
    aws.faults({"sqs.SendMessage": {"code": "RequestThrottled", "times": 2}})
    for _ in range(2):
        with pytest.raises(ClientError, match="injected") as refused:
            client("sqs").send_message(QueueUrl=url, MessageBody="x")
        assert refused.value.response["Error"]["Code"] == "RequestThrottled"
    client("sqs").send_message(QueueUrl=url, MessageBody="arrives")
    assert [it["Body"] for it in queues.receive(url, 1)] == ["arrives"]


@pytest.mark.parametrize(
    ("service", "call", "arguments"),
    [
        ("dynamodb", "list_tables", {}),
        ("sqs", "list_queues", {}),
        ("lambda", "list_functions", {}),
        ("s3", "list_objects_v2", {"Bucket": "b"}),
        ("stepfunctions", "list_state_machines", {}),
        ("cloudformation", "list_stacks", {}),
        ("events", "list_rules", {}),
    ],
)
def test_every_protocol_says_the_error(aws: Emulator, service: str, call: str, arguments: dict[str, Any]) -> None:
    aws.faults({"*": Fault(code="SomethingException", status=503)})
    with pytest.raises(ClientError, match="injected") as refused:
        getattr(client(service), call)(**arguments)
    assert refused.value.response["Error"]["Code"] == "SomethingException"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503


def test_a_lost_answer_leaves_the_work_done(aws: Emulator) -> None:
    url = queues.create("q")
    aws.faults({"sqs.SendMessage": Fault(lost=True)})
    with pytest.raises(ClientError) as refused:
        client("sqs").send_message(QueueUrl=url, MessageBody="done")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert [it["Body"] for it in queues.receive(url, 1)] == ["done"]


def test_only_what_matches_fails(aws: Emulator) -> None:
    good, bad = queues.create("good"), queues.create("bad")
    aws.faults({"sqs.SendMessage": Fault(match="/bad")})
    client("sqs").send_message(QueueUrl=good, MessageBody="x")
    with pytest.raises(ClientError):
        client("sqs").send_message(QueueUrl=bad, MessageBody="x")


def test_latency_alone_carries_out(aws: Emulator) -> None:
    url = queues.create("q")
    aws.faults({"*": Fault(latency_ms=200)})
    started = time.monotonic()
    client("sqs").send_message(QueueUrl=url, MessageBody="x")
    assert time.monotonic() - started >= 0.2


def test_unprocessed_items_are_handed_back_and_not_written(aws: Emulator) -> None:
    dynamo = table()
    aws.faults({"dynamodb.BatchWriteItem": Fault(unprocessed=True), "dynamodb.BatchGetItem": Fault(unprocessed=True)})
    left = dynamo.batch_write_item(RequestItems={"items": puts(25)})["UnprocessedItems"]["items"]
    written = {item["pk"]["S"] for item in dynamo.scan(TableName="items")["Items"]}
    returned = {it["PutRequest"]["Item"]["pk"]["S"] for it in left}
    assert returned
    assert written | returned == {str(i) for i in range(25)}
    assert not written & returned
    keys = [{"pk": {"S": str(i)}} for i in range(25)]
    answer = dynamo.batch_get_item(RequestItems={"items": {"Keys": keys, "ConsistentRead": True}})
    again = answer["UnprocessedKeys"]["items"]
    assert again["ConsistentRead"] is True
    assert {it["pk"]["S"] for it in answer["Responses"].get("items", [])} == written - {
        it["pk"]["S"] for it in again["Keys"]
    }


def test_a_cancelled_transaction_says_why(aws: Emulator) -> None:
    dynamo = table()
    aws.faults({"dynamodb.TransactWriteItems": Fault(code="TransactionCanceledException")})
    puts_of_two = [{"Put": {"TableName": "items", "Item": {"pk": {"S": key}}}} for key in "ab"]
    with pytest.raises(dynamo.exceptions.TransactionCanceledException) as refused:
        dynamo.transact_write_items(TransactItems=puts_of_two)
    reasons = [it["Code"] for it in refused.value.response["CancellationReasons"]]
    assert len(reasons) == 2
    assert "TransactionConflict" in reasons
    assert dynamo.scan(TableName="items")["Count"] == 0


@pytest.mark.parametrize(
    "expression",
    ["SET #a = :v, #a.b = :v", "SET c[0] = :v REMOVE c", "ADD d :v SET e = if_not_exists(e, :v), d = :v"],
)
def test_an_update_of_a_thing_and_a_part_of_it_is_refused(aws: Emulator, expression: str) -> None:
    names = {"ExpressionAttributeNames": {"#a": "a"}} if "#a" in expression else {}
    values = {":v": {"N": "1"}}
    dynamo, key = table(), {"pk": {"S": "1"}}
    with pytest.raises(ClientError, match="Two document paths overlap"):
        dynamo.update_item(
            TableName="items", Key=key, UpdateExpression=expression, ExpressionAttributeValues=values, **names
        )


def test_an_update_of_different_things_is_taken(aws: Emulator) -> None:
    dynamo = table()
    dynamo.update_item(
        TableName="items",
        Key={"pk": {"S": "1"}},
        UpdateExpression="SET a = if_not_exists(a, :v), ab = :v ADD n :v",
        ExpressionAttributeValues={":v": {"N": "1"}},
    )
    assert len(dynamo.scan(TableName="items")["Items"][0]) == 4


def test_a_request_and_an_execution_may_be_carried_out_twice(aws: Emulator) -> None:
    url = queues.create("q")
    aws.faults({"sqs.SendMessage": Fault(twice=True), "internal.lambda.Execute": Fault(twice=True)})
    client("sqs").send_message(QueueUrl=url, MessageBody="x")
    assert len(queues.receive(url, 2)) == 2
    lambdas.create("f", "n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return n\n")
    assert lambdas.invoke("f") == (None, 2)


def test_messages_may_come_in_any_order(aws: Emulator) -> None:
    url = queues.create("q")
    bodies = [str(i) for i in range(10)]
    for body in bodies:
        client("sqs").send_message(QueueUrl=url, MessageBody=body)
    aws.faults({"internal.sqs.ReceiveMessage": Fault(shuffle=True, match=":q")})
    found = [it["Body"] for it in queues.receive(url, 10)]
    assert found != bodies
    assert sorted(found) == bodies


def test_failed_entries_are_not_sent(aws: Emulator) -> None:
    url = queues.create("q")
    aws.faults({"sqs.SendMessageBatch": Fault(partial=True)})
    entries = [{"Id": str(i), "MessageBody": str(i)} for i in range(10)]
    answer = client("sqs").send_message_batch(QueueUrl=url, Entries=entries)
    sent, failed = {it["Id"] for it in answer.get("Successful", [])}, {it["Id"] for it in answer["Failed"]}
    assert failed
    assert sent | failed == {str(i) for i in range(10)}
    assert {it["Body"] for it in queues.receive(url, len(sent))} == sent


@pytest.mark.parametrize(
    "fault", [{"p": 2}, {"status": 200}, {"latency_ms": -1}, {"probability": 1}, {"times": "often"}], ids=str
)
def test_a_fault_that_there_is_not_is_refused(aws: Emulator, fault: dict[str, Any]) -> None:
    with pytest.raises(InvalidError, match="faults"):
        aws.faults({"sqs.*": fault})
    sent = httpx.post(f"{aws.url}/_rota/faults", json={"sqs.*": fault})
    assert sent.status_code == 400
    assert sent.json()["error"]


def test_dice_fall_alike_each_time() -> None:
    faults = Faults()
    seen = []
    for _ in range(2):
        faults.replace({"sqs.*": Fault(p=0.5, code="Narrow"), "*": Fault(p=0.5, code="Wide")})
        seen.append([faults.pick("sqs.SendMessage") for _ in range(50)])
    assert seen[0] == seen[1]
    assert {it and it.code for it in seen[0]} == {None, "Narrow", "Wide"}


@given(count=st.integers(1, 25), out=st.sets(st.integers(0, 24), min_size=1))
def test_a_cut_request_and_what_is_handed_back_are_the_whole(count: int, out: set[int]) -> None:
    what, asked = Asked("dynamodb", "BatchWriteItem"), {"RequestItems": {"a": puts(count), "b": puts(1)}}
    part = cut(what, asked, lambda total: {it % total for it in out}, unprocessed=True, partial=False)
    assert part is not None
    kept = items_of(what, part.forward) if part.forward else 0
    assert kept + items_of(what, {"RequestItems": part.complete({})["UnprocessedItems"]}) == count + 1
