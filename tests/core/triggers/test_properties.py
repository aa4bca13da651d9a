"""Properties of every trigger, on generated ones."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.core.triggers import AnyTrigger, At, Cron, Every, jitter_ms

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Asia/Beirut",
]
BEGIN = int(datetime(2016, 1, 1, tzinfo=UTC).timestamp() * 1000)
END = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp() * 1000)
instants = st.integers(BEGIN, END)
moments = instants.map(lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms))


def number(low: int, high: int) -> st.SearchStrategy[str]:
    value = st.integers(low, high)
    return st.one_of(
        value.map(str),
        st.lists(value, min_size=2, max_size=3).map(lambda many: ",".join(map(str, many))),
        st.tuples(value, value).map(lambda pair: f"{min(pair)}-{max(pair)}"),
        st.integers(1, max(1, high // 2)).map(lambda step: f"*/{step}"),
        st.just("*"),
    )


month_days = st.one_of(number(1, 31), st.sampled_from(["L", "LW", "L-3", "L-5W", "15W", "1,15W,L", "31", "29"]))
week_days = st.one_of(number(1, 7), st.sampled_from(["MON-FRI", "6L", "FRI#3", "2#5", "SAT-MON", "L"]))
days = st.one_of(month_days.map(lambda day: (day, "?")), week_days.map(lambda day: ("?", day)))
expressions = st.builds(
    lambda second, minute, hour, month, day: f"{second} {minute} {hour} {day[0]} {month} {day[1]}",
    st.one_of(st.just("0"), st.just("0"), number(0, 59)), number(0, 59), number(0, 23), number(1, 12), days,
)  # fmt: skip
windows = st.fixed_dictionaries(
    {},
    optional={
        "start": moments.filter(lambda at: at.year < 2018),
        "end": moments.filter(lambda at: at.year > 2024),
        "exclude": st.lists(st.dates(date(2016, 1, 1), date(2027, 1, 1)), max_size=5),
        "jitter": st.floats(0, 100),
    },
)
crons = st.builds(
    lambda text, zone, dst, options: Cron(text, timezone=zone, dst=dst, **options),
    expressions, st.sampled_from(ZONES), st.sampled_from(["standard", "quartz", "aws"]), windows,
)  # fmt: skip
everies = st.builds(
    lambda ms, anchor, zone, options: Every(timedelta(milliseconds=ms), anchor=anchor, timezone=zone, **options),
    st.integers(1_000, 10**8), st.none() | moments, st.sampled_from(ZONES), windows,
)  # fmt: skip
ats = st.builds(lambda when, options: At(when, **options), moments, windows)
triggers = st.one_of(crons, crons, everies, ats)


def walk(trigger: AnyTrigger, after: int, until: int, limit: int = 300) -> tuple[list[int], int]:
    """The ticks in (after, last looked at], at most `limit` of them."""
    found: list[int] = []
    at = after
    while len(found) < limit:
        tick = trigger.next_tick(at)
        if tick is None or tick.at > until:
            return found, until
        assert tick.at > at
        at = tick.at
        found.append(at)
    return found, at


@settings(max_examples=250, deadline=None)
@given(triggers, instants, st.integers(0, 400 * 86_400_000))
def test_counting_and_looking_back_agree_with_walking(trigger: AnyTrigger, after: int, length: int) -> None:
    ticks, until = walk(trigger, after, after + length)
    assert ticks == sorted(set(ticks))
    assert trigger.count_ticks(after, until) == len(ticks)
    latest = trigger.latest_tick(after, until)
    assert (latest and latest.at) == (ticks[-1] if ticks else None)
    fired = []
    for before, tick in zip([after, *ticks], ticks, strict=False):
        found = trigger.next_tick(before)
        assert trigger.latest_tick(before, tick) == found
        fired += [tick] if found is not None and found.skip is None else []
    assert trigger.latest_fired(after, until) == (fired[-1] if fired else None)
    if fired:
        assert trigger.next_fired(after) == fired[0]


@settings(max_examples=100, deadline=None)
@given(triggers, instants, st.integers(0, 10**9), st.integers(0, 10**9))
def test_counts_add_up(trigger: AnyTrigger, first: int, second: int, third: int) -> None:
    a, b, c = first, first + second, first + second + third
    assert trigger.count_ticks(a, b) + trigger.count_ticks(b, c) == trigger.count_ticks(a, c)


@settings(max_examples=150, deadline=None)
@given(triggers, moments, st.integers(0, 6))
def test_upcoming_repeats_next(trigger: AnyTrigger, after: datetime, n: int) -> None:
    expected: list[datetime] = []
    at: datetime | None = after
    while len(expected) < n and at is not None and (at := trigger.next(at)) is not None:
        expected.append(at)
    assert trigger.upcoming(after, n) == expected
    assert all(str(time.tzinfo) == trigger.timezone for time in expected)


@settings(max_examples=150, deadline=None)
@given(triggers)
def test_json_round_trip(trigger: AnyTrigger) -> None:
    read = msgspec.json.decode(msgspec.json.encode(trigger), type=AnyTrigger)
    assert read == trigger
    assert hash(read) == hash(trigger)
    assert trigger.explain().endswith(".")


@given(st.text(max_size=60), st.floats(0.001, 86_400))
def test_jitter_is_in_range_and_depends_on_the_run_alone(run_id: str, jitter: float) -> None:
    delay = jitter_ms(run_id, jitter)
    assert 0 <= delay < max(1, jitter * 1000)
    assert delay == jitter_ms(run_id, jitter)


def test_jitter_is_the_same_on_every_machine_and_spreads() -> None:
    assert jitter_ms("nightly@2026-01-01T00:00:00Z", 10) == 6843
    delays = [jitter_ms(f"s@{number}", 1) for number in range(2_000)]
    assert min(delays) < 10
    assert max(delays) > 990
    assert jitter_ms("x", 0) == 0
