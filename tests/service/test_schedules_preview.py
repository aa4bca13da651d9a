"""The plan of an update says what the update then does."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.service.desk import DAY, HOUR, Desk

from rota.core.ids import epoch_ms
from rota.core.triggers import AnyTrigger, Cron, Every
from rota.service.preview import WALKED, YEAR

triggers = st.one_of(
    st.builds(lambda hours, minutes: Every(f"{hours}h{minutes}m"), st.integers(5, 50), st.integers(0, 59)),
    st.builds(
        lambda minute, hour, zone: Cron(f"0 {minute} {hour} * * ?", timezone=zone),
        st.integers(0, 59),
        st.integers(0, 23),
        st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
    ),
    st.builds(lambda day: Every("1d", exclude=[f"2026-03-{day:02}"], end="2026-06-01T00:00:00Z"), st.integers(1, 31)),
)


def ticks(trigger: AnyTrigger, after: int, until: int, most: int | None) -> set[int]:
    found: set[int] = set()
    tick = trigger.next_tick(after)
    while tick is not None and tick.at <= until and (most is None or len(found) < most):
        if tick.skip is None:
            found.add(tick.at)
        tick = trigger.next_tick(tick.at)
    return found


@given(triggers, triggers, st.none() | st.integers(1, 400), st.none() | st.integers(1, 400), st.integers(0, 3 * DAY))
@settings(max_examples=40)
def test_the_plan_is_the_difference_of_the_years(
    old: AnyTrigger, new: AnyTrigger, old_most: int | None, new_most: int | None, passed: int
) -> None:
    desk = Desk()
    desk.client.schedules.create("x", old, "queue:q", max_executions=old_most)
    desk.clock.advance(passed // HOUR)
    now = desk.clock.now()
    plan = desk.client.schedules.preview("x", trigger=new, max_executions=new_most)
    before, after = ticks(old, now, now + YEAR, old_most), ticks(new, now, now + YEAR, new_most)
    assert plan.removed + plan.moved == len(before - after)
    assert plan.added + plan.moved == len(after - before)
    assert (plan.before_count, plan.after_count) == (len(before), len(after))
    assert {epoch_ms(moment) for moment in plan.added_examples} <= after - before
    assert {epoch_ms(moment) for moment in plan.removed_examples} <= before - after
    assert all(epoch_ms(a) in before - after and epoch_ms(b) in after - before for a, b in plan.moved_examples)
    updated = desk.client.schedules.update("x", trigger=new, max_executions=new_most)
    assert updated.state.next_tick == min(after, default=updated.state.next_tick)


def test_a_shifted_time_moves_every_tick() -> None:
    desk = Desk()
    desk.client.schedules.create("x", Cron("0 30 2 * * ?"), "queue:q")
    plan = desk.client.schedules.preview("x", trigger=Cron("0 0 3 * * ?"))
    assert (plan.added, plan.removed, plan.moved) == (0, 0, 365)
    assert plan.fields == ("trigger",)
    assert [(old.hour, new.hour) for old, new in plan.moved_examples] == [(2, 3)] * 5


def test_twice_as_often_only_adds() -> None:
    desk = Desk()
    desk.client.schedules.create("x", Every("2h"), "queue:q")
    plan = desk.client.schedules.preview("x", trigger=Every("1h"))
    assert (plan.added, plan.removed, plan.moved) == (4380, 0, 0)


def test_what_leaves_the_ticks_alone_has_an_empty_plan() -> None:
    desk = Desk()
    made = desk.client.schedules.create("x", Every("2h"), "queue:q")
    plan = desk.client.schedules.preview("x", payload=1)
    assert (plan.added, plan.removed, plan.moved, plan.fields) == (0, 0, 0, ("payload",))
    assert desk.client.schedules.preview("x").fields == ()
    assert desk.client.schedules.get("x") == made


def test_a_minute_is_compared_for_a_whole_year_and_so_over_its_clock_changes() -> None:
    desk = Desk()
    desk.client.schedules.create("x", Cron("0 * * * * ?", timezone="Europe/Berlin"), "queue:q")
    plan = desk.client.schedules.preview("x", trigger=Cron("0 * * * * ?", timezone="Europe/Berlin", dst="aws"))
    assert plan.complete
    assert (plan.until - plan.start).days == 365
    assert (plan.added, plan.removed, plan.moved) == (0, 60, 0)
    assert plan.removed_examples[0].isoformat() == "2026-10-25T02:00:00+01:00"


def test_a_second_is_compared_as_far_as_is_reasonable_and_counted_in_full() -> None:
    desk = Desk()
    desk.client.schedules.create("x", Every("1s"), "queue:q")
    plan = desk.client.schedules.preview("x", trigger=Every("2s"))
    assert (plan.before_count, plan.after_count) == (31_536_000, 15_768_000)
    assert not plan.complete
    assert plan.removed == WALKED / 2
    assert epoch_ms(plan.until) == desk.clock.now() + WALKED * 1000 + 999
    limited = desk.client.schedules.preview("x", max_executions=1_000_000)
    assert (limited.before_count, limited.after_count, limited.complete) == (31_536_000, 1_000_000, False)
