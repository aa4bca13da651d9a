"""What a client may do with schedules, and what that does to ticks that are due."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from tests.service.desk import DAY, HOUR, MINUTE, SECOND, Desk

from rota.app import App, define_schedule
from rota.core.errors import ConflictError, ExistsError, InvalidError, NeverFiresError, NotFoundError
from rota.core.ids import iso
from rota.core.schedule import Change
from rota.core.triggers import AnyTrigger, At, Cron, Every
from rota.testing import MemoryStores

HOURLY = Every("1h")


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_schedule_comes_back_as_it_was_made(desk: Desk) -> None:
    made = desk.client.schedules.create(
        "nightly", Cron("0 30 2 * * ?"), "task:enrich", payload={"full": True}, tags=["b", "a", "b"], description="d"
    )
    assert desk.client.schedules.get("nightly") == made
    assert made.schedule.tags == ("a", "b")
    assert made.next == datetime.fromisoformat("2026-01-01T02:30:00Z")
    assert desk.notified == 1


def test_lists_are_filtered_and_paged(desk: Desk) -> None:
    schedules = desk.client.schedules
    for name in ("a", "b", "c"):
        schedules.create(name, HOURLY, "queue:q", tags=["odd"] if name != "b" else [])
    schedules.pause("c")
    assert [row.id for row in schedules.list(tag="odd")] == ["a", "c"]
    assert [row.id for row in schedules.list(status="paused")] == ["c"]
    assert [row.id for row in schedules.list(search="B")] == ["b"]
    assert [row.id for row in schedules.list(limit=1, after="a")] == ["b"]
    with pytest.raises(InvalidError, match="status"):
        schedules.list(status="gone")  # type: ignore[arg-type]
    with pytest.raises(InvalidError, match="limit"):
        schedules.list(limit=0)


def test_a_wrong_id_is_answered_with_near_ones(desk: Desk) -> None:
    desk.client.schedules.create("nightly", HOURLY, "queue:q")
    with pytest.raises(NotFoundError, match="is it nightly") as caught:
        desk.client.schedules.get("nihgtly")
    assert caught.value.ids == {"schedule": "nihgtly"}


def test_all_or_none_of_many_are_stored(desk: Desk) -> None:
    schedules = desk.client.schedules
    schedules.create("taken", HOURLY, "queue:q")
    new = [define_schedule(name, HOURLY, "queue:q") for name in ("a", "b")]
    with pytest.raises(ExistsError, match="taken"):
        schedules.create_many([*new, define_schedule("taken", HOURLY, "queue:q")])
    with pytest.raises(ExistsError, match="'a'"):
        schedules.create_many([*new, new[0]])
    assert [row.id for row in schedules.list()] == ["taken"]
    assert [row.id for row in schedules.create_many(new)] == ["a", "b"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"payload": object()}, "payload"),
        ({"payload": "x" * 300_000}, "payload"),
        ({"misfire": "later"}, "misfire"),
        ({"misfire": "all", "overlap": "skip"}, "misfire"),
        ({"max_executions": 0}, "max_executions"),
        ({"target": "ftp:x"}, "target"),
        ({"target": "lambda:x y"}, "target.function"),
        ({"tags": ["not a tag"]}, "tags"),
        ({"timeout": -1}, "timeout"),
    ],
)
def test_bad_input_names_its_field_and_stores_nothing(desk: Desk, changes: dict[str, object], field: str) -> None:
    arguments = {"target": "queue:q", **changes}
    with pytest.raises(InvalidError) as caught:
        desk.client.schedules.create("x", HOURLY, **arguments)  # type: ignore[arg-type]
    assert caught.value.field == field
    assert desk.client.schedules.list() == []
    before = desk.client.schedules.create("x", HOURLY, "queue:q")
    with pytest.raises(InvalidError) as caught:
        desk.client.schedules.update("x", **changes)  # type: ignore[arg-type]
    assert caught.value.field == field
    assert desk.client.schedules.get("x") == before


NEVER = {
    "impossible date": (Cron("0 0 0 31 2 ?"), {}),
    "ended": (Every("1h", end="2025-01-01T00:00:00Z"), {}),
    "only day excluded": (Cron("0 0 0 25 12 ? 2026", exclude=["2026-12-25"]), {}),
    "one-off excluded": (At("2026-12-25T09:00:00Z", exclude=["2026-12-25"]), {}),
    "window excluded": (
        Every("1d", start="2026-02-01T00:00:00Z", end="2026-02-05T00:00:00Z", exclude=["2026-02-01/2026-02-05"]),
        {},
    ),
    "all excluded": (Every("1s", exclude=["2026-01-01/9999-12-31"]), {}),
    "all seconds excluded": (Cron("* * * * * ?", timezone="Asia/Tokyo", exclude=["2026-01-01/9999-12-31"]), {}),
    "only in a gap": (Cron("0 30 2 28 3 ? 2027", timezone="Europe/Berlin", dst="aws"), {}),
    "always in a gap": (Cron("0 30 2 ? 3 1L", timezone="Europe/Berlin", dst="quartz"), {}),
    "beyond the calendar": (Every("36525d", start="9999-12-01T00:00:00Z"), {}),
    "past and skipped": (At("2025-12-31T23:00:00Z"), {"misfire": "skip"}),
}


@pytest.mark.parametrize(("trigger", "policies"), NEVER.values(), ids=NEVER)
def test_a_schedule_that_never_fires_is_refused(desk: Desk, trigger: AnyTrigger, policies: dict[str, Any]) -> None:
    with pytest.raises(NeverFiresError, match="a trigger that fires after 2026-01-01T00:00:00Z"):
        desk.client.schedules.create("x", trigger, "queue:q", **policies)
    desk.client.schedules.create("y", HOURLY, "queue:q")
    for change in (desk.client.schedules.preview, desk.client.schedules.update):
        with pytest.raises(NeverFiresError):
            change("y", trigger=trigger, **policies)
    assert [row.id for row in desk.client.schedules.list()] == ["y"]
    app = App("shop")
    app.schedule("z", trigger, "queue:q", **policies)
    with pytest.raises(NeverFiresError):
        desk.client.sync(app)


@pytest.mark.parametrize(
    ("trigger", "policies"),
    [
        (At("2025-12-31T23:00:00Z"), {}),
        (At("2025-12-31T23:00:00Z"), {"misfire": "earliest"}),
        (At("2025-12-31T23:00:00Z"), {"misfire": "all", "overlap": "queue_all"}),
        (At("2025-12-31T23:59:30Z"), {"misfire": "skip"}),
        (At("2025-12-31T23:00:00Z"), {"misfire": "skip", "grace": 4000}),
        (Every("1m", exclude=["2026-01-01T00:01:00Z"]), {"max_executions": 1}),
    ],
)
def test_a_schedule_that_fires_once_is_not_refused(desk: Desk, trigger: AnyTrigger, policies: dict[str, Any]) -> None:
    desk.client.schedules.create("x", trigger, "queue:q", **policies)
    desk.pass_by(5 * MINUTE)
    assert len(desk.fired("x")) == 1


def test_a_task_that_the_app_lacks_is_refused() -> None:
    app = App("shop")

    @app.task
    def known() -> None: ...

    desk = Desk(app)
    desk.client.schedules.create("x", HOURLY, known)
    for call in (
        lambda: desk.client.schedules.create("y", HOURLY, "task:unknown"),
        lambda: desk.client.schedules.update("x", target="task:unknown"),
        lambda: desk.client.schedules.preview("x", target="task:unknown"),
        lambda: desk.client.at(0, "task:unknown"),
    ):
        with pytest.raises(InvalidError, match="known"):
            call()


def test_pausing_first_decides_what_was_due(desk: Desk) -> None:
    desk.client.schedules.create("x", HOURLY, "queue:q", overlap="allow")
    desk.clock.advance(HOUR + SECOND)
    paused = desk.client.schedules.pause("x", "the warehouse moves")
    assert desk.fired("x") == ["2026-01-01T01:00:00Z"]
    assert paused.status == "paused"
    assert paused.next is None
    assert str(paused.state.paused) == "paused by ada@desk at 2026-01-01T01:00:01Z (the warehouse moves)"
    desk.pass_by(3 * HOUR, MINUTE)
    resumed = desk.client.schedules.resume("x")
    assert resumed.next == datetime.fromisoformat("2026-01-01T05:00:00Z")
    row = desk.ledger("x")[-1]
    assert (row.reason, row.count, iso(row.scheduled), iso(row.until)) == (
        "paused",
        3,
        "2026-01-01T02:00:00Z",
        "2026-01-01T04:00:00Z",
    )


def test_pause_and_resume_have_their_time(desk: Desk) -> None:
    schedules = desk.client.schedules
    schedules.create("x", HOURLY, "queue:q")
    with pytest.raises(ConflictError, match="not paused"):
        schedules.resume("x")
    schedules.pause("x")
    with pytest.raises(ConflictError, match="paused by ada@desk"):
        schedules.pause("x")
    desk.client.at(0, "queue:q", id="once")
    desk.tick()
    with pytest.raises(ConflictError, match="finished"):
        schedules.pause("once")


def test_a_one_off_that_was_paused_over_its_time_does_not_fire(desk: Desk) -> None:
    desk.client.at("2026-01-01T01:00:00Z", "queue:q", id="once")
    desk.client.schedules.pause("once")
    desk.clock.advance(2 * HOUR)
    assert desk.client.schedules.resume("once").status == "finished"
    assert [row.reason for row in desk.ledger("once")] == ["paused"]


def test_an_update_fires_what_was_due_as_it_was(desk: Desk) -> None:
    desk.client.schedules.create("x", HOURLY, "queue:old", payload=1)
    desk.clock.advance(HOUR + 5)
    updated = desk.client.schedules.update("x", trigger=Every("10m"), target="queue:new", payload=2)
    (run,) = desk.stores.runs.due(desk.clock.now(), 10)
    assert (str(run.spec.target), run.payload, iso(run.scheduled)) == ("queue:old", b"1", "2026-01-01T01:00:00Z")
    assert updated.next == datetime.fromisoformat("2026-01-01T01:10:00Z")
    assert updated.state.fired == 1


def test_an_update_of_anything_else_keeps_the_next_tick(desk: Desk) -> None:
    made = desk.client.schedules.create("x", Every("1h", anchor="2026-01-01T00:10:00Z"), "queue:q")
    updated = desk.client.schedules.update("x", payload=5, tags=["a"], description="d", misfire="skip")
    assert updated.state.next_tick == made.state.next_tick
    assert updated.state.version == made.state.version + 1
    assert desk.client.schedules.update("x", payload=5) == updated
    with pytest.raises(InvalidError, match="colour"):
        desk.client.schedules.update("x", colour="red")  # type: ignore[call-arg]


def test_a_tick_that_was_decided_ahead_of_time_is_not_decided_again(desk: Desk) -> None:
    from rota.service.tick import tick

    desk.client.schedules.create("x", HOURLY, "queue:q", overlap="allow")
    desk.clock.advance(HOUR - 3)
    tick(desk.stores.schedules, desk.clock.now(), lead=4)
    updated = desk.client.schedules.update("x", trigger=Every("30m"))
    assert updated.next == datetime.fromisoformat("2026-01-01T01:30:00Z")


def test_a_one_off_that_fired_does_not_fire_again_when_updated(desk: Desk) -> None:
    when = "2026-01-01T01:00:00Z"
    desk.client.at(when, "queue:q", id="once")
    desk.pass_by(HOUR + SECOND, MINUTE)
    with pytest.raises(NeverFiresError):
        desk.client.schedules.update("once", trigger=At(when, jitter=5))
    again = desk.client.schedules.update("once", trigger=At("2026-01-01T03:00:00Z"))
    assert again.status == "active"
    desk.pass_by(3 * HOUR, MINUTE)
    assert desk.fired("once") == [when, "2026-01-01T03:00:00Z"]


def test_max_executions_may_be_raised_and_lowered(desk: Desk) -> None:
    desk.client.schedules.create("x", HOURLY, "queue:q", max_executions=2)
    desk.pass_by(5 * HOUR, MINUTE)
    assert len(desk.fired("x")) == 2
    assert desk.client.schedules.get("x").status == "finished"
    assert desk.client.schedules.update("x", max_executions=3).status == "active"
    desk.pass_by(5 * HOUR, MINUTE)
    assert len(desk.fired("x")) == 3
    desk.client.schedules.update("x", max_executions=None)
    assert desk.client.schedules.update("x", max_executions=1).status == "finished"


def test_a_changed_trigger_of_a_paused_schedule_closes_the_old_one_s_account(desk: Desk) -> None:
    desk.client.schedules.create("x", HOURLY, "queue:q")
    desk.client.schedules.pause("x")
    desk.clock.advance(2 * HOUR + SECOND)
    updated = desk.client.schedules.update("x", trigger=Every("30m"))
    assert updated.status == "paused"
    desk.clock.advance(HOUR)
    desk.client.schedules.resume("x")
    assert [(row.reason, row.count) for row in desk.ledger("x")] == [("paused", 2), ("paused", 2)]


def test_deleting_ends_what_waits_and_keeps_the_account(desk: Desk) -> None:
    desk.client.schedules.create("x", HOURLY, "queue:q", overlap="queue_all", misfire="all")
    desk.clock.advance(HOUR)
    desk.tick()
    desk.start()
    desk.clock.advance(2 * HOUR + SECOND)
    desk.client.schedules.delete("x")
    assert [record.state for record in desk.client.runs.list()] == ["cancelled", "cancelled", "running"]
    assert len(desk.fired("x")) == 3
    with pytest.raises(NotFoundError):
        desk.client.schedules.get("x")
    with pytest.raises(NotFoundError):
        desk.client.schedules.ticks("y")


def test_a_run_by_hand_ignores_policies_and_counts_for_nothing(desk: Desk) -> None:
    desk.client.schedules.create("x", HOURLY, "queue:q", payload=1, max_executions=1)
    desk.client.schedules.pause("x")
    ids = [desk.client.schedules.trigger("x"), desk.client.schedules.trigger("x", payload=2)]
    assert ids == ["x@2026-01-01T00:00:00.001Z", "x@2026-01-01T00:00:00.002Z"], "midnight itself is a tick of x"
    assert [desk.client.runs.get(id).payload for id in ids] == [b"1", b"2"]
    assert desk.client.schedules.get("x").state.fired == 0
    with pytest.raises(NotFoundError):
        desk.client.schedules.trigger("y")


class _Meddled:
    """A schedule store on which somebody else is always faster."""

    def __init__(self, stores: MemoryStores, times: int) -> None:
        self._store = stores.schedules
        self.times = times

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def apply(self, changes: list[Change]) -> list[bool]:
        if self.times:
            self.times -= 1
            return [False] * len(changes)
        return self._store.apply(changes)


@pytest.mark.parametrize(("times", "wins"), [(3, True), (100, False)])
def test_a_lost_race_is_run_again_a_few_times(times: int, wins: bool) -> None:
    desk = Desk()
    desk.client.schedules.create("x", HOURLY, "queue:q")
    meddled = Desk()
    meddled.stores.state.schedules.update(desk.stores.state.schedules)
    store = _Meddled(meddled.stores, times)
    from rota.service.schedules import pause

    if wins:
        assert pause(store, "x", "ada", "", 0).status == "paused"  # type: ignore[arg-type]
    else:
        with pytest.raises(ConflictError, match="changed by others"):
            pause(store, "x", "ada", "", 0)  # type: ignore[arg-type]


def test_a_long_backlog_is_decided_before_the_change(desk: Desk) -> None:
    desk.client.schedules.create("x", Every("1m"), "queue:q", misfire="all", overlap="allow")
    desk.clock.advance(2 * DAY)
    paused = desk.client.schedules.pause("x")
    assert paused.state.fired == 2 * 24 * 60
    assert len(desk.fired("x")) == 2 * 24 * 60
