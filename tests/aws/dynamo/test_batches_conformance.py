"""Batch runs in DynamoDB owe what every engine's batch runs owe."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from tests.aws.dynamo.batching import LIFETIME

from rota.aws.dynamo.batches import DynamoBatches
from rota.aws.dynamo.runs import DynamoRuns
from rota.aws.dynamo.table import Table
from rota.testing.conformance import TestBatchLedger as BatchLedger
from rota.testing.conformance import TestBatchRuns as BatchRuns


@dataclass
class BatchStores:
    """What this part of the suite wants."""

    runs: DynamoRuns
    batches: DynamoBatches


@pytest.fixture
def stores(table: Table) -> BatchStores:
    runs = DynamoRuns(table)
    return BatchStores(runs, DynamoBatches(table, runs, LIFETIME))


class TestBatchRuns(BatchRuns): ...


class TestBatchLedger(BatchLedger): ...
