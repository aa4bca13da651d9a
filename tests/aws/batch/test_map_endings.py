"""Executions of maps that end where no state of theirs can tell of it: the planner is told, and sees to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.aws.batch import map_shop
from tests.aws.batch.map_stack import MapStack

from rota.aws.batch.map_machine import TOLD
from rota.aws.batch.map_start import execution_name
from rota.aws.batch.messages import EndedMessage, PlanMessage, encode_batch_message
from rota.core.batch import BatchRun
from rota.core.completion import Verdict
from rota.core.receipt import Counts
from rota.testing.emulator import Emulator

STOPPED = "its execution ended as ABORTED and left it unfinished: Stopped: by hand"


@pytest.fixture
def stack(aws: Emulator) -> MapStack:
    return MapStack(map_shop.app, "map_shop", Path(map_shop.__file__))


def declare(stack: MapStack, waits: float) -> None:
    given = [{"id": it, "price": 1.5, "waits": waits} for it in range(40)]
    map_shop.declare(stack.put("in/items.json", json.dumps(given).encode()), chunk_items=4)


def execution_of(stack: MapStack, run: BatchRun, turn: int = 0) -> dict[str, Any]:
    """The one of this turn."""
    [found] = [it for it in stack.executions() if it["name"] == execution_name(run, turn)]
    return found


def stop(stack: MapStack, execution: dict[str, Any]) -> None:
    stack.states.stop_execution(executionArn=execution["executionArn"], error="Stopped", cause="by hand")


def tell(stack: MapStack, execution: dict[str, Any]) -> None:
    """What EventBridge tells the planner."""
    stack.planner.handle(encode_batch_message(EndedMessage(execution["executionArn"])), 1, lambda: 60_000)


def stopped(stack: MapStack) -> tuple[BatchRun, dict[str, Any]]:
    """A batch run whose execution was stopped."""
    declare(stack, 0.5)
    run = stack.client.start("prices")
    stack.turn()
    execution = execution_of(stack, run)
    stop(stack, execution)
    return run, execution


def test_a_batch_run_ends_with_its_execution_and_the_cause_is_told(stack: MapStack) -> None:
    run, execution = stopped(stack)
    assert stack.client.get(run.id).is_open
    tell(stack, execution)
    ended = stack.ended(run.id)
    assert (ended.state, ended.error, ended.counts) == ("failed", STOPPED, Counts(0, 0))
    [told] = map(json.loads, stack.messages("failures"))
    assert (told["batch_run"], told["outcome"], told["error"]) == (run.id, "failed", STOPPED)
    assert told["receipt"] == ended.manifest != ""


def test_an_execution_may_be_told_of_again_and_after_its_batch_run_has_ended(stack: MapStack) -> None:
    run, execution = stopped(stack)
    for _ in range(2):
        tell(stack, execution)
    ended = stack.ended(run.id)
    tell(stack, execution)
    tell(stack, execution_of(stack, run, 1))
    assert stack.ended(run.id) == ended
    assert len(stack.executions()) == 2
    assert len(stack.messages("failures")) == 1


def test_what_is_told_late_does_not_end_a_redrive(stack: MapStack) -> None:
    run, execution = stopped(stack)
    tell(stack, execution)
    stack.ended(run.id)
    stack.client.redrive(run.id)
    stack.turn()
    tell(stack, execution)
    tell(stack, execution_of(stack, run, 1))
    again = stack.ended(run.id)
    assert (again.state, again.counts) == ("succeeded", Counts(40, 40))


def test_a_paused_batch_run_goes_on_in_another_execution_when_it_is_resumed(stack: MapStack) -> None:
    run, execution = stopped(stack)
    stack.client.pause(run.id)
    tell(stack, execution)
    stack.turn()
    assert stack.client.get(run.id).shown_state == "paused"
    stack.client.resume(run.id)
    ended = stack.ended(run.id)
    assert (ended.state, ended.counts) == ("succeeded", Counts(40, 40))
    assert stack.messages("failures") == []


def test_a_cancelled_batch_run_ends_as_cancelled(stack: MapStack) -> None:
    run, execution = stopped(stack)
    stack.client.cancel(run.id)
    tell(stack, execution)
    assert stack.ended(run.id).state == "cancelled"
    assert stack.messages("failures") == []


def test_an_end_that_was_decided_stands(stack: MapStack) -> None:
    run, execution = stopped(stack)
    stack.batches.ledger.decide(run.key, Verdict("failed", "too many"))
    tell(stack, execution)
    assert stack.ended(run.id).error == "too many"
    [told] = map(json.loads, stack.messages("failures"))
    assert told["error"] == "too many"


def test_one_that_goes_on_or_is_of_no_batch_run_changes_nothing(stack: MapStack) -> None:
    declare(stack, 0.2)
    run = stack.client.start("prices")
    stack.turn()
    tell(stack, execution_of(stack, run))
    machine = stack.batches.settings.machine
    given = json.dumps({"none": "of rota's"})
    strange = stack.states.start_execution(stateMachineArn=machine, name="strange", input=given)
    stop(stack, strange)
    tell(stack, strange)
    tell(stack, {"executionArn": strange["executionArn"].replace("strange", "gone")})
    assert stack.ended(run.id).state == "succeeded"


def test_what_the_execution_has_told_itself_is_not_told_again(stack: MapStack) -> None:
    declare(stack, 0.5)
    run = stack.client.start("prices")
    stack.turn()
    execution = execution_of(stack, run)
    stack.states.stop_execution(executionArn=execution["executionArn"], error=TOLD, cause="lost")
    tell(stack, execution)
    ended = stack.ended(run.id)
    assert ended.error == f"its execution ended as ABORTED and left it unfinished: {TOLD}: lost"
    assert stack.messages("failures") == []
    assert len(stack.executions()) == 1


def test_the_sweeper_has_it_told_too(stack: MapStack) -> None:
    run, _ = stopped(stack)
    stack.batches.post.plan(PlanMessage(run.id, "open", "sweep"))
    assert stack.ended(run.id).error == STOPPED
    assert len(stack.messages("failures")) == 1
