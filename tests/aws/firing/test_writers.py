"""Clients that die in the middle of a call: what was acknowledged before goes on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.aws.firing.world import HOOK, MINUTE, SECOND, Stack

from rota.client import Client
from rota.core.errors import StoreError
from rota.core.ids import moment
from rota.core.triggers import At, Every
from rota.testing import Crash, Fuse

Call = Callable[[Client, Stack], object]


def retimed(client: Client, stack: Stack) -> None:
    client.schedules.update("often", trigger=Every("40s"))


def described(client: Client, stack: Stack) -> None:
    client.schedules.update("often", description="new")


def paused_and_resumed(client: Client, stack: Stack) -> None:
    client.schedules.pause("often")
    client.schedules.resume("often")


EDITS: dict[str, Call] = {it.__name__: it for it in (retimed, described, paused_and_resumed)}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("late", [0, 30 * SECOND])
@pytest.mark.parametrize("edit", EDITS)
def test_a_schedule_goes_on_whoever_dies_while_changing_it(edit: str, late: int, after: bool) -> None:
    """late: a tick is due and not decided on, so that the client decides on it."""
    dies_at = 0
    while True:
        dies_at += 1
        stack = Stack(shards=2)
        stack.client.schedules.create("often", Every("1m"), HOOK, overlap="allow")
        stack.pass_by(5 * MINUTE + SECOND)
        stack.clock.advance(MINUTE - SECOND + late)
        died = False
        try:
            EDITS[edit](stack.dying_client(Fuse(dies_at, after=after)), stack)
        except Crash:
            died = True
        stack.pass_by(10 * MINUTE)
        row = stack.client.schedules.get("often")
        if row.state.paused is not None:
            stack.client.schedules.resume("often")
            stack.pass_by(10 * MINUTE)
        fired = stack.fired()
        assert len(set(fired)) == len(fired)
        assert len(fired) >= 14, (dies_at, after)
        now = stack.clock.now()
        assert stack.client.schedules.get("often").state.next_tick in range(now - SECOND, now + MINUTE + SECOND)
        assert {run.state for run in stack.client.runs.list(schedule="often", limit=100)} == {"succeeded"}
        if not died:
            return


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("moved", [-MINUTE, 20 * SECOND, 4 * MINUTE])
def test_a_one_off_that_is_moved_fires_at_one_of_the_two_times(moved: int, after: bool) -> None:
    dies_at = 0
    while True:
        dies_at += 1
        stack = Stack(shards=2)
        stack.client.at((stack.clock.now() + 10 * MINUTE) / 1000, HOOK, id="once")
        stack.pass_by(MINUTE + SECOND)
        died = False
        try:
            trigger = At(moment(stack.clock.now() + moved))
            stack.dying_client(Fuse(dies_at, after=after)).schedules.update("once", trigger=trigger)
        except Crash:
            died = True
        stack.pass_by(15 * MINUTE)
        assert len(stack.fired()) == 1, (dies_at, after)
        if not died:
            return


@pytest.mark.parametrize("after", [False, True])
def test_a_dead_letter_is_there_or_redriven(after: bool) -> None:
    dies_at = 0
    while True:
        dies_at += 1
        stack = Stack()
        stack.fail = lambda _: True
        run = stack.client.at((stack.clock.now() + SECOND) / 1000, HOOK)
        stack.pass_by(MINUTE)
        stack.fail = lambda _: False
        died = False
        try:
            stack.dying_client(Fuse(dies_at, after=after)).dead_letters.redrive(run)
        except Crash:
            died = True
        stack.pass_by(MINUTE)
        dead = [letter.id for letter in stack.client.dead_letters.list()]
        assert dead == [run] or stack.client.runs.get(run).state == "succeeded", (dies_at, after)
        if not died:
            return


@pytest.mark.parametrize("after", [False, True])
def test_a_run_that_a_dying_client_accepted_is_attempted_although_no_feeder_ran(after: bool) -> None:
    dies_at = 0
    while True:
        dies_at += 1
        stack = Stack()
        stack.client.schedules.create("often", Every("10m"), HOOK, overlap="allow")
        stack.pass_by(SECOND)
        stack.feeding = False
        stack.pass_by(10 * MINUTE)
        died = False
        try:
            stack.dying_client(Fuse(dies_at, after=after)).schedules.update("often", description="new")
        except Crash:
            died = True
        stack.pass_by(MINUTE)
        runs = stack.client.runs.list(schedule="often")
        assert {run.state for run in runs} <= {"succeeded"}, (dies_at, after)
        if not died:
            assert len(runs) == 1
            return


def test_what_could_not_be_handed_over_is_an_error_and_nothing_of_it_fires() -> None:
    stack = Stack()
    stack.client.schedules.create("kept", At(moment(stack.clock.now() + 5 * MINUTE)), HOOK)
    stack.feed()
    stack.sqs.partial = lambda _: True
    soon = stack.clock.now() + 30 * SECOND
    with pytest.raises(StoreError, match="SQS did not take"):
        stack.client.at(soon / 1000, HOOK)
    with pytest.raises(StoreError, match="SQS did not take"):
        stack.client.schedules.create("new", At(moment(soon)), HOOK)
    with pytest.raises(StoreError, match="SQS did not take"):
        stack.client.schedules.update("kept", trigger=At(moment(soon)))
    stack.sqs.partial = None
    stack.pass_by(10 * MINUTE)
    assert stack.fired() == ["kept@2026-01-01T00:05:00Z"]
    assert [row.id for row in stack.client.schedules.list()] == ["kept"]
    assert {run.state for run in stack.client.runs.list()} == {"succeeded", "cancelled"}
