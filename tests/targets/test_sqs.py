"""Sending to SQS: the message of a run, and what SQS would refuse."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.targets.endpoint import Endpoint, answering, run_of

from rota.core.errors import TargetError
from rota.core.run import Run, RunSpec
from rota.core.target import SqsTarget
from rota.targets.aws import Clients, derived_id
from rota.targets.sqs import LIMIT, SqsCall, message, queue_url

URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/orders"
ORDERS = SqsTarget(URL)
FIFO = SqsTarget(f"{URL}.fifo")


def test_the_run_is_told_in_attributes(endpoint: Endpoint, clients: Clients) -> None:
    endpoint.reply = answering(200, b'{"MessageId": "6f"}')
    run = run_of(ORDERS, {"id": 17})
    answer = SqsCall(clients)(run)
    assert answer is not None
    assert json.loads(answer) == {"messageId": "6f"}
    (request,) = endpoint.requests
    assert "/eu-central-1/sqs/" in request.headers["Authorization"]
    assert json.loads(request.body) == {
        "QueueUrl": URL,
        "MessageBody": '{"id":17}',
        "MessageAttributes": {
            "rota-run-id": {"DataType": "String", "StringValue": run.id},
            "rota-scheduled": {"DataType": "String", "StringValue": "2026-11-21T02:30:00Z"},
        },
    }


def test_a_fifo_queue_gets_group_and_deduplication_id(endpoint: Endpoint, clients: Clients) -> None:
    endpoint.reply = answering(200, b'{"MessageId": "6f", "SequenceNumber": "9"}')
    run = run_of(FIFO)
    answer = SqsCall(clients)(run)
    assert answer is not None
    assert json.loads(answer) == {"messageId": "6f", "sequenceNumber": "9"}
    sent = json.loads(endpoint.requests[0].body)
    assert (sent["MessageGroupId"], sent["MessageDeduplicationId"]) == ("nightly", derived_id(run))
    assert message(run_of(SqsTarget(FIFO.queue, "shop-7")))["MessageGroupId"] == "shop-7"
    assert message(run_of(SqsTarget(URL, "shop-7")))["MessageGroupId"] == "shop-7"
    assert "MessageDeduplicationId" not in message(run_of(SqsTarget(URL, "shop-7")))


@pytest.mark.parametrize(
    ("payload", "body"),
    [
        ("héllo\n", "héllo\n"),
        ('{"a": 1}', '{"a": 1}'),
        (5, "5"),
        (None, "null"),
        (["\x00\uffff"], '["\\u0000\\uffff"]'),
    ],
)
def test_a_text_is_sent_as_it_is_and_all_else_as_json(payload: object, body: str) -> None:
    assert message(run_of(ORDERS, payload))["MessageBody"] == body


@pytest.mark.parametrize("payload", ["", "\x00", "a\ufffe"])
def test_a_text_that_sqs_does_not_carry_is_refused(payload: str) -> None:
    with pytest.raises(TargetError, match="does not carry") as caught:
        message(run_of(ORDERS, payload))
    assert not caught.value.transient


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_every_other_payload_arrives_as_it_was(payload: object) -> None:
    if not isinstance(payload, str):
        body = message(run_of(ORDERS, payload))["MessageBody"]
        assert json.loads(body) == payload
        assert not {"\ufffe", "\uffff"} & set(body)


def test_a_message_is_at_most_a_mebibyte_with_its_attributes() -> None:
    sent = message(run_of(ORDERS, "x"))["MessageAttributes"]
    around = sum(len(name) + len("String") + len(value["StringValue"]) for name, value in sent.items())
    most = LIMIT - around

    def message_of(size: int) -> None:
        run = run_of(ORDERS)
        message(Run(run.schedule_id, run.scheduled, 0, RunSpec(ORDERS), b'"' + b"x" * size + b'"'))

    message_of(most)
    with pytest.raises(TargetError, match="too many"):
        message_of(most + 1)


@pytest.mark.parametrize(
    ("queue", "url"),
    [
        (URL, URL),
        ("arn:aws:sqs:eu-central-1:123456789012:orders", URL),
        ("arn:aws-cn:sqs:cn-north-1:123456789012:a", "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/a"),
    ],
)
def test_a_queue_goes_by_its_url(queue: str, url: str) -> None:
    assert queue_url(queue) == url
