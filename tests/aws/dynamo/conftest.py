"""A fresh table for every test, in the session's emulator."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tests.aws.dynamo.strict import Strict

from rota.aws.dynamo.runs import DynamoRuns
from rota.aws.dynamo.schedules import DynamoSchedules
from rota.aws.dynamo.schema import create_table
from rota.aws.dynamo.table import Table
from rota.aws.sessions import client
from rota.testing.emulator import Emulator

_number = itertools.count(1)


@dataclass
class DynamoStores:
    """What the conformance suite wants of this engine, without queues and batches."""

    schedules: DynamoSchedules
    runs: DynamoRuns


@pytest.fixture(scope="session")
def dynamodb(emulator: Emulator) -> Any:
    """One client for all: making one takes longer than most tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in emulator.environment().items():
            patch.setenv(name, value)
        yield Strict(client("dynamodb"))


@pytest.fixture
def make_table(dynamodb: Any, aws: Emulator) -> Callable[[], Table]:
    def make() -> Table:
        name = f"rota-{next(_number)}"
        create_table(dynamodb, name)
        return Table(dynamodb, name)

    return make


@pytest.fixture
def table(make_table: Callable[[], Table]) -> Table:
    return make_table()


@pytest.fixture
def stores(table: Table) -> DynamoStores:
    return DynamoStores(DynamoSchedules(table), DynamoRuns(table))
