"""Settings, messages, figures, ticks and attempts, each by itself."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.aws.apps import load_app
from rota.aws.attempts import Signal, attempt, performing
from rota.aws.emf import Emf
from rota.aws.handover import Onward, ticks_between
from rota.aws.messages import RunMessage, TickMessage, decode_message, encode_message
from rota.aws.settings import StackSettings
from rota.core.errors import InvalidError
from rota.core.run import Run, RunSpec
from rota.core.schedule import Schedule, new_schedule
from rota.core.target import QueueTarget, TaskTarget
from rota.core.triggers import Cron, Every
from rota.testing import FakeClock

ENVIRONMENT = {
    "ROTA_STACK": "shop",
    "ROTA_TABLE": "shop-table",
    "ROTA_DISPATCH_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/shop-dispatch",
    "ROTA_WORKER_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/shop-worker",
    "ROTA_QUEUE_PREFIX": "https://sqs.us-east-1.amazonaws.com/123456789012/shop-",
}


def test_settings_come_from_the_environment() -> None:
    found = StackSettings.from_env({**ENVIRONMENT, "ROTA_HORIZON": "300", "ROTA_LARGE_PAYLOADS": "1"})
    assert (found.stack, found.horizon, found.feeder_period, found.large_payloads) == ("shop", 300, 60, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [("ROTA_TABLE", ""), ("ROTA_HORIZON", "soon"), ("ROTA_HORIZON", "1200"), ("ROTA_FEEDER_PERIOD", "140")],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(InvalidError, match=name):
        StackSettings.from_env({**ENVIRONMENT, name: value})


def test_a_stack_that_rota_did_not_make_is_refused() -> None:
    with pytest.raises(InvalidError, match="no output Table"):
        StackSettings.from_outputs("other", {"Bucket": "b"})


names = st.from_regex(r"[a-z][a-z0-9._:/+-]{0,20}", fullmatch=True)
times = st.integers(0, 2**42)


@given(id=names, scheduled=times, due=times, recurring=st.booleans(), precise=st.booleans())
def test_messages_survive_the_journey(id: str, scheduled: int, due: int, recurring: bool, precise: bool) -> None:
    run = RunMessage(id, scheduled, due, recurring, precise)
    assert decode_message(encode_message(run)) == run
    tick = TickMessage(id, due, precise)
    assert decode_message(encode_message(tick)) == tick


@given(
    every=st.sampled_from([0.05, 1, 7, 60, 3600, 86_400]),
    start=st.integers(-7_200_000, 200_000),
    length=st.integers(0, 900_000),
)
def test_each_tick_has_its_time_or_one_that_stands_for_it(every: float, start: int, length: int) -> None:
    now = FakeClock().now()
    stored = new_schedule(Schedule(id="a", trigger=Every(every), target=QueueTarget("q")), now)
    trigger = stored.schedule.trigger
    first = trigger.next_tick(now + start)
    assert first is not None
    until = first.at + length
    found, following = ticks_between(Onward(stored, first.at, until), now)
    after = trigger.next_tick(until)
    assert following == (after.at if after else None), "the chain goes on with the first tick behind"
    assert found == sorted(set(found))
    assert all(first.at <= at <= until for at in found)
    ticks, at = list[int](), first.at
    while at <= until and len(ticks) < 500:
        ticks.append(at)
        at = trigger.next_tick(at).at  # type: ignore[union-attr]
    for tick in ticks:
        later = [one for one in found if one >= tick]
        assert later, "nobody would decide on this tick"
        assert tick < now or later[0] - tick <= 100
    assert sum(at <= now for at in found) <= 2


def test_a_chain_ends_with_its_trigger() -> None:
    now = FakeClock().now()
    trigger = Cron("0 * * * * ?", end="2026-01-01T00:02:00Z")
    stored = new_schedule(Schedule(id="a", trigger=trigger, target=QueueTarget("q")), now)
    assert ticks_between(Onward(stored, now + 60_000, now + 600_000), now) == ([now + 60_000, now + 120_000], None)


def test_figures_are_lines_that_cloudwatch_reads() -> None:
    lines: list[str] = []
    emf = Emf("shop", FakeClock(), lines.append)
    for n in range(250):
        emf.put("Lateness", n, "Milliseconds")
        emf.put("Fired", 1, "Count")
    emf.flush()
    emf.flush()
    read: list[dict[str, Any]] = [msgspec.json.decode(line) for line in lines]
    assert [len(line["Lateness"]) for line in read] == [100, 100, 50]
    assert read[0]["Fired"] == 250
    assert "Fired" not in read[1]
    [metric] = read[0]["_aws"]["CloudWatchMetrics"]
    assert (metric["Namespace"], metric["Dimensions"], read[0]["stack"]) == ("rota", [["stack"]], "shop")
    assert {"Name": "Fired", "Unit": "Count"} in metric["Metrics"]


RUN = Run("a", 0, 0, RunSpec(TaskTarget("t")))


def test_an_attempt_ends_with_the_function_and_says_so() -> None:
    def hang(_run: Run, signal: Signal) -> None:
        while not signal.cancel:
            time.sleep(0.005)

    result = attempt(RUN, hang, FakeClock(), timeout=None, left=lambda: 2100, asked=lambda: False)
    assert result.failure is not None
    assert "give it a longer timeout" in result.failure.message


def test_a_target_that_nobody_can_carry_out_fails_for_good() -> None:
    result = attempt(RUN, performing({}), FakeClock(), timeout=1, left=lambda: 9000, asked=lambda: False)
    assert result.failure is not None
    assert not result.failure.transient


def test_the_app_of_the_worker_is_found_or_the_error_says_how_to_name_it() -> None:
    assert load_app("tests.aws.firing.shop").name == "shop"
    assert load_app("tests.aws.firing.shop:app").name == "shop"
    for wrong in ("", "tests.aws.firing.shop:done", "json"):
        with pytest.raises(InvalidError, match="ROTA_APP"):
            load_app(wrong)


@pytest.mark.parametrize("name", ["feeder", "dispatcher", "worker", "adhoc", "dead"])
def test_a_handler_imports_little_and_makes_nothing(name: str) -> None:
    script = f"import sys, rota.aws.handlers.{name}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env={})
    loaded = set(done.stdout.split())
    heavy = {
        "httpx",
        "httpcore",
        "pyarrow",
        "typer",
        "rich",
        "litestar",
        "jinja2",
        "icalendar",
        "aws_xray_sdk",
        "zstandard",
    }
    assert loaded & heavy == set()
    if name != "worker":
        assert "asyncio" not in loaded
