"""What `rota cost` says, against what the emulator counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from rota.app import App
from rota.aws.dynamo.far import DynamoFar
from rota.aws.dynamo.leases import DynamoLeases
from rota.aws.dynamo.runs import DynamoRuns
from rota.aws.dynamo.schedules import DynamoSchedules
from rota.aws.dynamo.schema import create_table
from rota.aws.dynamo.table import Table
from rota.aws.feeder import Fed
from rota.aws.firing_cost import _READS, _SENT, _WRITES, Assumed, accepting, firing
from rota.aws.handlers.feeder import _tell
from rota.aws.sessions import client
from rota.aws.standing_cost import FED_METRICS, FEED_READS, FEED_WRITES, app_template, firing_metrics, standing
from rota.cli.main import app
from rota.core.batch import Topology
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
    assert writes == FEED_WRITES
    assert reads <= FEED_READS


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
    plain = app_template(App("plain"))
    assert standing(plain, shards=8).dollars > standing(plain, shards=4).dollars


def an_app(*topologies: Topology) -> App:
    made = App("shop")
    for topology in topologies:
        made.batch(topology, source="s3://a/in.jsonl", task="tidy", sink="out/", topology=topology)
    return made


@pytest.mark.parametrize(
    ("topologies", "alarms", "polled", "lanes"),
    [((), 21, 4, 0), (("queue",), 34, 8, 2), (("queue", "map", "pipeline"), 49, 8, 4)],
)
def test_a_stack_is_paid_for_as_its_template_has_it(
    topologies: tuple[Topology, ...], alarms: int, polled: int, lanes: int
) -> None:
    """Of a stack that is idle for 30 days: 15 requests a minute for each queue that a function reads."""
    used = standing(app_template(an_app(*topologies)))
    month = 30 * 24 * 60
    assert used.alarms == alarms
    assert (used.queue_requests, used.fifo_requests) == (polled * 15 * month, lanes * 15 * month)
    assert used.invocations == month + (30 * 24 if topologies else 0)


def test_the_metrics_of_an_idle_stack_are_those_of_the_feeder() -> None:
    told = list[str]()
    _tell(Fed(), lambda name, _value, _unit: told.append(name))
    assert len(set(told)) == FED_METRICS


def test_metrics_of_firings_are_paid_by_the_hour() -> None:
    assert firing_metrics(72).metrics == pytest.approx(0.3)
    assert firing_metrics(1_000_000).metrics == 3


def test_a_call_for_each_one_off_costs_more_than_the_one_off() -> None:
    assert accepting().dollars > firing("direct").dollars
    assert (accepting().invocations, accepting().write_units) == (1, 0)


def test_a_narrow_terminal_loses_no_service() -> None:
    text = CliRunner().invoke(app, ["cost", "examples/demo_aws/shop.py"], env={"COLUMNS": "80"})
    assert text.exit_code == 0, text.output
    assert "left out" not in text.output
    assert max(map(len, text.stdout.splitlines())) <= 80
    assert "  DynamoDB 1.89, SQS 1.24, CloudWatch 0.50, Lambda 0.33, X-Ray 0.25" in text.stdout.splitlines()


def test_an_app_with_a_batch_pays_for_its_stack() -> None:
    dollars = {}
    for example in ("demo_aws/shop.py", "random_values/random_values.py"):
        said = CliRunner().invoke(app, ["cost", f"examples/{example}", "--json"])
        dollars[example] = msgspec.json.decode(said.stdout)["stack_month"]["dollars"]
    assert dollars["random_values/random_values.py"] - dollars["demo_aws/shop.py"] > 2.5


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


def test_the_page_says_what_stacks_cost() -> None:
    page = Path("docs/how-to/costs-on-aws.md").read_text()
    stacks: tuple[tuple[Topology, ...], ...] = (
        (),
        ("queue",),
        ("queue", "map"),
        ("queue", "pipeline"),
        ("queue", "map", "pipeline"),
    )
    for topologies in stacks:
        used = standing(app_template(an_app(*topologies)))
        polled = (used.queue_requests + used.fifo_requests) / 15 / (30 * 24 * 60)
        assert f"| {used.alarms} | {polled:.0f} | {used.dollars:.2f} |" in page
