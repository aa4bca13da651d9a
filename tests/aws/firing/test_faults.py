"""Firing on AWS where much goes wrong: each time nothing is lost, and nothing fires that was cancelled."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.aws.firing.world import DATA, DEAD, DISPATCH, FUNCTION, HOOK, HOUR, MINUTE, SECOND, Stack, client_error

from rota.aws.dispatcher import Delivered
from rota.core.errors import ConflictError, StoreError
from rota.core.retry import Retry
from rota.core.triggers import Every
from rota.testing import Crash, Fuse


def load(stack: Stack, runs: int = 20, span: int = 20 * MINUTE) -> tuple[list[str], list[str]]:
    """One-offs spread over `span` and two schedules; every fifth run is cancelled. Answers (kept, cancelled)."""
    kept, cancelled = [], []
    for n in range(runs):
        run = stack.client.at((stack.clock.now() + (n + 1) * span // runs) / 1000, HOOK, n)
        if n % 5 == 4:
            stack.client.runs.cancel(run)
            cancelled.append(run)
        else:
            kept.append(run)
    stack.client.schedules.create("often", Every("1m"), HOOK)
    stack.client.schedules.create("queued", Every("3m"), HOOK, overlap="queue_all")
    return kept, cancelled


def check(
    stack: Stack, kept: list[str], cancelled: list[str], ticks: int = 20, *, queued: int = 6, once: bool = True
) -> None:
    """once: each run was attempted once only; else more often, if a function died in the middle."""
    fired = stack.fired()
    assert set(kept) <= set(fired), "a run was lost"
    assert not set(cancelled) & set(fired), "a cancelled run fired"
    for run in kept:
        assert stack.client.runs.get(run).state == "succeeded"
    rows = stack.client.schedules.ticks("often", limit=10_000)
    covered = [at for row in rows for at in range(row.scheduled, row.until + 1, MINUTE)]
    assert len(covered) == len(set(covered)), "a tick has two rows"
    assert len(covered) >= ticks, "a tick was lost"
    accepted = [f"often@{row.scheduled}" for row in rows if row.outcome == "fired"]
    runs = stack.client.runs.list(schedule="often", limit=1000)
    assert len(runs) == len(accepted)
    assert {run.state for run in runs} == {"succeeded"}
    runs = stack.client.runs.list(schedule="queued", limit=1000)
    assert {run.state for run in runs} == {"succeeded"}
    assert len(runs) >= queued
    if once:
        assert len(fired) == len(set(fired)), "a run was attempted twice"


def test_messages_that_come_twice_and_in_any_order_change_nothing() -> None:
    for seed in range(5):
        stack = Stack(seed=seed)
        stack.worst = True
        kept, cancelled = load(stack)
        stack.pass_by(21 * MINUTE)
        check(stack, kept, cancelled)


@pytest.mark.parametrize("seed", range(6))
def test_throttled_and_failing_calls_of_sqs_lose_nothing(seed: int) -> None:
    stack = Stack(seed=seed)
    codes = (
        ("ThrottlingException", 400),
        ("InternalError", 500),
        ("ServiceUnavailable", 503),
        ("RequestThrottled", 403),
    )

    def fault(action: str) -> None:
        if stack.rng.random() < 0.4:
            code, status = stack.rng.choice(codes)
            raise client_error(code, "not now", status, action)

    stack.sqs.fault = fault
    stack.sqs.partial = lambda _: stack.rng.random() < 0.4
    kept, cancelled = load(stack)
    stack.pass_by(25 * MINUTE)
    check(stack, kept, cancelled)


@pytest.mark.parametrize("seed", range(6))
def test_a_store_that_fails_at_random_loses_nothing(seed: int) -> None:
    stack = Stack(seed=seed)
    kept, cancelled = load(stack)
    busy = Fuse(meanwhile=lambda _: _maybe(stack))
    deliver, feed = stack.deliver, stack.feed
    stack.deliver = lambda *_: deliver(fuse=busy)  # type: ignore[method-assign]

    def failing_feed() -> None:
        with suppress(StoreError):
            feed(busy)

    stack.feed = failing_feed  # type: ignore[method-assign,assignment]
    stack.pass_by(25 * MINUTE)
    stack.deliver, stack.feed = deliver, feed  # type: ignore[method-assign]
    stack.pass_by(10 * MINUTE)
    check(stack, kept, cancelled, once=False)


def _maybe(stack: Stack) -> None:
    if stack.rng.random() < 0.05:
        raise StoreError("the table takes no more")


@pytest.mark.parametrize("after", [False, True])
def test_a_feeder_killed_at_any_call_loses_nothing(after: bool) -> None:
    dies_at = 0
    while True:
        dies_at += 1
        stack = Stack()
        kept, cancelled = load(stack, 10, 4 * MINUTE)
        fuse = Fuse(dies_at, after=after)
        try:
            stack.feed(fuse)
        except Crash:
            pass
        else:
            break
        stack.next_feed = stack.clock.now() + MINUTE
        stack.pass_by(7 * MINUTE)
        check(stack, kept, cancelled, 7, queued=2)
    assert dies_at > 10


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("fails", [0, 1, 3])
def test_a_dispatcher_killed_at_any_call_loses_nothing(after: bool, fails: int) -> None:
    dies_at = 0
    while True:
        dies_at += 1
        stack = Stack(shards=1)
        stack.fail = lambda run: run.attempt < fails
        retry = Retry(attempts=3, initial=5, factor=20, maximum=100, jitter="none")
        one_off = stack.client.at((stack.clock.now() + 30 * SECOND) / 1000, HOOK, retry=retry)
        stack.client.schedules.create(
            "queued", Every("40s"), HOOK, overlap="queue_all", retry=retry, max_executions=3, misfire="all"
        )
        spread = Every("50s", jitter=40)
        stack.client.schedules.create("spread", spread, HOOK, max_executions=2, retry=retry, overlap="allow")
        stack.feed()
        stack.next_feed = stack.clock.now() + MINUTE
        fuse, died = Fuse(dies_at, after=after), False
        deliver = stack.deliver

        def deliver_once() -> int:
            nonlocal died
            try:
                return deliver(fuse=None if died else fuse)  # noqa: B023
            except Crash:
                died = True
                return 1

        stack.deliver = deliver_once  # type: ignore[method-assign,assignment]
        stack.pass_by(HOUR)
        expected = "succeeded" if fails < 3 else "failed"
        record = stack.client.runs.get(one_off)
        assert record.state == expected, (dies_at, after)
        runs = stack.client.runs.list(schedule="queued")
        assert [run.state for run in runs] == [expected] * 3, (dies_at, after)
        runs = stack.client.runs.list(schedule="spread")
        assert [run.state for run in runs] == [expected] * 2, (dies_at, after)
        rows = stack.client.schedules.ticks("queued")
        assert sum(row.count for row in rows if row.outcome == "fired") == 3
        if fails == 3:
            copies = set(stack.sqs.bodies(DEAD))
            assert len(copies) == 6, (dies_at, after)
        if not died:
            break
    assert dies_at > 30


def test_a_feeder_that_was_down_for_an_hour_catches_up() -> None:
    stack = Stack()
    stack.pass_by(MINUTE)
    kept, cancelled = load(stack, 40, 50 * MINUTE)
    late = stack.client.at((stack.clock.now() + 30 * MINUTE) / 1000, "queue:data", "late")
    stack.feeding = False
    stack.pass_by(HOUR)
    assert len(stack.fired()) < 10
    stack.feeding = True
    stack.next_feed = stack.clock.now()
    stack.pass_by(MINUTE)
    assert stack.data() == ['"late"']
    assert stack.client.runs.get(late).state == "succeeded"
    fired = [run for run in stack.fired() if run in set(kept)]
    assert sorted(fired) == sorted(kept)
    stack.pass_by(4 * MINUTE)
    check(stack, kept, cancelled, 60, queued=2)
    reasons = {row.reason for row in stack.client.schedules.ticks("often", limit=1000)}
    assert "misfire" in reasons


@pytest.mark.parametrize("seed", range(4))
def test_two_feeders_at_once_hand_over_everything_once(seed: int) -> None:
    stack = Stack(seed=seed)
    kept, cancelled = load(stack)
    feed = stack.feed

    def both() -> object:
        other = stack.feeder(holder="other")

        def meanwhile(_: int) -> None:
            if stack.rng.random() < 0.3:
                other.feed(lambda: FUNCTION)

        return feed(Fuse(meanwhile=meanwhile))

    stack.feed = both  # type: ignore[method-assign,assignment]
    stack.pass_by(21 * MINUTE)
    check(stack, kept, cancelled)


@pytest.mark.parametrize("skew", [-5 * SECOND, 5 * SECOND])
@pytest.mark.parametrize("feeder_skew", [-5 * SECOND, 5 * SECOND])
def test_clocks_that_are_five_seconds_off_lose_nothing(skew: int, feeder_skew: int) -> None:
    stack = Stack(skew=skew, feeder_skew=feeder_skew)
    kept, cancelled = load(stack)
    stack.pass_by(21 * MINUTE)
    check(stack, kept, cancelled)


@pytest.mark.parametrize("seed", range(4))
def test_the_number_of_shards_changes_under_load(seed: int) -> None:
    stack = Stack(seed=seed, shards=2)
    kept, cancelled = load(stack)
    for shards in (7, 1, 4, 4, 16):
        stack.pass_by(stack.rng.randrange(4 * MINUTE))
        stack.far.resize(shards, stack.clock.now())
        more = stack.client.at((stack.clock.now() + stack.rng.randrange(3 * MINUTE)) / 1000, HOOK)
        kept.append(more)
    stack.pass_by(22 * MINUTE)
    check(stack, kept, cancelled)
    assert len({shard.generation for shard in stack.far.resize(16, stack.clock.now())}) <= 3


def test_the_writer_and_the_feeder_meet_at_every_point() -> None:
    """A run is accepted between any two calls of a feeder: one of the two hands it over."""
    for at_call in range(1, 40):
        stack = Stack(shards=1)
        stack.client.schedules.create("often", Every("1m"), HOOK)
        made: list[str] = []

        def meanwhile(call: int) -> None:
            if call == at_call:  # noqa: B023
                made.append(stack.client.at((stack.clock.now() + 20 * SECOND) / 1000, HOOK))  # noqa: B023
                stack.client.schedules.create("new", Every("1m"), HOOK)  # noqa: B023

        stack.feed(Fuse(meanwhile=meanwhile))
        stack.next_feed = stack.clock.now() + MINUTE
        stack.pass_by(10 * MINUTE)
        if not made:
            break
        assert made[0] in stack.fired()
        assert len([run for run in stack.fired() if run.startswith("new@")]) >= 9


def test_a_direct_one_off_counts_as_succeeded_only_once_it_was_handed_over() -> None:
    """Its feeder dies at any call: what it did not send is still pending when its time has come."""
    for after in (False, True):
        dies_at, died = 0, True
        while died:
            dies_at, died = dies_at + 1, False
            stack = Stack(shards=1)
            runs = [stack.client.at((stack.clock.now() + n * SECOND) / 1000, "queue:data", n) for n in range(20, 40)]
            try:
                stack.feed(Fuse(dies_at, after=after))
            except Crash:
                died = True
            stack.clock.advance(MINUTE)
            told = [run for run in runs if stack.client.runs.get(run).state == "succeeded"]
            sent = {held.attributes["rota-run-id"]["StringValue"] for held in stack.sqs.held[DATA]}
            assert set(told) <= sent, (dies_at, after)
            stack.next_feed = stack.clock.now() + MINUTE
            stack.pass_by(3 * MINUTE)
            assert {stack.client.runs.get(run).state for run in runs} == {"succeeded"}
        assert dies_at > 4


def test_a_cancellation_meets_the_feeder_at_every_point() -> None:
    """What was cancelled, and that was acknowledged, does not fire: neither directly nor through the dispatcher."""
    refused = 0
    for at_call in range(1, 12):
        stack = Stack(shards=1)
        when = (stack.clock.now() + 20 * SECOND) / 1000
        direct, hook = stack.client.at(when, "queue:data", 1), stack.client.at(when, HOOK)
        gone: list[str] = []

        def meanwhile(call: int) -> None:
            nonlocal refused
            if call == at_call:  # noqa: B023
                for run in (direct, hook):  # noqa: B023
                    try:
                        stack.client.runs.cancel(run)  # noqa: B023
                        gone.append(run)  # noqa: B023
                    except ConflictError:
                        refused += 1

        stack.feed(Fuse(meanwhile=meanwhile))
        stack.next_feed = stack.clock.now() + MINUTE
        stack.pass_by(2 * MINUTE)
        assert not (direct in gone and stack.sqs.held[DATA])
        assert hook not in gone or hook not in stack.fired()
    assert refused


def test_a_message_that_is_none_of_rota_s_goes_to_the_dead() -> None:
    stack = Stack()
    bad = [Delivered("1", "{}"), Delivered("2", "no json"), Delivered("3", '{"kind":"tick","id":"a","due":1,"v":9}')]
    assert stack.dispatcher().handle(bad, lambda: FUNCTION) == ["1", "2", "3"]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_any_mixture_of_faults_loses_nothing(seed: int) -> None:
    stack = Stack(seed=seed, shards=1 + seed % 5)
    rng = stack.rng
    stack.skew, stack.feeder_skew = rng.randrange(-5000, 5001), rng.randrange(-5000, 5001)
    stack.worst = True
    kept, cancelled = load(stack, 15, 10 * MINUTE)
    deliver, feed = stack.deliver, stack.feed

    def dying_delivery() -> int:
        try:
            return deliver(fuse=Fuse(rng.randrange(1, 30) if rng.random() < 0.2 else None, after=rng.random() < 0.5))
        except Crash:
            return 0

    def dying_feed() -> object:
        if rng.random() < 0.2:
            stack.far.resize(rng.randrange(1, 9), stack.clock.now())
        if rng.random() < 0.3:
            with suppress(Crash, StoreError):
                dying = stack.dying_client(Fuse(rng.randrange(1, 20), after=rng.random() < 0.5))
                dying.schedules.update("often", description=f"{rng.random()}")
        try:
            return feed(Fuse(rng.randrange(1, 40) if rng.random() < 0.3 else None, after=rng.random() < 0.5))
        except Crash:
            return None

    def fault(action: str) -> None:
        if rng.random() < 0.2:
            raise client_error("ThrottlingException", "not now", 400, action)

    stack.sqs.fault = fault
    stack.sqs.partial = lambda _: rng.random() < 0.1
    stack.deliver, stack.feed = dying_delivery, dying_feed  # type: ignore[method-assign,assignment]
    stack.pass_by(10 * MINUTE)
    stack.deliver, stack.feed, stack.worst, stack.sqs.fault = deliver, feed, False, None  # type: ignore[method-assign]
    stack.pass_by(20 * MINUTE)
    check(stack, kept, cancelled, 20, once=False)
    assert DISPATCH in stack.sqs.held
