"""What `rota cost` says, against what the emulator counts."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from typer.testing import CliRunner

from rota.aws.dynamo.far import DynamoFar
from rota.aws.dynamo.leases import DynamoLeases
from rota.aws.dynamo.runs import DynamoRuns
from rota.aws.dynamo.schedules import DynamoSchedules
from rota.aws.dynamo.schema import create_table
from rota.aws.dynamo.table import Table
from rota.aws.firing_cost import _FEED_READS, _FEED_WRITES, _READS, _SENT, _WRITES, Assumed, firing, standing
from rota.aws.sessions import client
from rota.cli.main import app
from rota.testing.conformance.values import HOUR, T0, begun, change, ended, fired, one_off, recurring, stored
from rota.testing.emulator import Emulator

MILLION = 1_000_000


@pytest.fixture
def table(aws: Emulator) -> Table:
    dynamodb = client("dynamodb")
    create_table(dynamodb, "costs")
    return Table(dynamodb, "costs")


@pytest.fixture
def units(aws: Emulator) -> Callable[[Callable[[], object]], tuple[float, float]]:
    """The write and read units of a call."""

    def count(call: Callable[[], object]) -> tuple[float, float]:
        aws.reset_counts()
        call()
        billed = aws.billed()
        return billed.get("write_units", 0), billed.get("read_units", 0)

    return count


Units = Callable[[Callable[[], object]], tuple[float, float]]


def test_a_one_off_is_stored_claimed_and_settled_for_what_is_said(table: Table, units: Units) -> None:
    runs, run = DynamoRuns(table), one_off("a", payload=b'{"order":4711}')
    runs.accept([one_off("warm-up")])
    stored_for = units(lambda: runs.accept([run]))
    assert stored_for == (_WRITES["direct"], 0)
    claimed, settled = units(lambda: runs.claim([begun(run)])), units(lambda: runs.settle([ended(run)]))
    assert stored_for[0] + claimed[0] + settled[0] == _WRITES["one-off"]


def test_a_tick_is_decided_and_fired_for_what_is_said(table: Table, units: Units) -> None:
    schedules, runs = DynamoSchedules(table), DynamoRuns(table)
    row = stored("s", T0)
    schedules.create([row, stored("warm-up", T0 + HOUR)])
    [kept] = schedules.get(["s"])
    runs.accept([recurring("warm-up", T0)])
    made = change(kept, T0 + HOUR, ticks=(fired("s", T0),), runs=(recurring("s"),))
    assert made.after is not None
    state = msgspec.structs.replace(made.after.state, updated=T0)
    decision = msgspec.structs.replace(made, after=msgspec.structs.replace(made.after, state=state))
    reads = units(lambda: schedules.get(["s"]))[1] + units(lambda: schedules.open_runs(["s"]))[1]
    decided = units(lambda: schedules.apply([decision]))
    claimed, settled = (
        units(lambda: runs.claim([begun(recurring("s"))])),
        units(lambda: runs.settle([ended(recurring("s"))])),
    )
    assert decided[0] + claimed[0] + settled[0] == _WRITES["tick"]
    assert reads + decided[1] <= _READS["tick"] + 0.5


def test_a_long_attempt_says_that_it_lives_for_what_is_said(table: Table, units: Units) -> None:
    leases, key, other = DynamoLeases(table), one_off("a").key, one_off("b").key
    assert leases.until(key) == 0
    per_run = units(lambda: leases.extend([key, other], T0))[0] / 2
    long, short = firing("one-off", Assumed(target=25_000)), firing("one-off")
    assert long.write_units - short.write_units == 2 * per_run
    leases.extend([key], T0 + 1)
    assert (leases.until(key), leases.until(other)) == (T0 + 1, T0)


def test_a_pass_over_an_idle_shard_costs_what_is_said(table: Table, units: Units) -> None:
    far = DynamoFar(table)
    [shard, *_] = far.shards()

    def feed(until: int) -> None:
        lease = far.take(shard, until, T0, 1000, "me")
        assert lease is not None
        far.page(lease, None, 100)
        far.done(lease, until)

    feed(T0 + 1000)
    writes, reads = units(lambda: feed(T0 + 2000))
    assert writes == _FEED_WRITES
    assert reads <= _FEED_READS


def test_a_batch_of_messages_is_received_hidden_and_deleted() -> None:
    alone, together = firing("one-off"), firing("one-off", Assumed(together=10))
    assert alone.queue_requests - _SENT == 3
    assert together.queue_requests - _SENT == pytest.approx(0.3)
    # Two more times in the 25 seconds that a slow target takes.
    assert firing("one-off", Assumed(target=25_000)).queue_requests - _SENT == 5


def test_a_million_plain_one_offs_cost_less_than_a_dollar() -> None:
    assert firing("direct").times(MILLION).dollars < 1.0


def test_together_is_cheaper_than_one_by_one_and_a_slow_target_dearer() -> None:
    alone = firing("one-off", Assumed()).dollars
    assert firing("one-off", Assumed(together=10)).dollars < alone < firing("one-off", Assumed(target=500)).dollars
    assert standing(shards=8).dollars > standing(shards=4).dollars


def test_the_command_adds_up(tmp_path: object) -> None:
    answer = CliRunner().invoke(app, ["cost", "examples/demo_aws/shop.py", "--json"])
    assert answer.exit_code == 0, answer.output
    said = msgspec.json.decode(answer.stdout)
    stock = said["schedules_month"]["stock"]
    assert stock["firings"] == 30 * 24 * 360
    assert stock["dollars"] == pytest.approx(sum(line["dollars"] for line in stock["lines"]))
    assert set(said["million_firings"]) == {"direct", "one-off", "tick"}
    text = CliRunner().invoke(app, ["cost"])
    assert "EventBridge Scheduler" in text.stdout
