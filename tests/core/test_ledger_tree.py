"""The tree of number sets: it completes once, whatever comes twice, late, or in any order, and adds everything up."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rota.core.ledger_tree import (
    EMPTY,
    FAN_OUT,
    NOTHING,
    Addition,
    Node,
    NodeState,
    Seal,
    Sums,
    follow,
    marked,
    open_children,
    seals,
    sparse_seals,
    top,
)
from rota.testing.crash import Crash, Fuse

SIZES = [0, 1, 2, 199, 200, 201, 39_999, 40_000, 40_001]


class FakeNodes:
    """A store of nodes whose writes are conditional, one by one. `writes` counts them."""

    def __init__(self) -> None:
        self.states: dict[Node, NodeState] = {}
        self.writes: int = 0

    def add(self, addition: Addition) -> NodeState:
        self.writes += 1
        state = self.states.get(addition.node, EMPTY)
        new = {member: sums for member, sums in addition.members.items() if member not in state.members}
        self.states[addition.node] = state.with_members(new)
        return self.states[addition.node]

    def seal(self, seal: Seal) -> NodeState:
        self.writes += 1
        self.states[seal.node] = self.states.get(seal.node, EMPTY).with_seal(seal)
        return self.states[seal.node]


def climb(nodes: FakeNodes, additions: list[Addition]) -> bool:
    completed = False
    while additions:
        following = follow([(one.node, nodes.add(one)) for one in additions])
        additions, completed = following.additions, completed or following.completed
    return completed


def mark(nodes: FakeNodes, *numbers: int) -> bool:
    return climb(nodes, marked({number: value(number) for number in numbers}))


def seal(nodes: FakeNodes, wanted: Iterable[Seal]) -> bool:
    following = follow([(one.node, nodes.seal(one)) for one in wanted])
    return climb(nodes, following.additions) or following.completed


def value(number: int) -> Sums:
    return Sums(1, number, number % 7, number % 3)


def total(nodes: FakeNodes, chunks: int) -> Sums:
    """What a reader adds up from the top, and how that is the sum of what is open."""
    sums, level = NOTHING, [top(chunks)]
    while level:
        states = [(node, nodes.states.get(node, EMPTY)) for node in level]
        sums = sum((state.sums for _, state in states), sums)
        level = [child for node, state in states for child in open_children(node, state, chunks)]
    return sums


def expected(numbers: Iterable[int]) -> Sums:
    return sum((value(number) for number in numbers), NOTHING)


def in_groups(numbers: list[int], size: int) -> Iterable[list[int]]:
    return (numbers[start : start + size] for start in range(0, len(numbers), size))


@pytest.mark.parametrize("chunks", SIZES)
@pytest.mark.parametrize("when", ["first", "last", "between"])
def test_every_size_completes_once_and_adds_up(chunks: int, when: str) -> None:
    nodes = FakeNodes()
    numbers = list(range(chunks))
    random.Random(chunks).shuffle(numbers)
    completions = int(when == "first" and seal(nodes, seals(chunks)))
    for turn, group in enumerate(in_groups(numbers, 10)):
        if when == "between" and turn == chunks // 20:
            completions += seal(nodes, seals(chunks))
        assert completions == 0, "before the last mark"
        completions += mark(nodes, *group)
    if when == "last" or (when == "between" and not chunks):
        assert completions == 0, "before the seal"
        completions += seal(nodes, seals(chunks))
    assert completions == 1
    assert total(nodes, chunks) == expected(range(chunks))


def test_a_tree_costs_1_005_writes_a_chunk_and_a_few_for_its_seal() -> None:
    nodes = FakeNodes()
    for number in range(40_000):
        mark(nodes, number)
    assert nodes.writes == 40_000 + 200 + 1
    assert len(seals(40_000)) == 1
    assert len(seals(123_456_789)) <= 5


def test_marks_of_neighbours_share_a_write() -> None:
    nodes = FakeNodes()
    for group in in_groups(list(range(1000)), 10):
        mark(nodes, *group)
    assert nodes.writes == 100 + 5


@pytest.mark.parametrize(("chunks", "level"), [(0, 0), (200, 0), (201, 1), (40_000, 1), (40_001, 2), (10**8, 3)])
def test_the_tree_is_as_high_as_it_must_be(chunks: int, level: int) -> None:
    assert top(chunks) == Node(level, 0)


@given(st.integers(0, 10**9))
def test_seals_say_how_many_there_are(chunks: int) -> None:
    *partial, root = seals(chunks)
    assert root.root
    assert root.node == top(chunks)
    assert not any(one.root for one in partial)
    assert all(0 < one.due < FAN_OUT for one in partial)
    counted = chunks
    for level in range(root.node.level + 1):
        [due] = [one.due for one in (*partial, root) if one.node.level == level] or [FAN_OUT]
        nodes = max(1, -(-counted // FAN_OUT))
        assert (nodes - 1) * FAN_OUT + due == counted
        counted = nodes


@given(st.sets(st.integers(0, 100_000), max_size=300), st.randoms(use_true_random=False))
def test_a_tree_over_some_numbers_completes_once_they_are_done(numbers: set[int], dice: random.Random) -> None:
    nodes = FakeNodes()
    writes: list[Callable[[], bool]] = [lambda number=number: mark(nodes, number) for number in numbers]  # type: ignore[misc]
    writes += [lambda one=one: seal(nodes, [one]) for one in sparse_seals(sorted(numbers))]  # type: ignore[misc]
    dice.shuffle(writes)
    assert [write() for write in writes].count(True) == 1
    assert nodes.states[top(max(numbers, default=-1) + 1)].sums == expected(numbers)


@given(st.sets(st.integers(0, 50_000), min_size=1, max_size=50), st.data())
def test_two_writers_between_whose_steps_anything_happens(numbers: set[int], data: st.DataObject) -> None:
    """Every write of a tree may come between any two of another caller's."""
    nodes = FakeNodes()
    waiting: list[list[Addition]] = [marked({number: value(number)}) for number in sorted(numbers)]
    unsealed = list(sparse_seals(sorted(numbers)))
    completions = 0
    while waiting or unsealed:
        turn = data.draw(st.integers(0, len(waiting) + len(unsealed) - 1))
        if turn < len(waiting):
            [one] = waiting.pop(turn)
            following = follow([(one.node, nodes.add(one))])
        else:
            it = unsealed.pop(turn - len(waiting))
            following = follow([(it.node, nodes.seal(it))])
        waiting += [[addition] for addition in following.additions]
        completions += following.completed
    assert completions == 1


class TreeMachine(RuleBasedStateMachine):
    """Messages that are delivered until they are acknowledged, by workers that may die between any two writes."""

    @initialize(chunks=st.sampled_from([0, 1, 2, 199, 200, 201, 202, 400, 401]))
    def begin(self, chunks: int) -> None:
        self.nodes: FakeNodes = FakeNodes()
        self.chunks: int = chunks
        self.unmarked: list[int] = list(range(chunks))
        self.delivered: list[int] = []
        self.unacknowledged: set[int] = set()
        self.sealing: bool = True
        self.reports: int = 0
        # All but a few chunks are done already, or no example would ever come to an end.
        while len(self.unmarked) > 6:
            done = self.unmarked.pop((len(self.unmarked) * 7919) % len(self.unmarked))
            assert not mark(self.nodes, done)
            self.delivered.append(done)

    def _deliver(self, number: int, dies_at: int | None, after: bool) -> None:
        self.unacknowledged.add(number)
        try:
            self.reports += mark(Fuse(dies_at, after=after).wrap(self.nodes), number)
        except Crash:
            return
        self.unacknowledged.discard(number)

    @precondition(lambda self: self.unmarked)
    @rule(data=st.data(), dies_at=st.none() | st.integers(1, 3), after=st.booleans())
    def deliver(self, data: st.DataObject, dies_at: int | None, after: bool) -> None:
        number = self.unmarked.pop(data.draw(st.integers(0, len(self.unmarked) - 1)))
        self.delivered.append(number)
        self._deliver(number, dies_at, after)

    @precondition(lambda self: self.delivered)
    @rule(data=st.data(), dies_at=st.none() | st.integers(1, 3), after=st.booleans())
    def deliver_again(self, data: st.DataObject, dies_at: int | None, after: bool) -> None:
        self._deliver(data.draw(st.sampled_from(self.delivered)), dies_at, after)

    @rule(dies_at=st.none() | st.integers(1, 4), after=st.booleans())
    def seal(self, dies_at: int | None, after: bool) -> None:
        try:
            self.reports += seal(Fuse(dies_at, after=after).wrap(self.nodes), seals(self.chunks))
        except Crash:
            self.sealing = True
            return
        self.sealing = False

    @rule()
    def redeliver_all(self) -> None:
        for number in sorted(self.unacknowledged):
            self._deliver(number, None, after=False)

    @invariant()
    def reports_mean_completion(self) -> None:
        if self.reports:
            assert not self.unmarked
        if not self.unmarked and not self.unacknowledged and not self.sealing:
            assert self.reports, "all is acknowledged, and nobody was told"

    @invariant()
    def sums_are_those_of_the_set(self) -> None:
        sure = set(self.delivered) - self.unacknowledged
        leaves = [state for node, state in self.nodes.states.items() if node.level == 0]
        assert sum((state.sums for state in leaves), NOTHING).done == sum(len(state.members) for state in leaves)
        assert total(self.nodes, self.chunks).done >= len(sure)
        if not self.unacknowledged:
            assert total(self.nodes, self.chunks) == expected(self.delivered)

    def teardown(self) -> None:
        if not hasattr(self, "nodes"):
            return
        for number in [*self.unmarked, *self.unacknowledged]:
            self.reports += mark(self.nodes, number)
        self.reports += seal(self.nodes, seals(self.chunks))
        assert self.reports
        assert total(self.nodes, self.chunks) == expected(range(self.chunks))


TestTree = TreeMachine.TestCase


@pytest.mark.parametrize("chunks", [1, 200, 201])
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_every_write_of_the_last_mark_heals(chunks: int, after: bool) -> None:
    for dies_at in range(1, 5):
        nodes = FakeNodes()
        for number in range(chunks - 1):
            mark(nodes, number)
        seal(nodes, seals(chunks))
        fuse = Fuse(dies_at, after=after)
        completions = 0
        try:
            completions += mark(fuse.wrap(nodes), chunks - 1)
        except Crash:
            completions += mark(nodes, chunks - 1)
        assert completions == 1
        assert total(nodes, chunks) == expected(range(chunks))
        if not fuse.burnt:
            return
    pytest.fail("the mark makes more writes than are tried")


def test_who_repeats_a_mark_of_a_complete_tree_is_told_again() -> None:
    nodes = FakeNodes()
    seal(nodes, seals(201))
    assert [mark(nodes, number) for number in range(201)].count(True) == 1
    assert mark(nodes, 5)
    assert mark(nodes, 200)
    assert total(nodes, 201) == expected(range(201))
