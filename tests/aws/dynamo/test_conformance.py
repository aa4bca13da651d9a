"""The stores in DynamoDB owe what every engine's stores owe."""

from __future__ import annotations

from rota.testing.conformance import TestCancelling as Cancelling
from rota.testing.conformance import TestChanges as Changes
from rota.testing.conformance import TestDeadLetters as DeadLetters
from rota.testing.conformance import TestHeldRuns as HeldRuns
from rota.testing.conformance import TestRunStore as RunStore
from rota.testing.conformance import TestScheduleStore as ScheduleStore
from rota.testing.conformance import TestSettling as Settling
from rota.testing.conformance import TestTickLedger as TickLedger
from rota.testing.conformance import rivals

__all__ = ["rivals"]


class TestCancelling(Cancelling): ...


class TestChanges(Changes): ...


class TestDeadLetters(DeadLetters): ...


class TestHeldRuns(HeldRuns): ...


class TestRunStore(RunStore): ...


class TestScheduleStore(ScheduleStore): ...


class TestSettling(Settling): ...


class TestTickLedger(TickLedger): ...
