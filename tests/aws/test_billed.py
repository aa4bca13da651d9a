"""What AWS would bill for requests, by its documentation."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from rota.aws.bill import Usage
from rota.aws.prices import PRICES
from rota.testing.emulator.actions import Asked
from rota.testing.emulator.billed import billed, executed, item_size

SMALL = {"pk": {"S": "a"}, "n": {"N": "1"}}
OF_1_KB = {"pk": {"S": "x" * 1022}}
OF_5_KB = {"pk": {"S": "x" * 5000}}


def dynamodb(action: str, given: dict[str, Any], answer: dict[str, Any] | None = None) -> dict[str, float]:
    return billed(Asked("dynamodb", action), given, 0, answer or {})


@pytest.mark.parametrize(
    ("item", "size"),
    [
        ({"a": {"S": "größe"}}, 8),
        ({"a": {"N": "123456"}}, 5),
        ({"a": {"N": "-100"}}, 4),
        ({"a": {"B": base64.b64encode(b"12345").decode()}}, 6),
        ({"a": {"BOOL": True}, "b": {"NULL": True}}, 4),
        ({"a": {"NS": ["1", "22"]}}, 5),
        ({"a": {"L": [{"S": "xy"}]}}, 7),
        ({"a": {"M": {"b": {"S": "xy"}}}}, 8),
    ],
)
def test_items_are_as_large_as_the_documentation_says(item: dict[str, Any], size: int) -> None:
    assert item_size(item) == size


@pytest.mark.parametrize(("item", "units"), [(SMALL, 1), (OF_1_KB, 1), (OF_5_KB, 5)])
def test_a_write_costs_by_the_kilobyte_and_twice_that_in_a_transaction(item: dict[str, Any], units: int) -> None:
    assert dynamodb("PutItem", {"Item": item}) == {"write_units": units}
    both = {"TransactItems": [{"Put": {"Item": item}}, {"ConditionCheck": {}}]}
    assert dynamodb("TransactWriteItems", both) == {"write_units": 2 * units + 2}


def test_what_is_left_unprocessed_is_not_billed() -> None:
    requests = [{"PutRequest": {"Item": SMALL}} for _ in range(4)]
    answer = {"UnprocessedItems": {"t": requests[:1]}}
    assert dynamodb("BatchWriteItem", {"RequestItems": {"t": requests}}) == {"write_units": 4}
    assert dynamodb("BatchWriteItem", {"RequestItems": {"t": requests}}, answer) == {"write_units": 3}


def test_a_read_costs_by_four_kilobytes_and_half_if_it_may_be_old() -> None:
    assert dynamodb("GetItem", {}, {"Item": SMALL}) == {"read_units": 0.5}
    assert dynamodb("GetItem", {"ConsistentRead": True}, {"Item": OF_5_KB}) == {"read_units": 2}
    assert dynamodb("GetItem", {"ConsistentRead": True}, {}) == {"read_units": 1}
    assert dynamodb("Query", {}, {"Items": [SMALL] * 10}) == {"read_units": 0.5}
    asked = {"RequestItems": {"t": {"Keys": [1, 2]}}}
    assert dynamodb("BatchGetItem", asked, {"Responses": {"t": [SMALL]}}) == {"read_units": 1}


@pytest.mark.parametrize(("size", "requests"), [(0, 1), (65_536, 1), (65_537, 2), (1 << 20, 16)])
def test_a_request_to_a_queue_costs_by_64_kb(size: int, requests: int) -> None:
    send = Asked("sqs", "SendMessageBatch")
    assert billed(send, {"QueueUrl": "http://q/plain"}, size, None) == {"queue_requests": requests}
    assert billed(send, {"QueueUrl": "http://q/orders.fifo"}, size, None) == {"fifo_requests": requests}


def test_objects_and_functions() -> None:
    assert billed(Asked("s3", "PutObject"), None, 10, None) == {"object_writes": 1}
    assert billed(Asked("s3", "ListObjectsV2"), None, 0, None) == {"object_writes": 1}
    assert billed(Asked("s3", "GetObject"), None, 0, None) == {"object_reads": 1}
    assert billed(Asked("s3", "DeleteObject"), None, 0, None) == {}
    assert executed(500, 512) == {"invocations": 1, "gb_seconds": 0.25}


def test_every_unit_has_a_price_and_a_bill_adds_up() -> None:
    assert set(Usage.__struct_fields__) == set(PRICES)
    usage = Usage(write_units=1_000_000, queue_requests=500_000) + Usage(write_units=1_000_000)
    assert usage.dollars == pytest.approx(1.25 + 0.2)
    assert [line.service for line in usage.lines()] == ["DynamoDB", "SQS"]
    assert usage.times(3).dollars == pytest.approx(3 * usage.dollars)


def test_an_event_is_one_by_64_kilobytes() -> None:
    entries = [{"Detail": "{}"}, {"Detail": "x" * 65_536}, {"Detail": "x" * 65_537}]
    assert billed(Asked("events", "PutEvents"), {"Entries": entries}, 0, {}) == {"events": 4}
