"""`why` always answers in a sentence, and in the right one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.service.desk import DAY, HOUR, MINUTE, SECOND, Desk

from rota.core.errors import InvalidError, NotFoundError
from rota.core.ids import epoch_ms, moment
from rota.core.outcome import Failure
from rota.core.retry import Retry
from rota.core.triggers import Cron, Daylight, Every
from rota.service.phrasing import span

ONE = "2026-01-01T01:00:00Z"


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.client.schedules.create("x", Every("1h"), "queue:q")
    return desk


def test_fired_late_and_how_it_went(desk: Desk) -> None:
    desk.clock.advance(HOUR)
    desk.tick()
    assert "waits for its start" in desk.client.schedules.why("x", ONE)
    desk.clock.advance(12)
    desk.start()
    assert desk.client.schedules.why("x", ONE) == (
        "x fired at 2026-01-01T01:00:00+00:00: it started 12 ms late and is still running."
    )


def test_succeeded_and_failed(desk: Desk) -> None:
    desk.clock.advance(HOUR)
    desk.tick()
    desk.clock.advance(12)
    desk.work(350)
    assert "started 12 ms late and succeeded after 350 ms" in desk.client.schedules.why("x", ONE)
    desk.clock.set(epoch_ms(moment(0)) + desk.clock.now() // HOUR * HOUR + HOUR)
    desk.tick()
    desk.work(5, Failure(("ValueError",), "no"))
    assert "on time and failed after 5 ms, with ValueError: no" in desk.client.schedules.why("x", "2026-01-01T02:00")


def test_a_retry_that_is_to_come(desk: Desk) -> None:
    desk.client.schedules.update("x", retry=Retry(attempts=2, initial=60, jitter="none"))
    desk.clock.advance(HOUR)
    desk.tick()
    desk.work(0, Failure(("ValueError",), "no"))
    assert "attempt 1 failed, the next one is due at 2026-01-01T01:01:00+00:00" in desk.client.schedules.why("x", ONE)


def test_the_previous_run_was_still_going(desk: Desk) -> None:
    desk.clock.advance(HOUR)
    desk.tick()
    desk.start()
    desk.clock.advance(HOUR)
    desk.tick()
    assert desk.client.schedules.why("x", "2026-01-01T02:00:00Z") == (
        "x at 2026-01-01T02:00:00+00:00 was skipped because the previous run was still going "
        "(x@2026-01-01T01:00:00Z was still open)."
    )


def test_the_previous_run_was_still_going_and_the_next_one_waits(desk: Desk) -> None:
    desk.client.schedules.update("x", overlap="queue_one")
    for _ in range(3):
        desk.clock.advance(HOUR)
        desk.tick()
        desk.start()
    assert desk.client.schedules.why("x", "2026-01-01T03:00:00Z") == (
        "x at 2026-01-01T03:00:00+00:00 was skipped because the previous run was still going "
        "(x@2026-01-01T01:00:00Z was still open, and x@2026-01-01T02:00:00Z already waited for it)."
    )


def test_a_held_run(desk: Desk) -> None:
    desk.client.schedules.update("x", overlap="queue_all")
    desk.clock.advance(HOUR)
    desk.tick()
    desk.start()
    desk.clock.advance(HOUR)
    desk.tick()
    assert "held until the previous one ends" in desk.client.schedules.why("x", "2026-01-01T02:00:00Z")


def test_paused_while_it_is_and_afterwards(desk: Desk) -> None:
    desk.client.schedules.pause("x", "moving")
    assert "will fire only if resumed before" in desk.client.schedules.why("x", ONE)
    desk.clock.advance(2 * HOUR)
    now = desk.client.schedules.why("x", ONE)
    paused = "paused by ada@desk at 2026-01-01T00:00:00Z (moving)"
    assert now == f"x at 2026-01-01T01:00:00+00:00 does not fire: the schedule is {paused}."
    desk.client.schedules.resume("x")
    after = desk.client.schedules.why("x", ONE)
    assert f"because the schedule was paused ({paused})" in after
    assert "one of 2 ticks from 2026-01-01T01:00:00+00:00 to 2026-01-01T02:00:00+00:00" in after


def test_an_outage(desk: Desk) -> None:
    desk.clock.advance(10 * HOUR)
    desk.tick()
    sentence = desk.client.schedules.why("x", "2026-01-01T05:00:00Z")
    assert "skipped as a misfire" in sentence
    assert "one of 9 ticks" in sentence
    assert "of an outage" in sentence
    assert "is not a tick of x" in desk.client.schedules.why("x", "2026-01-01T05:00:01Z")


def test_no_engine(desk: Desk) -> None:
    desk.clock.advance(HOUR + MINUTE)
    assert "due since 1 min, but no engine has decided on it yet" in desk.client.schedules.why("x", ONE)


def test_not_yet_due_and_before_it_was_made(desk: Desk) -> None:
    assert desk.client.schedules.why("x", ONE) == "x at 2026-01-01T01:00:00+00:00 is not yet due (in 1 h)."
    early = desk.client.schedules.why("x", "2025-12-31T12:00:00Z")
    assert early.endswith("did not fire: the schedule was made only at 2026-01-01T00:00:00+00:00.")


def test_max_executions(desk: Desk) -> None:
    desk.client.schedules.update("x", max_executions=1)
    desk.pass_by(HOUR, MINUTE)
    assert "max_executions=1 is used up" in desk.client.schedules.why("x", "2026-01-01T02:00:00Z")
    desk.clock.advance(3 * HOUR)
    assert "max_executions=1 was used up before" in desk.client.schedules.why("x", "2026-01-01T02:00:00Z")


def test_excluded_before_and_after(desk: Desk) -> None:
    desk.client.schedules.create("y", Every("1h", exclude=["2026-01-02"]), "queue:q")
    assert "will be skipped: it is an excluded date" in desk.client.schedules.why("y", "2026-01-02T05:00:00Z")
    desk.pass_by(2 * DAY, MINUTE)
    assert "skipped because it is an excluded date" in desk.client.schedules.why("y", "2026-01-02T05:00:00Z")


def test_the_daylight_gap_can_be_asked_for() -> None:
    desk = Desk()
    dsts: tuple[Daylight, ...] = ("standard", "aws")
    for dst in dsts:
        desk.client.schedules.create(dst, Cron("0 30 2 * * ?", timezone="Europe/Berlin", dst=dst), "queue:q")
    sentence = desk.client.schedules.why("standard", "2026-03-29T02:30")
    assert "2026-03-29 02:30:00 does not exist in Europe/Berlin" in sentence
    assert "the nearest are 2026-03-29T03:00:00+02:00 and 2026-03-30T02:30:00+02:00" in sentence
    desk.clock.set(1_774_738_800_000)
    desk.pass_by(6 * HOUR, MINUTE)
    assert "daylight gap" in desk.client.schedules.why("aws", "2026-03-29T02:30")


def test_a_time_without_offset_is_the_schedule_s_own() -> None:
    desk = Desk()
    desk.client.schedules.create("x", Cron("0 30 2 * * ?", timezone="Asia/Tokyo"), "queue:q")
    assert "is not yet due" in desk.client.schedules.why("x", "2026-01-02T02:30")
    assert "is not a tick of x; the nearest are" in desk.client.schedules.why("x", "2026-01-02T02:30Z")
    with pytest.raises(InvalidError, match="when"):
        desk.client.schedules.why("x", "yesterday")


def test_a_run_by_hand_and_a_one_off(desk: Desk) -> None:
    run = desk.client.schedules.trigger("x")
    assert "was started by hand" in desk.client.schedules.why("x", run.partition("@")[2])
    once = desk.client.at(ONE, "queue:q")
    assert "is a run of its own" in desk.client.schedules.why(*once.split("@"))


def test_a_deleted_schedule_is_still_accounted_for(desk: Desk) -> None:
    desk.pass_by(HOUR, MINUTE)
    desk.client.schedules.delete("x")
    assert desk.client.schedules.why("x", ONE).endswith("; the schedule has been deleted since.")
    with pytest.raises(NotFoundError):
        desk.client.schedules.why("x", "2026-01-01T09:00:00Z")


def test_history_that_was_removed(desk: Desk) -> None:
    desk.pass_by(HOUR, MINUTE)
    desk.stores.runs.forget_runs(desk.clock.now() + 1, 100)
    assert "older than what is kept" in desk.client.schedules.why("x", ONE)
    desk.stores.schedules.forget_ticks(desk.clock.now() + 1, 100)
    assert "no row in the ledger" in desk.client.schedules.why("x", ONE)


@given(st.integers(-3 * DAY, 3 * DAY), st.sampled_from(["skip", "once", "earliest", "all"]), st.booleans())
def test_there_is_always_a_sentence(offset: int, misfire: str, paused: bool) -> None:
    desk = Desk()
    desk.client.schedules.create("x", Every("7m"), "queue:q", misfire=misfire, overlap="allow")  # type: ignore[arg-type]
    desk.pass_by(HOUR, 20 * MINUTE)
    if paused:
        desk.client.schedules.pause("x")
    desk.clock.advance(DAY)
    desk.tick()
    for at in (desk.clock.now() + offset, (desk.clock.now() + offset) // (7 * MINUTE) * 7 * MINUTE):
        sentence = desk.client.schedules.why("x", moment(at))
        assert sentence.endswith(".")
        assert "None" not in sentence
    assert desk.client.schedules.why("x", desk.clock.now() // SECOND)


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "0 ms"), (999, "999 ms"), (3400, "3.4 s"), (60_000, "1 min"), (245_000, "4 min 5 s"), (97_200_000, "1 d 3 h")],
)
def test_spans(ms: int, text: str) -> None:
    assert span(ms) == text
