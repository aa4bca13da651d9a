"""The conformance suite: what every engine's stores owe, as tests. It needs pytest.

In a test module of the engine:

    from rota.testing.conformance import *

    @pytest.fixture
    def stores() -> Iterator[Stores]:
        yield ...       # fresh and empty: an object with `schedules`, `runs`, `queues` and `batches`

Each class tests one port, or one side of it, and may be imported alone. `TestRaces` uses the stores from two threads;
where another process would open a connection of its own, define a fixture `rivals` that answers two doors to the data.
"""

# ruff: noqa: E402 - pytest rewrites the assertions of modules that are not imported yet

import pytest

pytest.register_assert_rewrite(
    "rota.testing.conformance.batches",
    "rota.testing.conformance.dead_letters",
    "rota.testing.conformance.ledger",
    "rota.testing.conformance.queues",
    "rota.testing.conformance.races",
    "rota.testing.conformance.runs",
    "rota.testing.conformance.schedules",
    "rota.testing.conformance.settling",
)

from rota.testing.conformance.batches import TestBatchLedger, TestBatchRuns
from rota.testing.conformance.dead_letters import TestDeadLetters
from rota.testing.conformance.ledger import TestChanges, TestTickLedger
from rota.testing.conformance.queues import TestQueueStore
from rota.testing.conformance.races import TestRaces, rivals
from rota.testing.conformance.runs import TestCancelling, TestRunStore
from rota.testing.conformance.schedules import TestScheduleStore
from rota.testing.conformance.settling import TestHeldRuns, TestSettling
from rota.testing.stores import Stores

__all__ = [
    "Stores",
    "TestBatchLedger",
    "TestBatchRuns",
    "TestCancelling",
    "TestChanges",
    "TestDeadLetters",
    "TestHeldRuns",
    "TestQueueStore",
    "TestRaces",
    "TestRunStore",
    "TestScheduleStore",
    "TestSettling",
    "TestTickLedger",
    "rivals",
]
