"""A query of the emulator gives what its key condition says, page by page."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from rota.testing.emulator import Emulator
from rota.testing.emulator.patches.tables import matching

pytestmark = pytest.mark.usefixtures("aws")
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@pytest.fixture
def table(aws: Emulator) -> Any:
    client = boto3.client("dynamodb")
    names = [("pk", "HASH"), ("sk", "RANGE")]
    client.create_table(
        TableName="items",
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in names],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in names],
        BillingMode="PAY_PER_REQUEST",
    )
    for pk in ("a", "b"):
        puts = [{"PutRequest": {"Item": {"pk": {"S": pk}, "sk": {"S": f"{sk:02}"}}}} for sk in range(20)]
        client.batch_write_item(RequestItems={"items": puts})
    return client


def query(table: Any, condition: str, limit: int, forward: bool, **values: str) -> list[str]:
    """The sort keys of all pages."""
    found: list[str] = []
    more: dict[str, Any] = {}
    while True:
        page = table.query(
            TableName="items",
            KeyConditionExpression=f"pk = :pk AND {condition}",
            ExpressionAttributeValues={f":{name}": {"S": text} for name, text in {"pk": "a", **values}.items()},
            ScanIndexForward=forward,
            Limit=limit,
            **more,
        )
        assert len(page["Items"]) <= limit
        assert all(item["pk"]["S"] == "a" for item in page["Items"])
        found += [item["sk"]["S"] for item in page["Items"]]
        if "LastEvaluatedKey" not in page:
            return found
        more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("limit", [1, 3, 100])
@pytest.mark.parametrize("comparison", COMPARISONS)
def test_comparisons(table: Any, comparison: str, limit: int, forward: bool) -> None:
    expected = [f"{sk:02}" for sk in range(20) if COMPARISONS[comparison](sk, 7)]
    assert query(table, f"sk {comparison} :at", limit, forward, at="07") == expected[:: 1 if forward else -1]


@pytest.mark.parametrize("limit", [1, 4, 100])
def test_ranges_and_prefixes(table: Any, limit: int) -> None:
    between = query(table, "sk BETWEEN :low AND :high", limit, forward=True, low="05", high="09")
    assert between == ["05", "06", "07", "08", "09"]
    assert (
        query(table, "begins_with(sk, :start)", limit, forward=False, start="1") == [f"1{i}" for i in range(10)][::-1]
    )
    assert query(table, "sk > :high", limit, forward=True, high="99") == []


def test_a_bad_condition_is_refused(table: Any) -> None:
    with pytest.raises(ClientError) as refused:
        query(table, "sk LIKE :at", 10, forward=True, at="07")
    assert refused.value.response["Error"]["Code"] == "ValidationException"


@given(st.lists(st.booleans()))
def test_what_matches_in_a_row_is_taken_and_nothing_after_it_looked_at(values: list[bool]) -> None:
    looked: list[int] = []

    def matches(item: dict[str, Any]) -> bool:
        at: int = item["at"]
        looked.append(at)
        return values[at]

    found = [item["at"] for item in matching([{"at": at} for at in range(len(values))], matches)]
    first = values.index(True) if True in values else len(values)
    after = next((at for at in range(first, len(values)) if not values[at]), len(values))
    assert found == list(range(first, after))
    assert looked == list(range(min(after + 1, len(values))))
