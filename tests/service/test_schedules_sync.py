"""What an app declares and what is stored, after any history of declarations."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.service.desk import HOUR, MINUTE, Desk

from rota.app import App
from rota.core.errors import ConflictError, InvalidError
from rota.core.triggers import Every


def app_with(declared: dict[str, int], name: str = "shop") -> App:
    app = App(name)
    for id, minutes in declared.items():
        app.schedule(id, Every(f"{minutes}m"), "queue:q")
    return app


def test_the_first_start_creates(desk: Desk) -> None:
    report = desk.client.sync(app_with({"a": 5, "b": 7}))
    assert report.created == ("a", "b")
    assert str(report) == "2 created"
    assert desk.client.schedules.get("a").schedule.owner == "shop"


def test_unchanged_ones_keep_their_state(desk: Desk) -> None:
    desk.client.sync(app_with({"a": 5}))
    desk.pass_by(HOUR, MINUTE)
    desk.client.schedules.pause("a")
    before = desk.client.schedules.get("a")
    assert desk.client.sync(app_with({"a": 5})).unchanged == ("a",)
    assert desk.client.schedules.get("a") == before
    assert desk.client.sync(app_with({"a": 6})).updated == ("a",)
    assert desk.client.schedules.get("a").status == "paused", "the user's pause is not the sync's to end"


def test_what_is_no_longer_declared_is_paused_and_comes_back(desk: Desk) -> None:
    desk.client.sync(app_with({"a": 5, "b": 5}))
    report = desk.client.sync(app_with({"a": 5}))
    assert (report.unchanged, report.orphaned) == (("a",), ("b",))
    paused = desk.client.schedules.get("b").state.paused
    assert paused is not None
    assert (paused.by, paused.reason) == ("rota", "no longer declared in app 'shop'")
    assert desk.client.sync(app_with({"a": 5})).orphaned == ("b",), "reported at every start"
    desk.clock.advance(HOUR)
    report = desk.client.sync(app_with({"a": 5, "b": 6}))
    assert (report.updated, report.resumed) == (("b",), ("b",))
    assert desk.client.schedules.get("b").status == "active"
    assert [(row.reason, row.count) for row in desk.ledger("b")] == [("paused", 12)]


def test_prune_deletes(desk: Desk) -> None:
    desk.client.sync(app_with({"a": 5, "b": 5}))
    report = desk.client.sync(app_with({}), prune=True)
    assert report.deleted == ("a", "b")
    assert desk.client.schedules.list() == []


@pytest.mark.parametrize("owner", ["", "other"])
def test_what_is_not_the_app_s_is_not_taken(desk: Desk, owner: str) -> None:
    if owner:
        desk.client.sync(app_with({"a": 5}, owner))
    else:
        desk.client.schedules.create("a", Every("5m"), "queue:q")
    with pytest.raises(ConflictError, match="'other'" if owner else "by hand"):
        desk.client.sync(app_with({"b": 5, "a": 5}))
    assert [row.id for row in desk.client.schedules.list()] == ["a"]
    assert desk.client.sync(app_with({"b": 5})).orphaned == ()


def test_a_bad_declaration_stores_nothing(desk: Desk) -> None:
    app = app_with({"a": 5})
    app.schedule("b", Every("5m"), "task:unknown")
    with pytest.raises(InvalidError, match="unknown"):
        desk.client.sync(app)
    assert desk.client.schedules.list() == []


declarations = st.dictionaries(st.sampled_from("abcde"), st.sampled_from([5, 7, 60]))


@given(st.lists(st.tuples(declarations, st.booleans(), st.integers(0, 3)), min_size=1, max_size=6))
def test_after_any_history_the_store_says_what_the_app_says(history: list[tuple[dict[str, int], bool, int]]) -> None:
    desk = Desk()
    for declared, prune, hours in history:
        stored = {row.id: row for row in desk.client.schedules.list()}
        report = desk.client.sync(app_with(declared), prune=prune)
        assert set(report.created) == set(declared) - set(stored)
        assert set(report.updated) | set(report.unchanged) == set(declared) & set(stored)
        assert set(report.orphaned) | set(report.deleted) == set(stored) - set(declared)
        now = {row.id: row for row in desk.client.schedules.list()}
        active = {id: row.schedule.trigger for id, row in now.items() if row.status == "active"}
        assert active == {id: Every(f"{minutes}m") for id, minutes in declared.items()}
        for id in set(report.unchanged) - set(report.resumed):
            assert now[id] == stored[id]
        assert not desk.client.sync(app_with(declared)).updated
        desk.pass_by(hours * HOUR, 10 * MINUTE)
    for id in "abcde":
        rows = desk.stores.schedules.ticks(id, 0, desk.clock.now(), 10_000)
        assert all(one.until < other.scheduled for one, other in pairwise(rows))


@pytest.fixture
def desk() -> Desk:
    return Desk()
