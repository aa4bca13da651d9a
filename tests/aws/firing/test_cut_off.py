"""A firing whose function died in the middle is repeated soon, and none is that goes on."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest
from botocore.exceptions import ClientError
from tests.aws.firing.world import DISPATCH, FUNCTION, HOOK, MINUTE, ORDERS, SECOND, VISIBILITY, Stack, client_error

from rota.aws.attempts import Signal
from rota.aws.dispatcher import Delivered
from rota.aws.holding import HELD
from rota.aws.leases import LEASE
from rota.aws.messages import encode_message, run_message
from rota.aws.receipts import Receipts
from rota.core.errors import TargetError
from rota.core.ids import parse_run_id
from rota.core.outcome import Result
from rota.core.run import Run, RunKey
from rota.testing import Crash, Fuse
from rota.testing.sqs import DEDUPLICATED


@pytest.mark.parametrize("after", [False, True])
def test_a_dispatcher_that_dies_at_any_call_is_noticed_within_forty_seconds(after: bool) -> None:
    dies_at, died = 0, True
    while died:
        dies_at, died = dies_at + 1, False
        stack = Stack()
        run = stack.client.at((stack.clock.now() + SECOND) / 1000, HOOK)
        stack.feed()
        stack.clock.advance(SECOND)
        due = stack.clock.now()
        try:
            stack.deliver(fuse=Fuse(dies_at, after=after))
        except Crash:
            died = True
        stack.pass_by(MINUTE)
        assert stack.client.runs.get(run).state == "succeeded"
        assert stack.attempts[-1][1] <= due + LEASE, (dies_at, after)
    assert dies_at > 3


def test_the_message_of_who_died_before_its_claim_comes_back_after_half_a_minute() -> None:
    stack = Stack()
    run = stack.client.at((stack.clock.now() + SECOND) / 1000, HOOK)
    stack.feed()
    stack.clock.advance(SECOND)
    due = stack.clock.now()
    with pytest.raises(Crash):
        stack.deliver(fuse=Fuse(1))
    stack.pass_by(MINUTE)
    assert stack.attempts == [(run, due + HELD * 1000)]
    assert HELD * 1000 < VISIBILITY


def test_a_long_attempt_that_lives_is_not_repeated_however_often_its_message_comes() -> None:
    stack = Stack()
    run = stack.client.at((stack.clock.now() + SECOND) / 1000, HOOK)
    stack.feed()
    stack.clock.advance(SECOND)
    begun, goes_on = threading.Event(), threading.Event()
    attempts: list[Run] = []

    def perform(run: Run, _signal: Signal) -> bytes | None:
        attempts.append(run)
        begun.set()
        assert goes_on.wait(60)
        return None

    message = _message(stack, run)
    first = stack.dispatcher(perform=perform, every=0.01)
    at_work = threading.Thread(target=lambda: first.handle([message], lambda: FUNCTION))
    at_work.start()
    assert begun.wait(60)
    for _ in range(10):
        stack.leases.extended.clear()
        assert stack.leases.extended.wait(60)
        stack.clock.advance(LEASE - SECOND)
        stack.leases.extended.clear()
        assert stack.leases.extended.wait(60)
        assert stack.dispatcher(perform=perform).handle([message._replace(received=2)], lambda: FUNCTION) == []
    assert len(attempts) == 1
    assert stack.client.runs.get(run).state == "running"
    goes_on.set()
    at_work.join()
    assert stack.client.runs.get(run).state == "succeeded"


def test_a_long_attempt_that_died_is_repeated_once_its_last_word_is_old() -> None:
    stack = Stack()
    run = stack.client.at((stack.clock.now() + SECOND) / 1000, HOOK)
    stack.feed()
    stack.clock.advance(SECOND)
    with pytest.raises(Crash):
        stack.deliver(fuse=Fuse(4))
    last = stack.clock.now() + 50 * SECOND
    stack.leases.extend([RunKey(*parse_run_id(run))], last + LEASE)
    stack.pass_by(10 * MINUTE)
    assert [at for _, at in stack.attempts][1:] == [last + LEASE]


def test_a_message_to_a_fifo_queue_that_was_cut_off_is_in_it_once() -> None:
    stack = Stack()
    run = stack.client.at((stack.clock.now() + SECOND) / 1000, f"sqs:{ORDERS}", {"n": 1})
    stack.feed()
    stack.clock.advance(SECOND)
    with pytest.raises(Crash):
        stack.deliver(fuse=Fuse(4))
    assert stack.client.runs.get(run).state == "running"
    assert len(stack.sqs.bodies(ORDERS)) == 1
    sent = stack.clock.now()
    stack.pass_by(10 * MINUTE)
    record = stack.client.runs.get(run)
    assert (record.state, record.attempt) == ("succeeded", 2)
    assert record.started is not None
    assert record.started < sent + DEDUPLICATED
    assert len(stack.sqs.bodies(ORDERS)) == 1
    assert stack.sqs.calls["SendMessage"] == 2


def test_what_goes_wrong_comes_again_later_and_later() -> None:
    stack = Stack()
    sent = Delivered("1", "{}")
    stack.sqs.send_message(QueueUrl=DISPATCH, MessageBody=sent.body)
    began, waits = stack.clock.now(), list[int]()
    for _ in range(10):
        before = stack.clock.now()
        assert stack.deliver() == 1
        [held] = stack.sqs.held[DISPATCH]
        waits.append((held.visible - before) // 1000)
        stack.clock.set(held.visible)
    assert waits == [30, 60, 120, 240, 480, 960, 1920, 3840, 7200, 7200]
    assert stack.clock.now() - began > 6 * 3_600_000


def test_a_message_is_hidden_no_longer_than_its_function_may_live() -> None:
    stack = Stack()
    stack.sqs.send_message(QueueUrl=DISPATCH, MessageBody="{}")
    [held] = stack.sqs.due(DISPATCH, visibility=VISIBILITY)
    receipts = Receipts(stack.sqs, DISPATCH, [Delivered(held.id, held.body, 1, held.receipt)], 8)
    receipts.hide()
    assert held.visible == stack.clock.now() + 8 * SECOND
    receipts.put_back([])
    assert stack.sqs.calls["ChangeMessageVisibilityBatch"] == 1, "who puts back nothing asks nothing"


def test_who_cannot_put_a_message_back_leaves_that_to_time(caplog: pytest.LogCaptureFixture) -> None:
    stack = Stack()
    stack.sqs.send_message(QueueUrl=DISPATCH, MessageBody="{}")
    [held] = stack.sqs.due(DISPATCH, visibility=VISIBILITY)
    receipts = Receipts(stack.sqs, DISPATCH, [Delivered(held.id, held.body, 1, held.receipt)], 60)

    def fault(action: str) -> None:
        raise client_error("ThrottlingException", "not now", 400, action)

    stack.sqs.fault = fault
    with pytest.raises(ClientError):
        receipts.hide()
    receipts.put_back([held.id])
    assert "could not be put back" in caplog.text
    assert held.visible == stack.clock.now() + VISIBILITY


def test_an_interrupted_attempt_is_asked_for_before_it_is_repeated() -> None:
    for known, attempts in ((None, 2), (Result(0, 1, b'"done"'), 1)):
        stack = Stack()
        stack.known = lambda _, known=known: known  # type: ignore[misc]
        run = stack.client.at((stack.clock.now() + SECOND) / 1000, HOOK)
        stack.feed()
        stack.clock.advance(2 * SECOND)
        with pytest.raises(Crash):  # the third call settles
            stack.deliver(fuse=Fuse(4))
        assert stack.client.runs.get(run).state == "running"
        stack.pass_by(10 * MINUTE)
        record = stack.client.runs.get(run)
        assert record.state == "succeeded"
        assert len(stack.attempts) == attempts
        assert record.attempt == attempts


def test_at_most_once_is_not_repeated_after_a_death() -> None:
    stack = Stack()
    run = stack.client.at((stack.clock.now() + SECOND) / 1000, HOOK, delivery="at_most_once")
    stack.feed()
    stack.clock.advance(2 * SECOND)
    with pytest.raises(Crash):
        stack.deliver(fuse=Fuse(4))
    stack.pass_by(10 * MINUTE)
    assert stack.client.runs.get(run).state == "interrupted"
    assert len(stack.attempts) == 1


def test_a_run_that_kills_its_function_every_time_ends_as_a_dead_letter() -> None:
    stack = Stack()
    run = stack.client.at((stack.clock.now() + SECOND) / 1000, HOOK)
    stack.feed()
    fuse = Fuse()

    def kill(_: Run) -> bool:
        fuse.burnt = True
        return False

    stack.fail = kill
    for _ in range(12):
        stack.clock.advance(2 * MINUTE)
        fuse.burnt = False
        with suppress(Crash):
            stack.deliver(fuse=fuse)
    assert len(stack.attempts) == 3
    assert stack.client.runs.get(run).state == "failed"
    assert [letter.id for letter in stack.client.dead_letters.list()] == [run]


def _message(stack: Stack, run: str) -> Delivered:
    key = RunKey(*parse_run_id(run))
    record = stack.stores.runs.get(key)
    if record is None:
        raise TargetError("no such run")
    made = Run(*key, record.due, record.spec)
    return Delivered("1", encode_message(run_message(made)))
