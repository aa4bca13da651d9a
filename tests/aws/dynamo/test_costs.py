"""What calls cost in write units: for runs of a schedule and one-offs below 1 KB."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.aws.dynamo.metering import Metered

from rota.aws.dynamo.far import DynamoFar
from rota.aws.dynamo.runs import DynamoRuns
from rota.aws.dynamo.schedules import DynamoSchedules
from rota.aws.dynamo.table import Table
from rota.core.run import RunKey
from rota.testing.conformance.values import (
    HOUR,
    T0,
    again,
    begun,
    change,
    deletion,
    died,
    ended,
    fired,
    one_off,
    recurring,
    stored,
)

PAYLOAD = b'{"data": "' + b"x" * 400 + b'"}'


@pytest.fixture
def meter(table: Table, dynamodb: Any) -> Metered:
    return Metered(dynamodb)


@pytest.fixture
def runs(table: Table, meter: Metered) -> DynamoRuns:
    store = DynamoRuns(Table(meter, table.name))
    store.accept([one_off("warm-up")])
    meter.reset()
    return store


@pytest.fixture
def schedules(table: Table, meter: Metered) -> DynamoSchedules:
    store = DynamoSchedules(Table(meter, table.name))
    store.create([stored("warm-up", T0), stored("warm-up-2", T0 + HOUR)])
    meter.reset()
    return store


def test_accepting_a_one_off_is_one_unit_in_one_request(runs: DynamoRuns, meter: Metered) -> None:
    runs.accept([one_off("order-4711-confirmation-mail", payload=PAYLOAD)])
    assert meter.writes == 1
    assert meter.calls == {"put_item": 1}
    assert meter.reads == 0


def test_an_hour_is_entered_into_the_directory_once(runs: DynamoRuns, meter: Metered) -> None:
    runs.accept([one_off("first", T0 + 5 * HOUR)])
    assert meter.writes == 2
    meter.reset()
    runs.accept([one_off("second", T0 + 5 * HOUR + 1)])
    assert meter.writes == 1


def test_claiming_and_settling_are_one_unit_each(runs: DynamoRuns, meter: Metered) -> None:
    run = one_off("a", payload=PAYLOAD)
    runs.accept([run])
    meter.reset()
    assert runs.claim([begun(run)]) == [True]
    assert (meter.writes, meter.reads) == (1, 0)
    meter.reset()
    runs.settle([ended(run, value=b'"sent"')])
    assert (meter.writes, meter.reads) == (1, 0)


def test_a_large_payload_is_not_written_again_when_the_state_changes(runs: DynamoRuns, meter: Metered) -> None:
    run = one_off("large", payload=b'"' + b"x" * 100_000 + b'"')
    runs.accept([run])
    meter.reset()
    runs.claim([begun(run)])
    runs.settle([ended(run)])
    assert meter.writes == 2


def test_thousands_are_accepted_at_one_unit_each(runs: DynamoRuns, meter: Metered) -> None:
    runs.accept([one_off(f"r{n}", payload=PAYLOAD) for n in range(1000)])
    assert meter.writes == 1000
    assert meter.calls["batch_write_item"] == 40
    meter.reset()
    runs.accept([one_off(f"fresh{n}", payload=PAYLOAD) for n in range(1000)], fresh=True)
    assert (meter.writes, meter.reads) == (1000, 0)


def test_another_attempt_is_three_units(runs: DynamoRuns, meter: Metered) -> None:
    run = one_off("a")
    runs.accept([run])
    runs.claim([begun(run)])
    meter.reset()
    runs.settle([again(run, T0 + 60_000)])
    assert meter.writes == 3


def test_a_dead_letter_is_six_units(runs: DynamoRuns, meter: Metered) -> None:
    run = one_off("a")
    runs.accept([run])
    runs.claim([begun(run)])
    meter.reset()
    runs.settle([died(run)])
    assert meter.writes == 6


def test_creating_a_schedule_is_three_units(schedules: DynamoSchedules, meter: Metered) -> None:
    schedules.create([stored("nightly")])
    assert meter.writes == 3


def test_a_decision_that_fires_is_six_units(schedules: DynamoSchedules, meter: Metered) -> None:
    row = stored("s", T0)
    schedules.create([row])
    [kept] = schedules.get(["s"])
    meter.reset()
    decision = change(kept, T0 + HOUR, ticks=(fired("s", T0),), runs=(recurring("s"),))
    assert decision.after is not None
    assert schedules.apply([_same_definition(decision)]) == [True]
    assert meter.writes == 6


def _same_definition(decision: Any) -> Any:
    state = msgspec.structs.replace(decision.after.state, updated=T0)
    return msgspec.structs.replace(decision, after=msgspec.structs.replace(decision.after, state=state))


def test_feeding_a_shard_is_two_units(table: Table, meter: Metered) -> None:
    far = DynamoFar(Table(meter, table.name))
    shard = far.shards()[0]
    meter.reset()
    lease = far.take(shard, T0, T0, 60_000, "feeder")
    assert lease is not None
    assert far.page(lease, None, 100) == ([], None)
    assert far.done(lease, T0)
    assert meter.writes == 2


def test_a_finished_run_expires_and_a_claimed_one_does_not(table: Table, runs: DynamoRuns, dynamodb: Any) -> None:
    run = one_off("a")
    runs.accept([run])
    runs.claim([begun(run)])
    assert "expires" not in _item(dynamodb, table, run.key)
    runs.settle([ended(run)])
    assert int(_item(dynamodb, table, run.key)["expires"]["N"]) > T0 // 1000


def _item(dynamodb: Any, table: Table, key: RunKey) -> Any:
    for item in dynamodb.scan(TableName=table.name)["Items"]:
        if "state" in item and f"#{key.schedule_id}#" in item["sk"]["S"]:
            return item
    raise LookupError(key)


def test_a_dead_letter_waits_without_limit_until_it_is_purged(table: Table, runs: DynamoRuns, dynamodb: Any) -> None:
    run = one_off("a", payload=b'"' + b"x" * 5000 + b'"')
    runs.accept([run])
    runs.settle([again(run, T0 + 1)])
    [second] = [one for one in runs.due(T0 + 1, 10) if one.attempt]
    runs.settle([died(second, started=T0 + 1)])
    kept = [item for item in dynamodb.scan(TableName=table.name)["Items"] if item["pk"]["S"][:2] in ("A#", "B#", "X#")]
    assert sorted(item["pk"]["S"][:2] for item in kept) == ["A#", "A#", "B#", "X#"]
    assert not [item for item in kept if "expires" in item]
    assert "expires" not in _item(dynamodb, table, run.key)
    assert runs.purge([run.key]) == [run.key]
    left = [item for item in dynamodb.scan(TableName=table.name)["Items"] if item["pk"]["S"][:2] in ("A#", "B#")]
    assert len([item for item in left if "expires" in item]) == 3


def test_runs_share_the_large_payload_of_their_schedule_and_a_dead_letter_has_its_own(
    schedules: DynamoSchedules, table: Table, meter: Metered
) -> None:
    row = stored("s", T0)
    large = msgspec.structs.replace(row.schedule, payload=b'"' + b"x" * 50_000 + b'"')
    row = msgspec.structs.replace(row, schedule=large)
    schedules.create([row])
    runs = [msgspec.structs.replace(recurring("s", T0 + n), payload=large.payload) for n in range(2)]
    meter.reset()
    decision = change(row, T0 + HOUR, ticks=tuple(fired("s", run.scheduled) for run in runs), runs=tuple(runs))
    assert schedules.apply([_same_definition(decision)]) == [True]
    assert meter.writes == 10, "the payload is not written again"
    store = DynamoRuns(table)
    assert store.due(T0 + 1, 10) == runs
    store.settle([died(runs[0])])
    [kept] = schedules.get(["s"])
    assert schedules.apply([deletion(kept)]) == [True]
    letter = store.dead_letter(runs[0].key)
    assert letter is not None
    assert letter.payload == large.payload
    blobs = [item for item in table._client.scan(TableName=table.name)["Items"] if item["pk"]["S"].startswith("B#")]
    assert sorted("expires" in item for item in blobs) == [False, True]
    assert store.redrive([letter_key := runs[0].key], T0 + HOUR) == [letter_key]
    assert store.due(T0 + HOUR, 10)[-1].payload == large.payload
