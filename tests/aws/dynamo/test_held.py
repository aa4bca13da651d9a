"""The rule of held runs, without a table."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rota.aws.dynamo.held import BLOCKS, HELD, PLAIN, pack, regroup, unpack

TIMES = st.integers(-(10**13) + 1, 10**13 - 1)
ENTRIES = st.dictionaries(TIMES, st.sampled_from([PLAIN, HELD, BLOCKS]), max_size=50)


@given(ENTRIES)
def test_a_list_comes_back_as_it_was_packed(entries: dict[int, int]) -> None:
    assert unpack(pack(entries)) == entries
    assert len(pack(entries)) == 8 * len(entries)


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.sets(st.integers(0, 9))), max_size=12))
def test_held_runs_wait_and_none_is_forgotten(steps: list[tuple[int, bool, set[int]]]) -> None:
    entries: dict[int, int] = {}
    for at, held, ended in steps:
        before = {one for one, mark in entries.items() if mark == HELD}
        after = regroup(entries, {} if at in entries else {at: held}, ended)
        entries = after.entries
        waiting = [one for one, mark in entries.items() if mark == HELD]
        others = {one: mark for one, mark in entries.items() if mark != HELD}
        if waiting:
            assert others, "the earliest held one becomes pending as soon as no other is open"
            assert set(others.values()) == {BLOCKS}, "who ends must release"
        if after.released is not None:
            assert others.keys() == {after.released}
            assert all(after.released < one for one in waiting), "the earliest"
            assert after.released in before | {at}
        assert all(entries[one] == BLOCKS for one in after.marked)


def test_the_last_held_run_blocks_nobody() -> None:
    after = regroup({1: BLOCKS, 2: HELD}, {}, [1])
    assert (after.entries, after.released, after.marked) == ({2: PLAIN}, 2, ())


def test_a_run_that_others_wait_for_must_say_so() -> None:
    after = regroup({1: PLAIN}, {2: True}, ())
    assert (after.entries, after.released, after.marked) == ({1: BLOCKS, 2: HELD}, None, (1,))
