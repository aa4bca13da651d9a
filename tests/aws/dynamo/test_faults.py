"""Bad days of DynamoDB: throttles, batches that leave items out, lost answers, and requests that cannot succeed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.aws.dynamo.conftest import DynamoStores
from tests.aws.dynamo.feeding import feed, names
from tests.aws.dynamo.metering import Metered

from rota.aws.dynamo.far import DynamoFar
from rota.aws.dynamo.items import Put
from rota.aws.dynamo.runs import DynamoRuns
from rota.aws.dynamo.schedules import DynamoSchedules
from rota.aws.dynamo.table import Table
from rota.core.errors import ExistsError, NotFoundError, StoreBusyError, StoreError, StoreFullError
from rota.testing.conformance.values import T0, again, begun, change, died, ended, fired, one_off, recurring, stored
from rota.testing.emulator import Emulator, Fault

NOW = T0
LOST = Fault(p=0.3, lost=True, status=500, code="InternalServerError")


def _no_wait(_seconds: float) -> None: ...


@pytest.fixture
def patient(table: Table, dynamodb: Any) -> DynamoStores:
    calm = Table(dynamodb, table.name, _no_wait)
    return DynamoStores(DynamoSchedules(calm), DynamoRuns(calm))


class TestBadDays:
    def test_what_a_batch_leaves_out_is_written_and_read_all_the_same(
        self, aws: Emulator, table: Table, stores: DynamoStores
    ) -> None:
        half = Fault(p=0.4, unprocessed=True)
        aws.faults({"dynamodb.BatchWriteItem": half, "dynamodb.BatchGetItem": half})
        runs = [one_off(f"r{n:03}") for n in range(300)]
        stores.runs.accept(runs)
        with pytest.raises(ExistsError):
            stores.runs.accept(runs)
        aws.faults({})
        assert stores.runs.due(T0, 1000) == runs

    def test_throttled_calls_are_made_again(self, aws: Emulator, patient: DynamoStores) -> None:
        throttled = Fault(p=0.3, code="ProvisionedThroughputExceededException")
        aws.faults({"dynamodb.*": throttled})
        runs = [one_off(f"r{n}") for n in range(10)]
        for run in runs:
            patient.runs.accept([run])
        assert all(patient.runs.claim([begun(run) for run in runs]))
        patient.runs.settle([ended(run) for run in runs[:5]] + [died(run) for run in runs[5:]])
        aws.faults({})
        assert patient.runs.counts() == {"pending": 0, "held": 0, "running": 0, "dead": 5}

    def test_a_lost_answer_is_no_refusal(self, aws: Emulator, patient: DynamoStores) -> None:
        """What was carried out, but whose answer was lost, is made again, and recognizes its own traces."""
        aws.faults(dict.fromkeys(("dynamodb.PutItem", "dynamodb.UpdateItem", "dynamodb.TransactWriteItems"), LOST))
        runs = [one_off(f"r{n}") for n in range(8)]
        for run in runs:
            patient.runs.accept([run])
        assert patient.runs.claim([begun(run) for run in runs]) == [True] * 8
        patient.runs.settle([again(run, T0 + 60_000) for run in runs])
        rows = [stored(f"s{n}") for n in range(4)]
        for row in rows:
            patient.schedules.create([row])
        changes = [change(row, ticks=(fired(row.id, T0),), runs=(recurring(row.id),)) for row in rows]
        assert patient.schedules.apply(changes) == [True] * 4
        first, others = runs[0], [run.key for run in runs[1:]]
        assert patient.runs.cancel(others, NOW) == others
        aws.faults({})
        [second] = [run for run in patient.runs.due(T0 + 60_000, 99) if not run.recurring]
        assert (second.schedule_id, second.attempt) == (first.schedule_id, 1)

    def test_the_feeder_gets_through(self, aws: Emulator, table: Table, dynamodb: Any, stores: DynamoStores) -> None:
        runs = [one_off(f"r{n:03}") for n in range(60)]
        stores.runs.accept(runs)
        aws.faults({"dynamodb.*": Fault(p=0.2, code="ThrottlingException"), "dynamodb.UpdateItem": LOST})
        entries = feed(DynamoFar(Table(dynamodb, table.name, _no_wait)), T0, NOW)
        aws.faults({})
        assert sorted(names(entries)) == [run.schedule_id for run in runs]

    def test_in_the_end_it_says_that_the_table_takes_no_more(self, aws: Emulator, table: Table) -> None:
        once = boto3.client("dynamodb", config=Config(retries={"total_max_attempts": 1}))
        calm = Table(once, table.name, _no_wait)
        patient = DynamoStores(DynamoSchedules(calm), DynamoRuns(calm))
        patient.runs.accept([one_off("before")])
        aws.faults({"dynamodb.PutItem": Fault(code="ProvisionedThroughputExceededException")})
        with pytest.raises(StoreBusyError, match="takes no more at the moment: PutItem was put off 4 times"):
            patient.runs.accept([one_off("a")])
        aws.faults({"dynamodb.BatchWriteItem": Fault(code="ThrottlingException")})
        with pytest.raises(StoreBusyError, match="BatchWriteItem"):
            patient.runs.accept([one_off(f"r{n}") for n in range(200)])
        aws.faults({})
        assert patient.runs.due(T0, 10) == [one_off("before")]


class TestRefusals:
    def test_a_table_that_is_not_there(self, dynamodb: Any, aws: Emulator) -> None:
        with pytest.raises(
            NotFoundError, match=r"no table 'nowhere'; is the stack deployed, and in region us-east-1\?"
        ):
            DynamoRuns(Table(dynamodb, "nowhere")).accept([one_off("a")])

    def test_a_missing_permission_names_the_action(self, aws: Emulator, stores: DynamoStores) -> None:
        stores.runs.accept([one_off("before")])
        aws.faults({"dynamodb.PutItem": Fault(code="AccessDeniedException")})
        with pytest.raises(StoreError, match="dynamodb:PutItem") as caught:
            stores.runs.accept([one_off("a")])
        assert "table" in caught.value.ids

    def test_an_item_that_is_too_large(self, table: Table) -> None:
        with pytest.raises(StoreFullError, match="400 KB"):
            Table(boto3.client("dynamodb"), table.name).write(Put({"pk": "x", "sk": "x", "data": b"x" * 410_000}))

    def test_a_transaction_that_met_another_is_made_again(self, table: Table, dynamodb: Any) -> None:
        meter = Metered(dynamodb)
        collisions = [2]

        def collide(method: str, _arguments: dict[str, Any]) -> None:
            if method == "transact_write_items" and collisions[0]:
                collisions[0] -= 1
                reasons = [{"Code": "TransactionConflict"}, {"Code": "None"}]
                raise ClientError(
                    {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons},
                    "TransactWriteItems",
                )

        meter.before = collide
        waits: list[float] = []
        both = [Put({"pk": "a", "sk": "a"}), Put({"pk": "b", "sk": "b"})]
        Table(meter, table.name, waits.append).transact(both)
        assert len(waits) == 2
        assert meter.calls["transact_write_items"] == 1


class TestBacklog:
    """A change that is larger than a transaction."""

    def _large(self) -> Any:
        before = stored("s")
        rows = tuple(fired("s", T0 + n) for n in range(150))
        runs = tuple(recurring("s", T0 + n, held=n > 0) for n in range(150))
        return before, change(before, ticks=rows, runs=runs, fired=150)

    @pytest.mark.parametrize("dies_at", [0, 1, 3, 7])
    def test_it_is_finished_by_whoever_comes_next(
        self, table: Table, dynamodb: Any, make_table: Callable[[], Table], dies_at: int
    ) -> None:
        before, decision = self._large()
        DynamoSchedules(table).create([before])
        meter, left = Metered(dynamodb), [dies_at]

        def die(method: str, _arguments: dict[str, Any]) -> None:
            if method == "transact_write_items":
                if not left[0]:
                    raise KeyboardInterrupt
                left[0] -= 1

        meter.before = die
        with pytest.raises(KeyboardInterrupt):
            DynamoSchedules(Table(meter, table.name)).apply([decision])
        stores = DynamoStores(DynamoSchedules(table), DynamoRuns(table))
        assert stores.schedules.get(["s"]) == [decision.after]
        assert stores.schedules.ticks("s", 0, 2**60, 1000) == list(decision.ticks)
        assert stores.runs.due(2**60, 1000) == [recurring("s", T0)]
        assert len(stores.schedules.open_runs(["s"])["s"].held) == 149
        assert stores.schedules.apply([decision]) == [False]

    def test_a_crash_before_it_holds_leaves_nothing_of_it(self, table: Table, dynamodb: Any) -> None:
        before, decision = self._large()
        DynamoSchedules(table).create([before])
        meter = Metered(dynamodb)

        def die(method: str, _arguments: dict[str, Any]) -> None:
            if method == "update_item":
                raise KeyboardInterrupt

        meter.before = die
        with pytest.raises(KeyboardInterrupt):
            DynamoSchedules(Table(meter, table.name)).apply([decision])
        stores = DynamoStores(DynamoSchedules(table), DynamoRuns(table))
        assert stores.schedules.get(["s"]) == [before]
        assert stores.schedules.ticks("s", 0, 2**60, 1000) == []
        assert stores.runs.due(2**60, 1000) == []
        assert stores.schedules.apply([decision]) == [True]

    def test_cancelling_many_when_a_schedule_is_deleted(self, stores: DynamoStores) -> None:
        before, decision = self._large()
        stores.schedules.create([before])
        assert stores.schedules.apply([decision]) == [True]
        [row] = stores.schedules.get(["s"])
        keys = tuple(run.key for run in decision.runs)
        stores.runs.claim([begun(recurring("s", T0))])
        gone = type(decision)("s", row.state.version, None, cancel=keys, at=T0)
        assert stores.schedules.apply([gone]) == [True]
        assert stores.schedules.get(["s"]) == []
        assert stores.runs.counts() == {"pending": 0, "held": 0, "running": 1, "dead": 0}
        assert stores.runs.cancelled([keys[0]]) == [keys[0]]
        stores.schedules.create([stored("s")])
        assert len(stores.schedules.get(["s"])) == 1
