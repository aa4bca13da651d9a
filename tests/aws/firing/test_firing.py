"""One-offs and schedules on their way through far tier, feeder, SQS and dispatcher, where nothing goes wrong."""

from __future__ import annotations

import msgspec
import pytest
from tests.aws.firing.world import DATA, DEAD, DISPATCH, HOOK, HOUR, MINUTE, SECOND, Stack

from rota.core.errors import ConflictError
from rota.core.ids import iso
from rota.core.retry import Retry
from rota.core.triggers import At, Cron, Every


def at(stack: Stack, after: int) -> float:
    return (stack.clock.now() + after) / 1000


def test_a_one_off_within_the_horizon_goes_straight_to_its_queue_and_nowhere_else() -> None:
    stack = Stack()
    stack.feed()
    run = stack.client.at(at(stack, 90 * SECOND), "queue:data", {"n": 1})
    [held] = stack.sqs.held[DATA]
    assert held.body == '{"n":1}'
    assert held.visible == stack.clock.now() + 90 * SECOND
    assert held.attributes["rota-run-id"]["StringValue"] == run
    assert held.attributes["rota-scheduled"]["StringValue"] == run.partition("@")[2]
    assert stack.sqs.held[DISPATCH] == []


def test_a_one_off_beyond_the_horizon_waits_in_the_far_tier() -> None:
    stack = Stack()
    stack.feed()
    stack.client.at(at(stack, HOUR), "queue:data", "later")
    assert stack.sqs.held[DATA] == []
    stack.pass_by(HOUR - 4 * MINUTE)
    assert stack.sqs.held[DATA] == []
    stack.pass_by(4 * MINUTE - 1)
    assert stack.data() == []
    stack.pass_by(SECOND)
    assert stack.data() == ['"later"']


def test_a_text_is_an_sqs_queue_s_body_as_it_is() -> None:
    stack = Stack()
    stack.feed()
    stack.client.at(at(stack, MINUTE), f"sqs:{DATA}", "plain text")
    assert stack.sqs.bodies(DATA) == ["plain text"]


def test_a_run_with_more_to_it_goes_through_the_dispatcher_and_is_recorded() -> None:
    stack = Stack()
    run = stack.client.at(at(stack, HOUR), HOOK, {"n": 1})
    stack.pass_by(HOUR + SECOND)
    assert stack.fired() == [run]
    record = stack.client.runs.get(run)
    assert (record.state, record.value, record.attempt) == ("succeeded", b'"ok"', 1)
    assert record.lateness is not None
    assert 0 <= record.lateness < SECOND


def test_a_precise_run_starts_on_the_millisecond() -> None:
    stack = Stack()
    when = at(stack, 5 * MINUTE + 437)
    run = stack.client.at(when, HOOK, precise=True)
    stack.pass_by(6 * MINUTE)
    assert stack.attempts == [(run, round(when * 1000))]
    assert stack.client.runs.get(run).lateness == 0


def test_a_precise_schedule_fires_on_the_millisecond() -> None:
    stack = Stack()
    start = stack.clock.now() + 437
    stack.client.schedules.create("exact", Every("1m", anchor=iso(start)), HOOK, precise=True)
    stack.pass_by(4 * MINUTE + 30 * SECOND)
    assert [when for _, when in stack.attempts] == [start + n * MINUTE for n in range(5)]


def test_what_is_past_fires_at_once_and_the_record_tells_how_late() -> None:
    stack = Stack()
    stack.pass_by(MINUTE)
    run = stack.client.at(at(stack, -10 * MINUTE), f"sqs:{DATA}", "late")
    hook = stack.client.at(at(stack, -10 * MINUTE), HOOK)
    assert stack.sqs.bodies(DATA) == [], "the dispatcher sends it, and records that"
    stack.pass_by(0)
    assert stack.sqs.bodies(DATA) == ["late"]
    assert stack.client.runs.get(hook).lateness == 10 * MINUTE
    assert stack.client.runs.get(run).lateness == 10 * MINUTE


def test_a_delay_beyond_what_sqs_holds_is_sent_on() -> None:
    stack = Stack()
    stack.feed()
    run = stack.client.at(at(stack, 100 * SECOND), HOOK)
    stack.sqs.held[DISPATCH][0].visible = stack.clock.now()
    stack.deliver()
    assert stack.fired() == []
    stack.pass_by(101 * SECOND)
    assert stack.fired() == [run]


def test_a_schedule_fires_each_tick_once_and_its_ledger_says_so() -> None:
    stack = Stack()
    stack.client.schedules.create("often", Every("1m"), HOOK)
    stack.pass_by(HOUR + SECOND)
    rows = stack.client.schedules.ticks("often", limit=1000)
    assert [row.outcome for row in rows] == ["fired"] * 60
    assert stack.fired() == [f"often@{iso(row.scheduled)}" for row in reversed(rows)]
    assert "fired" in stack.client.schedules.why("often", stack.client.runs.get(stack.fired()[7]).scheduled / 1000)


def test_a_schedule_of_every_second_keeps_up() -> None:
    stack = Stack()
    stack.client.schedules.create("quick", Every("1s"), HOOK, overlap="allow")
    stack.pass_by(3 * MINUTE)
    assert stack.fired() == [f"quick@{iso(stack.clock.now() - 3 * MINUTE + n * SECOND)}" for n in range(1, 181)]


def test_rare_and_frequent_schedules_go_on_for_days() -> None:
    stack = Stack()
    stack.client.schedules.create("daily", Cron("0 30 2 * * ?"), HOOK)
    stack.client.schedules.create("hourly", Cron("0 0 * * * ?"), HOOK)
    stack.pass_by(48 * HOUR + SECOND)
    fired = stack.fired()
    assert [run for run in fired if run.startswith("daily")] == [
        "daily@2026-01-01T02:30:00Z",
        "daily@2026-01-02T02:30:00Z",
    ]
    assert len([run for run in fired if run.startswith("hourly")]) == 48


def test_max_executions_means_so_many() -> None:
    stack = Stack()
    stack.client.schedules.create("thrice", Every("1m"), HOOK, max_executions=3)
    stack.pass_by(10 * MINUTE)
    assert len(stack.fired()) == 3


def test_a_pause_within_the_horizon_is_obeyed_and_resuming_goes_on() -> None:
    stack = Stack()
    stack.client.schedules.create("often", Every("1m"), HOOK)
    stack.pass_by(2 * MINUTE + SECOND)
    stack.client.schedules.pause("often")
    stack.pass_by(10 * MINUTE)
    assert len(stack.fired()) == 2
    stack.client.schedules.resume("often")
    stack.pass_by(3 * MINUTE)
    assert len(stack.fired()) == 5


def test_a_new_trigger_within_the_horizon_holds_at_once() -> None:
    stack = Stack()
    stack.client.schedules.create("moved", Every("1h"), HOOK)
    stack.pass_by(MINUTE)
    when = at(stack, 30 * SECOND)
    stack.client.schedules.update("moved", trigger=At(when))
    stack.pass_by(3 * HOUR)
    assert [moment for _, moment in stack.attempts] == [round(when * 1000)]


def test_messages_do_not_pile_up_when_a_schedule_is_updated_again_and_again() -> None:
    stack = Stack()
    stack.client.schedules.create("often", Every("1m"), HOOK)
    for n in range(20):
        stack.pass_by(MINUTE)
        stack.client.schedules.update("often", description=f"{n}")
    stack.pass_by(10 * MINUTE)
    before = stack.sqs.calls["SendMessageBatch"]
    stack.pass_by(10 * MINUTE)
    assert stack.sqs.calls["SendMessageBatch"] - before <= 20, "one message a tick"
    assert len(set(stack.fired())) == len(stack.fired())


def test_a_deleted_schedule_fires_no_more() -> None:
    stack = Stack()
    stack.client.schedules.create("often", Every("1m"), HOOK)
    stack.pass_by(90 * SECOND)
    stack.client.schedules.delete("often")
    stack.pass_by(10 * MINUTE)
    assert len(stack.fired()) == 1


def test_a_trigger_by_hand_fires_at_once() -> None:
    stack = Stack()
    stack.pass_by(MINUTE)
    stack.client.schedules.create("rare", Cron("0 0 0 1 1 ?"), HOOK)
    run = stack.client.schedules.trigger("rare")
    stack.pass_by(0)
    assert stack.fired() == [run]


def test_a_one_off_is_cancelled_while_it_is_in_the_far_tier_and_after_it_was_handed_over() -> None:
    stack = Stack()
    far = stack.client.at(at(stack, HOUR), HOOK)
    near = stack.client.at(at(stack, MINUTE), HOOK)
    direct = stack.client.at(at(stack, HOUR), "queue:data")
    stack.feed()
    for run in (far, near, direct):
        assert stack.client.runs.cancel(run).state == "cancelled"
    stack.pass_by(2 * HOUR)
    assert stack.fired() == []
    assert stack.sqs.held[DATA] == []


def test_a_direct_one_off_that_sqs_has_is_not_cancelled() -> None:
    stack = Stack()
    run = stack.client.at(at(stack, MINUTE), "queue:data", 1)
    stack.feed()
    with pytest.raises(ConflictError, match=r"handed to SQS already.* with an `id` can be cancelled and updated"):
        stack.client.runs.cancel(run)
    assert stack.client.runs.get(run).state == "pending"
    stack.pass_by(MINUTE)
    assert stack.data() == ["1"]
    record = stack.client.runs.get(run)
    assert (record.state, record.value, record.started) == ("succeeded", b'{"handedTo":"SQS"}', None)
    why = stack.client.schedules.why(record.schedule_id, record.scheduled / 1000)
    assert why.endswith(": it was handed to its queue, with no attempt and no time on record.")


@pytest.mark.parametrize("wait", [1.0, 90.0, 3 * 3600.0])
def test_retries_come_whether_they_are_near_or_far(wait: float) -> None:
    stack = Stack()
    stack.fail = lambda run: run.attempt < 2
    retry = Retry(attempts=3, initial=wait, factor=1, maximum=wait, jitter="none")
    run = stack.client.at(at(stack, MINUTE), HOOK, retry=retry)
    stack.pass_by(MINUTE + 2 * round(wait * SECOND) + 4 * SECOND)
    record = stack.client.runs.get(run)
    assert (record.state, record.attempt, len(record.attempts)) == ("succeeded", 3, 2)
    gaps = [later - sooner for (_, sooner), (_, later) in zip(stack.attempts, stack.attempts[1:], strict=False)]
    assert all(wait * SECOND <= gap <= wait * SECOND + SECOND for gap in gaps)


def test_a_dead_letter_is_on_record_and_on_the_queue_and_is_redriven() -> None:
    stack = Stack()
    stack.fail = lambda _: True
    run = stack.client.at(at(stack, MINUTE), HOOK, {"n": 1})
    stack.pass_by(2 * MINUTE)
    [letter] = stack.client.dead_letters.list()
    assert letter.id == run
    [body] = stack.sqs.bodies(DEAD)
    copy = msgspec.json.decode(body)
    assert (copy["run"], copy["payload"], copy["attempts"]) == (run, {"n": 1}, 1)
    assert "out of order" in copy["failure"]["message"]
    stack.fail = lambda _: False
    stack.client.dead_letters.redrive(run)
    stack.pass_by(SECOND)
    assert stack.client.runs.get(run).state == "succeeded"


def test_a_held_run_follows_the_one_that_it_waits_for() -> None:
    stack = Stack()
    stack.fail = lambda run: run.attempt == 0
    retry = Retry(attempts=2, initial=90, maximum=90, jitter="none")
    stack.client.schedules.create("queued", Every("1m"), HOOK, overlap="queue_all", retry=retry, max_executions=3)
    stack.pass_by(20 * MINUTE)
    runs = stack.client.runs.list(schedule="queued")
    assert [run.state for run in runs] == ["succeeded"] * 3
    assert len(stack.attempts) == 6


def test_a_target_that_the_queue_refuses_ends_as_a_dead_letter() -> None:
    stack = Stack()
    del stack.sqs.held[DATA]
    run = stack.client.at(at(stack, MINUTE), f"sqs:{DATA}", 1)
    stack.pass_by(2 * MINUTE)
    assert stack.client.runs.get(run).state == "failed"


def test_a_long_title_of_a_backlog_is_caught_up_in_the_order_of_time() -> None:
    stack = Stack(shards=5)
    stack.feed()
    stack.feeding = False
    start = stack.clock.now()
    runs = [stack.client.at(at(stack, 5 * MINUTE + n * 10 * SECOND), HOOK) for n in range(330)]
    stack.pass_by(HOUR + 10 * MINUTE)
    assert stack.fired() == []
    stack.feed()
    order = [msgspec.json.decode(body)["due"] for body in stack.sqs.bodies(DISPATCH)]
    slices = [(due - start) // (10 * MINUTE) for due in order]
    assert slices == sorted(slices) or max(b - a for a, b in zip(slices[1:], slices, strict=False)) <= 1
    stack.pass_by(0)
    assert sorted(stack.fired()) == sorted(runs)
