"""Two processes with a client each, at the same ids."""

from __future__ import annotations

from typing import Any

import pytest
from tests.aws.dynamo.conftest import DynamoStores

from rota.aws.dynamo.runs import DynamoRuns
from rota.aws.dynamo.schedules import DynamoSchedules
from rota.aws.dynamo.table import Table
from rota.testing.conformance import TestRaces as Races


@pytest.fixture
def rivals(table: Table, dynamodb: Any) -> tuple[DynamoStores, DynamoStores]:
    tables = [Table(dynamodb, table.name) for _ in range(2)]
    first, second = [DynamoStores(DynamoSchedules(one), DynamoRuns(one)) for one in tables]
    return first, second


class TestRaces(Races):
    count = 500
    test_a_message_has_one_receiver = None  # type: ignore[assignment]


@pytest.mark.slow
class TestRacesOfThousands(TestRaces):
    count = 10_000
