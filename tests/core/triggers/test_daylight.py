"""Daylight rules: known cases, and a second-by-second oracle around changes of clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.core.triggers import Cron, Every

Rule = Literal["standard", "quartz", "aws"]


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def ticks(cron: Cron, after: str, until: str) -> list[str]:
    """Times in the trigger's zone, skipped ones marked."""
    found = []
    position, zone = at(after), ZoneInfo(cron.timezone)
    while (tick := cron.next_tick(position)) is not None and tick.at <= at(until):
        position = tick.at
        shown = datetime.fromtimestamp(tick.at / 1000, zone).strftime("%d %H:%M%z")
        found.append(shown if tick.skip is None else f"{shown} {tick.skip}")
    return found


HOWE, PAULO = "Australia/Lord_Howe", "America/Sao_Paulo"
BERLIN_GAP = ("2026-03-28T12:00+01:00", "2026-03-29T12:00+02:00")
BERLIN_OVERLAP = ("2026-10-24T12:00+02:00", "2026-10-25T12:00+01:00")


@pytest.mark.parametrize(
    ("text", "dst", "expected"),
    [
        ("0 30 2 * * ?", "standard", ["29 03:00+0200"]),
        ("0 10,40 2 * * ?", "standard", ["29 03:00+0200"]),
        ("0 30 2,3 * * ?", "standard", ["29 03:00+0200", "29 03:30+0200"]),
        ("0 0 2,3 * * ?", "standard", ["29 03:00+0200"]),
        ("0 0/30 2 * * ?", "standard", []),
        ("0 30 2 * * ?", "quartz", ["29 03:00+0200 daylight_gap"]),
        ("0 30 2 * * ?", "aws", ["29 03:00+0200 daylight_gap"]),
        ("0 0 2,3 * * ?", "aws", ["29 03:00+0200"]),
        ("0 30 1-3 * * ?", "quartz", ["29 01:30+0100", "29 03:00+0200 daylight_gap", "29 03:30+0200"]),
    ],
)
def test_gap(text: str, dst: Rule, expected: list[str]) -> None:
    assert ticks(Cron(text, timezone="Europe/Berlin", dst=dst), *BERLIN_GAP) == expected


@pytest.mark.parametrize(
    ("text", "dst", "expected"),
    [
        ("0 30 2 * * ?", "standard", ["25 02:30+0200"]),
        ("0 30 2 * * ?", "aws", ["25 02:30+0200"]),
        ("0 30 2 * * ?", "quartz", ["25 02:30+0100"]),
        ("0 */30 2 * * ?", "standard", ["25 02:00+0200", "25 02:30+0200", "25 02:00+0100", "25 02:30+0100"]),
        ("0 */30 2 * * ?", "quartz", ["25 02:00+0100", "25 02:30+0100"]),
        ("0 */30 2 * * ?", "aws", ["25 02:00+0200", "25 02:30+0200"]),
    ],
)
def test_overlap(text: str, dst: Rule, expected: list[str]) -> None:
    assert ticks(Cron(text, timezone="Europe/Berlin", dst=dst), *BERLIN_OVERLAP) == expected


@pytest.mark.parametrize(
    ("zone", "text", "window", "expected"),
    [
        (HOWE, "0 15 2 * * ?", ("2026-10-03T20:00+10:30", "2026-10-04T20:00+11:00"), ["04 02:30+1100"]),
        (HOWE, "0 45 1 * * ?", ("2026-04-04T20:00+11:00", "2026-04-05T20:00+10:30"), ["05 01:45+1100"]),
        (PAULO, "0 0 0 * * ?", ("2018-11-03T12:00-03:00", "2018-11-04T12:00-02:00"), ["04 01:00-0200"]),
        (PAULO, "0 30 23 * * ?", ("2018-02-17T12:00-02:00", "2018-02-18T12:00-03:00"), ["17 23:30-0200"]),
        ("Africa/Cairo", "0 0 0 * * ?", ("2024-04-25T12:00+02:00", "2024-04-26T12:00+03:00"), ["26 01:00+0300"]),
        ("Asia/Beirut", "0 15 0 * * ?", ("2022-03-26T12:00+02:00", "2022-03-27T12:00+03:00"), ["27 01:00+0300"]),
        ("Pacific/Apia", "0 30 2 * * ?", ("2011-12-29T00:00-10:00", "2012-01-01T00:00+14:00"),
         ["29 02:30-1000", "31 00:00+1400", "31 02:30+1400"]),
    ],
)  # fmt: skip
def test_small_and_large_gaps_and_changes_at_midnight(
    zone: str, text: str, window: tuple[str, str], expected: list[str]
) -> None:
    assert ticks(Cron(text, timezone=zone), *window) == expected


def test_an_interval_follows_elapsed_time() -> None:
    every = Every("6h", anchor="2026-03-28T02:30:00+01:00", timezone="Europe/Berlin")
    times = every.upcoming(datetime.fromisoformat("2026-03-28T20:00+01:00"), 3)
    assert [time.strftime("%H:%M%z") for time in times] == ["20:30+0100", "03:30+0200", "09:30+0200"]


def test_a_leap_day_is_found_across_a_century_without_one() -> None:
    leap = Cron("0 0 12 29 2 ?", timezone="Europe/Berlin")
    found = leap.upcoming(datetime(2095, 1, 1, tzinfo=UTC), 3)
    assert [time.year for time in found] == [2096, 2104, 2108]
    assert leap.latest_tick(0, at("2103-01-01T00:00Z")) == (at("2096-02-29T12:00+01:00"), None)


def test_what_can_never_fire_says_so() -> None:
    for text in ("0 0 0 30 2 ?", "0 0 0 31 4,6,9,11 ?", "0 0 0 1 1 ? 1980", "0 0 0 L-30 2 ?"):
        assert Cron(text, timezone="America/New_York").next_tick(at("2026-01-01T00:00Z")) is None
    assert Cron("0 0 0 30 2 ?").latest_tick(0, at("2026-01-01T00:00Z")) is None


def test_a_year_of_seconds_is_counted() -> None:
    cron = Cron("* * * * * ?", timezone="Europe/Berlin")
    assert cron.count_ticks(at("2026-01-01T00:00Z"), at("2027-01-01T00:00Z")) == 365 * 86_400


# The oracle asks every second whether a tick stands there; nothing of it is shared with the code under test.

CHANGES = {
    "Europe/Berlin": ["2026-03-29T01:00Z", "2026-10-25T01:00Z"],
    "America/New_York": ["2026-03-08T07:00Z", "2026-11-01T06:00Z"],
    "Australia/Lord_Howe": ["2026-04-04T15:00Z", "2026-10-03T15:30Z"],
    "America/Sao_Paulo": ["2018-11-04T03:00Z", "2018-02-18T02:00Z"],
    "Africa/Cairo": ["2024-04-25T22:00Z", "2024-10-31T21:00Z"],
}
STEP = 20


@lru_cache
def seconds_around(zone: str, change: str) -> list[tuple[int, datetime, bool, bool]]:
    """(epoch seconds, wall time, second pass, repeated) for each step of four hours."""
    info, middle = ZoneInfo(zone), at(change) // 1000
    rows = []
    for second in range(middle - 7_200, middle + 7_200, STEP):
        shown = datetime.fromtimestamp(second, info)
        repeated = shown.replace(fold=0).utcoffset() != shown.replace(fold=1).utcoffset()
        rows.append((second, shown.replace(tzinfo=None), bool(shown.fold), repeated))
    return rows


def oracle(
    zone: str, change: str, sets: tuple[set[int], set[int], set[int]], rule: str
) -> list[tuple[int, str | None]]:
    def matches(wall: datetime) -> bool:
        return wall.second in sets[0] and wall.minute in sets[1] and wall.hour in sets[2]

    rows = seconds_around(zone, change)
    found: dict[int, str | None] = {}
    for (second, wall, again, repeated), (_, before, _, _) in zip(rows[1:], rows, strict=False):
        jumped = wall - before > timedelta(seconds=STEP)
        lost = jumped and any(
            matches(before + timedelta(seconds=step)) for step in range(1, int((wall - before).total_seconds()))
        )
        if lost and rule != "elapsed":
            found[second * 1000] = None if rule == "moved" else "daylight_gap"
        passes = {"elapsed": True, "moved": not again, "aws": not again, "quartz": again or not repeated}[rule]
        if matches(wall) and passes:
            found[second * 1000] = None
    return sorted(found.items())


subsets = {
    "second": st.sets(st.sampled_from(range(0, 60, STEP)), min_size=1),
    "minute": st.sets(st.integers(1, 59), min_size=1, max_size=8),
    "hour": st.sets(st.sampled_from([22, 23, 0, 1, 2, 3, 4]), min_size=1, max_size=5),
}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([(zone, change) for zone, changes in CHANGES.items() for change in changes]),
    subsets["second"], subsets["minute"] | st.just(set(range(60))), subsets["hour"] | st.just(set(range(24))),
    st.sampled_from(["standard", "quartz", "aws"]),
)  # fmt: skip
def test_every_second_around_a_change(
    where: tuple[str, str], second: set[int], minute: set[int], hour: set[int], dst: Rule
) -> None:
    zone, change = where
    sub_daily = len(minute) == 60 or len(hour) == 24
    rule = dst if dst != "standard" else "elapsed" if sub_daily else "moved"
    text = " ".join(",".join(map(str, sorted(field))) for field in (second, minute, hour))
    text = text.replace(",".join(map(str, range(60))), "*").replace(",".join(map(str, range(24))), "*")
    cron = Cron(f"{text} * * ?", timezone=zone, dst=dst)
    first, last = (seconds_around(zone, change)[place][0] * 1000 for place in (0, -1))
    found, position = [], first
    while (tick := cron.next_tick(position)) is not None and tick.at <= last:
        found.append(tuple(tick))
        position = tick.at
    assert found == oracle(zone, change, (second, minute, hour), rule)
