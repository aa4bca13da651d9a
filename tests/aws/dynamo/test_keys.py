"""The design of the keys: order, uniqueness, spread, and the way back."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.aws.dynamo import keys
from rota.core.ids import check_id
from rota.core.run import RunKey

LAST = 10**13 - 1
"""In the year 2286; whatever comes later has the same place."""
TIMES = st.integers(-LAST, LAST)
IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,127}", fullmatch=True)
RUNS = st.builds(RunKey, IDS, TIMES)


@given(TIMES, TIMES)
def test_times_sort_as_text(one: int, other: int) -> None:
    assert (keys.time_text(one) < keys.time_text(other)) == (one < other)
    assert (keys.falling_text(one) < keys.falling_text(other)) == (one > other)
    assert keys.text_time(keys.time_text(one)) == one
    assert keys.falling_time(keys.falling_text(one)) == one


@given(st.integers())
def test_any_time_has_a_place(at: int) -> None:
    assert len(keys.time_text(at)) == 14
    assert keys.FIRST_HOUR <= keys.hour_of(at) <= keys.LAST_HOUR


@given(st.tuples(TIMES, RUNS), st.tuples(TIMES, RUNS))
def test_entries_sort_by_time_then_id_then_scheduled_time(one: tuple[int, RunKey], other: tuple[int, RunKey]) -> None:
    texts = [keys.run_sort(due, key) for due, key in (one, other)]
    assert (texts[0] < texts[1]) == (one < other)
    assert keys.run_of(texts[0]) == one[1]
    assert keys.entry_of(texts[0])[0] == one[0]


@given(TIMES, IDS, IDS)
def test_ids_sort_within_a_time_whatever_one_begins_with(at: int, one: str, more: str) -> None:
    first, second = RunKey(one, at), RunKey(one + more, at)
    assert check_id("id", one)
    assert keys.run_sort(at, first) < keys.run_sort(at, second)
    assert keys.dead_key(first).sk < keys.AFTER_ALL


@given(TIMES.filter(lambda at: at < LAST), RUNS)
def test_entries_of_a_time_lie_between_it_and_what_comes_after(at: int, key: RunKey) -> None:
    for sort in (keys.run_sort(at, key), keys.tick_sort(at, key.schedule_id, 1)):
        assert keys.time_text(at) < sort < keys.time_text(at) + keys.AFTER_ALL
        assert sort < keys.time_text(at + 1)


@given(RUNS, RUNS)
def test_no_two_runs_share_a_place(one: RunKey, other: RunKey) -> None:
    def places(key: RunKey) -> set[object]:
        return {
            (keys.hour_of(key.scheduled), keys.run_sort(key.scheduled, key)),
            keys.ledger_key(*key),
            keys.attempts_partition(key),
            keys.dead_key(key),
        }

    assert (one == other) or not places(one) & places(other)
    assert keys.dead_run(keys.dead_key(one).sk) == one


@given(st.integers(0, keys.LAST_HOUR), st.integers(0, 99_999))
def test_the_directory_sorts_by_hour(hour: int, generation: int) -> None:
    sort = keys.directory_sort(hour, generation)
    assert keys.directory_entry(sort) == (hour, generation)
    assert keys.hour_text(hour) < sort < keys.hour_text(hour) + keys.AFTER_ALL
    assert sort < keys.directory_sort(hour + 1, 0)


@given(st.integers(-(10**13) + 1, 10**13 - 1 - keys.HOUR))
def test_an_hour_ends_where_the_next_begins(at: int) -> None:
    end = keys.hour_end(keys.hour_of(at))
    assert at < end <= at + keys.HOUR
    assert keys.hour_of(end) == keys.hour_of(at) + 1


@pytest.mark.parametrize("parts", [1, 3, 8, 64])
def test_ids_are_spread_evenly(parts: int) -> None:
    counts = Counter(keys.spread(f"once-k3v9q0x7m2ab-{n}", parts) for n in range(20_000))
    assert set(counts) == set(range(parts))
    assert max(counts.values()) < 1.25 * 20_000 / parts


@given(RUNS, st.integers(1, 99), st.integers(0, 511))
def test_keys_are_within_the_limits_of_dynamodb(key: RunKey, generation: int, shard: int) -> None:
    partition = keys.time_partition(generation, shard, keys.hour_of(key.scheduled))
    for text in (partition, keys.attempts_partition(key), keys.ledger_partition(key.schedule_id)):
        assert 0 < len(text.encode()) <= 2048
    for text in (keys.run_sort(key.scheduled, key), keys.dead_key(key).sk, keys.tick_sort(0, key.schedule_id, 10**13)):
        assert 0 < len(text.encode()) <= 1024
