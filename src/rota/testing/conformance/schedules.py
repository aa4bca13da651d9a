"""ScheduleStore: keeping, finding and listing."""

from __future__ import annotations

import msgspec
import pytest

from rota.core.errors import ExistsError
from rota.core.retry import Retry
from rota.core.run import RunKey
from rota.core.schedule import Pause, Schedule, State, StoredSchedule
from rota.core.target import HttpTarget
from rota.core.triggers import Cron
from rota.ports.schedules import ScheduleQuery
from rota.testing.conformance.values import HOUR, LARGEST, T0, begun, change, recurring, stored
from rota.testing.stores import Stores


def _ids(rows: list[StoredSchedule]) -> list[str]:
    return [row.id for row in rows]


class TestScheduleStore:
    def test_a_schedule_comes_back_as_it_was_stored(self, stores: Stores) -> None:
        schedule = Schedule(
            id="Shop:nightly/v1.2+x_y-z",
            trigger=Cron("0 30 2 * * ?", timezone="Europe/Berlin"),
            target=HttpTarget("https://example.com/hook", "PUT", {"X-Team": "Größe"}, 2.5, allow_private=True),
            payload='{"größe":"日本","quote":"\\"\'"}'.encode(),
            misfire="all",
            grace=0.5,
            overlap="queue_all",
            max_executions=7,
            retry=Retry(attempts=4, initial=0.25, jitter="none", retry_on=(OSError,), give_up_on=("shop.Gone",)),
            timeout=12.5,
            tags=("b", "a"),
            description="naïve ☃ \U0001f40d\n'; DROP TABLE schedules; --",
            owner="shop",
        )
        pause = Pause("ann", T0 + 3, "größer")
        state = State(T0 + 7, "daylight_gap", 3, pause, 41, T0 - 1, T0 + 5)
        row = StoredSchedule(schedule, state)
        stores.schedules.create([row])
        assert stores.schedules.get([schedule.id]) == [row]
        assert stores.schedules.list(ScheduleQuery()) == [row]

    def test_the_largest_payload_fits(self, stores: Stores) -> None:
        row = stored("large")
        row = msgspec.structs.replace(row, schedule=msgspec.structs.replace(row.schedule, payload=LARGEST))
        stores.schedules.create([row])
        assert stores.schedules.due(T0, 1) == [row]

    def test_get_answers_in_the_order_asked_and_leaves_out_what_is_not_there(self, stores: Stores) -> None:
        stores.schedules.create([stored("a"), stored("b"), stored("c")])
        assert _ids(stores.schedules.get(["c", "nobody", "a"])) == ["c", "a"]

    def test_a_taken_id_stops_the_whole_call(self, stores: Stores) -> None:
        stores.schedules.create([stored("taken", T0)])
        with pytest.raises(ExistsError) as caught:
            stores.schedules.create([stored("new"), stored("taken", T0 + HOUR), stored("newer")])
        assert caught.value.ids == {"schedule": "taken"}
        assert stores.schedules.list(ScheduleQuery()) == [stored("taken", T0)]

    def test_an_id_twice_in_one_call_stops_it(self, stores: Stores) -> None:
        with pytest.raises(ExistsError):
            stores.schedules.create([stored("twin"), stored("twin")])
        assert stores.schedules.list(ScheduleQuery()) == []

    def test_nothing_to_do_is_no_error(self, stores: Stores) -> None:
        stores.schedules.create([])
        assert stores.schedules.get([]) == []
        assert stores.schedules.apply([]) == []
        assert stores.schedules.open_runs([]) == {}
        assert stores.schedules.due(T0, 10) == []
        assert stores.schedules.next_due() is None

    def test_pages_tile_the_list_in_the_order_of_ids(self, stores: Stores) -> None:
        names = sorted(f"{letter}{number}" for letter in "aBz" for number in range(9))
        stores.schedules.create([stored(name) for name in reversed(names)])
        seen: list[str] = []
        while page := stores.schedules.list(ScheduleQuery(after=seen[-1] if seen else None, limit=4)):
            assert len(page) <= 4
            seen += _ids(page)
        assert seen == names

    def test_a_big_page(self, stores: Stores) -> None:
        names = [f"s{number:05}" for number in range(3000)]
        stores.schedules.create([stored(name) for name in names])
        assert _ids(stores.schedules.list(ScheduleQuery(limit=5000))) == names
        assert len(stores.schedules.get(names)) == 3000
        assert _ids(stores.schedules.due(T0, 5000)) == names

    def test_filters_narrow_the_list_and_combine(self, stores: Stores) -> None:
        stores.schedules.create(
            [
                stored("a", tags=("red", "blue"), owner="shop"),
                stored("b", tags=("red",), paused=True),
                stored("c", None, tags=("blue",), owner="shop"),
                stored("d", tags=("redder",)),
            ]
        )
        find = stores.schedules.list
        assert _ids(find(ScheduleQuery(tag="red"))) == ["a", "b"]
        assert _ids(find(ScheduleQuery(status="paused"))) == ["b"]
        assert _ids(find(ScheduleQuery(status="finished"))) == ["c"]
        assert _ids(find(ScheduleQuery(status="active"))) == ["a", "d"]
        assert _ids(find(ScheduleQuery(owner="shop"))) == ["a", "c"]
        assert _ids(find(ScheduleQuery(owner="shop", tag="blue", status="active"))) == ["a"]
        assert _ids(find(ScheduleQuery(tag="red", after="a"))) == ["b"]
        assert _ids(find(ScheduleQuery(tag="blue", owner="shop", limit=1))) == ["a"]

    def test_a_paused_schedule_without_a_tick_left_counts_as_paused(self, stores: Stores) -> None:
        stores.schedules.create([stored("both", None, paused=True)])
        assert _ids(stores.schedules.list(ScheduleQuery(status="paused"))) == ["both"]
        assert stores.schedules.list(ScheduleQuery(status="finished")) == []

    @pytest.mark.parametrize(
        ("search", "found"),
        [
            ("NIGHT", ["Nightly"]),
            ("äpfel", ["fruit"]),
            ("STRASSE", ["street"]),
            ("100%", ["percent"]),
            ("0_0", ["underscore"]),
            ("'", ["quote"]),
            ("nowhere", []),
        ],
    )
    def test_search_finds_part_of_id_or_description_literally_in_any_case(
        self, stores: Stores, search: str, found: list[str]
    ) -> None:
        stores.schedules.create(
            [
                stored("Nightly"),
                stored("fruit", description="Frische ÄPFEL"),
                stored("street", description="Große Straße"),
                stored("percent", description="100% done, 1000 more"),
                stored("underscore", description="0_0 but not 010"),
                stored("plain", description="010 1000"),
                stored("quote", description="ann's"),
            ]
        )
        assert _ids(stores.schedules.list(ScheduleQuery(search=search))) == found

    def test_due_is_ordered_by_tick_then_id_and_limited(self, stores: Stores) -> None:
        stores.schedules.create([stored("c", T0), stored("a", T0 + 1), stored("b", T0), stored("later", T0 + 2)])
        assert _ids(stores.schedules.due(T0 + 1, 10)) == ["b", "c", "a"]
        assert _ids(stores.schedules.due(T0 + 1, 2)) == ["b", "c"]
        assert stores.schedules.due(T0 - 1, 10) == []

    def test_only_active_schedules_are_due(self, stores: Stores) -> None:
        stores.schedules.create([stored("paused", T0, paused=True), stored("over", None), stored("on", T0 + 9)])
        assert _ids(stores.schedules.due(T0 + HOUR, 10)) == ["on"]
        assert stores.schedules.next_due() == T0 + 9

    def test_next_due_follows_what_happens(self, stores: Stores) -> None:
        first, second = stored("first", T0), stored("second", T0 + 5)
        stores.schedules.create([first, second])
        assert stores.schedules.next_due() == T0
        stores.schedules.apply([change(first, T0 + 9)])
        assert stores.schedules.next_due() == T0 + 5
        stores.schedules.apply([change(second, None)])
        assert stores.schedules.next_due() == T0 + 9

    def test_open_runs_are_every_one_earliest_first(self, stores: Stores) -> None:
        runs = [recurring("busy", T0 + 2, held=True), recurring("busy", T0 + 1), recurring("busy", T0)]
        stores.runs.accept([*runs, recurring("other")])
        stores.runs.claim([begun(runs[2])])
        found = stores.schedules.open_runs(["busy", "idle"])
        assert list(found) == ["busy"]
        assert found["busy"].keys == tuple(RunKey("busy", T0 + n) for n in range(3))
        assert found["busy"].held == (runs[0].key,)
