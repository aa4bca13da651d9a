"""Queues of the emulator keep AWS's limits, and lose nothing."""

from __future__ import annotations

import concurrent.futures
import itertools
import json
import time
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from tests.aws import lambdas, queues

from rota.testing.emulator import Emulator
from rota.testing.emulator.count import Count

pytestmark = pytest.mark.usefixtures("aws")
MIB = 1024 * 1024


def attributes(count: int) -> dict[str, Any]:
    return {f"a{i}": {"DataType": "String", "StringValue": "x"} for i in range(count)}


def entries(*bodies: str, **more: object) -> list[dict[str, Any]]:
    return [{"Id": str(i), "MessageBody": body, **more} for i, body in enumerate(bodies)]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"MessageBody": "x", "DelaySeconds": 901}, "DelaySeconds must be >= 0 and <= 900"),
        ({"MessageBody": "x", "MessageAttributes": attributes(11)}, "exceeds the allowed maximum"),
        ({"MessageBody": "x" * (MIB + 1)}, "Message must be shorter than 1048576 bytes"),
        ({"MessageBody": "x" * MIB, "MessageAttributes": attributes(1)}, "Message must be shorter than 1048576 bytes"),
    ],
    ids=["delay", "attributes", "body", "body and attributes"],
)
def test_a_message_over_a_limit_is_refused(message: dict[str, Any], said: str) -> None:
    client, url = boto3.client("sqs"), queues.create("q")
    with pytest.raises(ClientError, match=said) as refused:
        client.send_message(QueueUrl=url, **message)
    assert refused.value.response["Error"]["Code"] == "InvalidParameterValue"


def test_a_message_at_its_limits_is_taken() -> None:
    client, url = boto3.client("sqs"), queues.create("q")
    spent = sum(len(name) + len("String") + 1 for name in attributes(10))
    client.send_message(QueueUrl=url, MessageBody="x" * (MIB - spent), MessageAttributes=attributes(10))
    client.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=900)
    assert [len(it["MessageAttributes"]) for it in queues.receive(url, 1)] == [10]


def test_a_bad_entry_fails_alone_and_a_batch_that_is_too_long_as_a_whole() -> None:
    client, url = boto3.client("sqs"), queues.create("q")
    sent = client.send_message_batch(
        QueueUrl=url, Entries=[*entries("good"), {**entries("bad")[0], "Id": "late", "DelaySeconds": 901}]
    )
    assert [it["Id"] for it in sent["Successful"]] == ["0"]
    assert [(it["Id"], it["Code"], it["SenderFault"]) for it in sent["Failed"]] == [
        ("late", "InvalidParameterValue", True)
    ]
    with pytest.raises(ClientError, match="cannot be longer than 1048576 bytes") as refused:
        client.send_message_batch(QueueUrl=url, Entries=entries("x" * (MIB // 2), "y" * (MIB // 2), "z"))
    assert refused.value.response["Error"]["Code"] == "AWS.SimpleQueueService.BatchRequestTooLong"
    assert [it["Body"] for it in queues.receive(url, 1)] == ["good"]


def test_nothing_is_lost_between_senders_and_receivers() -> None:
    client, url = boto3.client("sqs"), queues.create("q", VisibilityTimeout="600")

    def send(batch: int) -> None:
        client.send_message_batch(QueueUrl=url, Entries=entries(*(f"{batch}-{i}" for i in range(10))))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        sending = [pool.submit(send, batch) for batch in range(100)]
        bodies = [it["Body"] for it in queues.receive(url, 1000)]
        for it in sending:
            it.result()
    assert len(set(bodies)) == 1000


def test_a_delayed_message_comes_once_it_is_due_and_a_released_one_at_once() -> None:
    client, url = boto3.client("sqs"), queues.create("q")
    assert "Messages" not in client.receive_message(QueueUrl=url)
    sent = time.monotonic()
    client.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=1)
    [message] = client.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
    assert time.monotonic() - sent >= 1
    assert "Messages" not in client.receive_message(QueueUrl=url)
    client.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    assert [it["Body"] for it in queues.receive(url, 1)] == ["later"]


def test_what_was_received_too_often_moves_to_the_dead_letter_queue() -> None:
    client, dead = boto3.client("sqs"), queues.create("dead")
    policy = {"deadLetterTargetArn": queues.arn(dead), "maxReceiveCount": "2"}
    url = queues.create("q", RedrivePolicy=policy, VisibilityTimeout="0")
    client.send_message(QueueUrl=url, MessageBody="poison")
    for _ in range(2):
        assert len(client.receive_message(QueueUrl=url)["Messages"]) == 1
    assert "Messages" not in client.receive_message(QueueUrl=url)
    assert [it["Body"] for it in queues.receive(dead, 1)] == ["poison"]


def test_a_receipt_that_is_not_one_is_refused() -> None:
    client, url = boto3.client("sqs"), queues.create("q")
    client.send_message(QueueUrl=url, MessageBody="x")
    with pytest.raises(ClientError) as refused:
        client.delete_message(QueueUrl=url, ReceiptHandle="no")
    assert refused.value.response["Error"]["Code"] == "ReceiptHandleIsInvalid"
    [message] = client.receive_message(QueueUrl=url)["Messages"]
    handles = [{"Id": "a", "ReceiptHandle": message["ReceiptHandle"]}, {"Id": "b", "ReceiptHandle": "no"}]
    deleted = client.delete_message_batch(QueueUrl=url, Entries=handles)
    assert [it["Id"] for it in deleted["Successful"]] == ["a"]
    assert [it["Id"] for it in deleted["Failed"]] == ["b"]


def test_a_fifo_queue_keeps_the_order_of_a_group() -> None:
    client, url = boto3.client("sqs"), queues.create("q.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    for body in "abca":
        client.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="g")
    assert [it["Body"] for it in queues.receive(url, 3)] == ["a", "b", "c"]


REPORT = """
import boto3, json, os
sqs = boto3.client("sqs")
def handler(event, context):
    sqs.send_message(QueueUrl=os.environ["TO"], MessageBody=json.dumps([it["body"] for it in event["Records"]]))
"""


def batches(size: int, window: int, bodies: list[str]) -> list[list[str]]:
    """What batches a function was given."""
    client, url, to = boto3.client("sqs"), queues.create("from"), queues.create("to")
    lambdas.create("report", REPORT, Environment={"Variables": {"TO": to}})
    # All of it is there when the first window begins.
    for start in range(0, len(bodies), 10):
        client.send_message_batch(QueueUrl=url, Entries=entries(*bodies[start : start + 10]))
    boto3.client("lambda").create_event_source_mapping(
        EventSourceArn=queues.arn(url), FunctionName="report", BatchSize=size, MaximumBatchingWindowInSeconds=window
    )
    found: list[list[str]] = []
    while sum(map(len, found)) < len(bodies):
        found += [json.loads(it["Body"]) for it in queues.receive(to, 1)]
    return found


def counted(aws: Emulator, name: str, items: int) -> dict[str, Count]:
    """The counts once so many items are among them: what a function tells comes before its own end."""
    until = time.monotonic() + queues.PATIENCE
    while (counts := aws.counts()).get(name, Count()).items < items:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert counts[name].items == items
    return counts


def test_a_batching_window_gathers_more_than_ten(aws: Emulator) -> None:
    bodies = [str(i) for i in range(45)]
    found = batches(20, 2, bodies)
    assert sorted(len(it) for it in found) == [5, 20, 20]
    assert sorted(int(body) for batch in found for body in batch) == list(range(45))
    counts = counted(aws, "internal.sqs.DeleteMessageBatch", 45)
    assert counts["internal.sqs.ReceiveMessage"].items == 45
    assert counts["internal.lambda.Execute:report"].requests == 3


def test_without_a_window_nothing_waits(aws: Emulator) -> None:
    found = batches(10, 0, ["a"])
    assert found == [["a"]]
    assert counted(aws, "internal.sqs.DeleteMessageBatch", 1)["internal.sqs.ReceiveMessage"].items == 1


MEETING = """
import boto3, json, os, time
sqs = boto3.client("sqs")
def handler(event, context):
    [row] = event["Records"]
    began = time.time()
    time.sleep(0.5)
    said = [row["attributes"]["MessageGroupId"], row["body"], began, time.time()]
    sqs.send_message(QueueUrl=os.environ["TO"], MessageBody=json.dumps(said))
"""


def test_groups_of_a_fifo_queue_are_worked_on_at_the_same_time_and_each_in_order() -> None:
    client, to = boto3.client("sqs"), queues.create("to")
    url = queues.create("from.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    lambdas.create("meeting", MEETING, Environment={"Variables": {"TO": to}})
    boto3.client("lambda").create_event_source_mapping(
        EventSourceArn=queues.arn(url), FunctionName="meeting", BatchSize=1, ScalingConfig={"MaximumConcurrency": 4}
    )
    for number in range(4):
        for group in "ab":
            client.send_message(QueueUrl=url, MessageBody=f"{group}{number}", MessageGroupId=group)
    found = sorted((json.loads(it["Body"]) for it in queues.receive(to, 8)), key=lambda it: it[2])
    spans = {group: [it[1:] for it in found if it[0] == group] for group in "ab"}
    for group, ran in spans.items():
        assert [body for body, _, _ in ran] == [f"{group}{number}" for number in range(4)]
        assert all(end <= begin for (_, _, end), (_, begin, _) in itertools.pairwise(ran))
    assert any(a[1] < b[2] and b[1] < a[2] for a in spans["a"] for b in spans["b"])
