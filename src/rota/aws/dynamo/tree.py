"""The nodes of ledger trees as items, one partition each: what `rota.core.ledger_tree` decides is done here.

A node is written by one request that adds members and sums together, on the condition that no member is in it yet. So
what is retried, by anybody, adds nothing, and is answered the node as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from rota.aws.dynamo.batches_keys import header_key, node_key
from rota.aws.dynamo.items import Item, Update, Value, number_of, set_of
from rota.aws.dynamo.table import Table
from rota.core.batch import BatchKey
from rota.core.errors import ConflictError, StoreError
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
    open_children,
    top,
)

AT_ONCE = 50
"""Members that one request adds: a condition may have 300 operators and 4 KB."""
BEGUN = 8
"""Leaves that readers look at in any case; those behind are looked at once the first mark in them has said so."""
_SEALS_AT_ONCE = 100


class Tree(NamedTuple):
    """Which tree. number: 0, or that of a redrive. chunks: how many numbers it is over, as far as is known. sparse: its
    seals are written and say which nodes there are. begun: no leaf of this number or a higher one has a mark, if that
    is known."""

    key: BatchKey
    number: int
    chunks: int
    sparse: bool = False
    begun: int | None = None

    @property
    def reach(self) -> int:
        """No chunk of this number or a higher one is marked."""
        return self.chunks if self.begun is None else min(self.chunks, self.begun * FAN_OUT)


class Trees:
    """The trees of all batch runs in `table`. expires: for items of a batch run, epoch seconds."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(
        self, key: BatchKey, number: int, additions: Sequence[Addition], expires: int, *, look: bool = False
    ) -> bool:
        """Add, and whatever follows; whether the root was seen complete. look: first, since the members are likely to
        be there, and a read costs a fifth of a write that is refused."""
        completed = False
        while additions:
            nodes = [one.node for one in additions]
            known = self._states(key, number, nodes) if look else {}
            states = self._table.map(
                lambda one, known=known: self._add(key, number, one, expires, known.get(one.node, EMPTY)),  # type: ignore[misc]
                additions,
            )
            if not number:
                self._say_begun(key, zip(additions, states, strict=True), again=look)
            additions, now = follow(zip(nodes, states, strict=True))
            completed |= now
        return completed

    def seal(self, key: BatchKey, number: int, seals: Iterable[Seal], expires: int) -> bool:
        """Write the seals, and whatever follows; whether the root was seen complete."""
        completed, left = False, iter(seals)
        while page := list(islice(left, _SEALS_AT_ONCE)):
            states = self._table.map(lambda one: self._seal(key, number, one, expires), page)
            following = follow(zip([one.node for one in page], states, strict=True))
            completed |= following.completed
            completed |= self.add(key, number, following.additions, expires)
        return completed

    def is_complete(self, tree: Tree) -> bool:
        """Whether its root is, which must have been sealed."""
        place = node_key(tree.key, tree.number, top(tree.chunks))
        state = _state(self._table.get([place]).get(place))
        return state.root and state.is_complete

    def totals(self, trees: Sequence[Tree]) -> list[Sums]:
        """What the marks in each tree add up to. From the top, since what a parent does not have yet is still in its
        children: so nothing is counted twice. It reads what is begun and open, and little more."""
        sums = [NOTHING for _ in trees]
        for number, _, state in self._walk(trees):
            sums[number] += state.sums
        return sums

    def open_leaves(self, tree: Tree) -> list[int]:
        """The leaves that are not complete, or are not known to be, in order."""
        visited = self._walk([tree])
        return sorted(node.number for _, node, state in visited if node.level == 0 and not state.is_complete)

    def _walk(self, trees: Sequence[Tree]) -> Iterator[tuple[int, Node, NodeState]]:
        """The nodes that are not in their parents, level by level, with the position of their tree."""
        level = [(number, top(tree.chunks)) for number, tree in enumerate(trees)]
        while level:
            places = {(number, node): node_key(trees[number].key, trees[number].number, node) for number, node in level}
            items = self._table.get(places.values())
            below: list[tuple[int, Node]] = []
            for (number, node), place in places.items():
                item, tree = items.get(place), trees[number]
                state = _state(item)
                yield number, node, state
                if item is not None or not tree.sparse:
                    below += [(number, child) for child in open_children(node, state, tree.reach)]
            level = below

    def _say_begun(self, key: BatchKey, written: Iterable[tuple[Addition, NodeState]], *, again: bool) -> None:
        """Who marks first in a leaf tells readers to look there; so does who marks again, since the first may have died
        before it told."""
        behind = 0
        for addition, state in written:
            node = addition.node
            if node.level == 0 and (again or state.members <= addition.members.keys()):
                behind = max(behind, node.number + 1)
        if behind > BEGUN:
            when = "attribute_exists(#pk) AND #begun < :begun"
            self._table.write(Update(header_key(key), "SET #begun = :begun", {"begun": behind}, when))

    def _states(self, key: BatchKey, number: int, nodes: Sequence[Node]) -> dict[Node, NodeState]:
        places = {node: node_key(key, number, node) for node in nodes}
        items = self._table.get(places.values())
        return {node: _state(items.get(place)) for node, place in places.items()}

    def _add(self, key: BatchKey, number: int, addition: Addition, expires: int, state: NodeState) -> NodeState:
        """state: as it was a moment ago, as far as is known."""
        members = [(member, sums) for member, sums in addition.members.items() if member not in state.members]
        for start in range(0, len(members), AT_ONCE):
            state = self._add_some(key, number, addition.node, dict(members[start : start + AT_ONCE]), expires)
        return state

    def _add_some(self, key: BatchKey, number: int, node: Node, members: Mapping[int, Sums], expires: int) -> NodeState:
        left = dict(members)
        while True:
            answer = self._table.write(_adding(key, number, node, left, expires), "ALL_NEW")
            if answer.item is None:
                raise StoreError(f"node {node} of batch run {key.id!r} was not answered", batch_run=key.id)
            state = _state(answer.item)
            if answer.done:
                return state
            left = {member: sums for member, sums in left.items() if member not in state.members}
            if not left:
                return state

    def _seal(self, key: BatchKey, number: int, seal: Seal, expires: int) -> NodeState:
        values: dict[str, Value] = {"due": seal.due, "expires": expires}
        do = "SET #due = :due, #expires = :expires"
        if seal.root:
            do, values["root"] = do + ", #root = :root", True
        when = "attribute_not_exists(#due) OR #due = :due"
        answer = self._table.write(Update(node_key(key, number, seal.node), do, values, when), "ALL_NEW")
        if not answer.done:
            raise ConflictError(f"batch run {key.id!r} was sealed with other chunks already", batch_run=key.id)
        return _state(answer.item)


def _adding(key: BatchKey, number: int, node: Node, members: Mapping[int, Sums], expires: int) -> Update:
    total = sum(members.values(), NOTHING)
    sums = {name: value for name, value in zip(Sums.__struct_fields__, total.values(), strict=True) if value}
    adds = ", ".join(f"#{name} :{name}" for name in ("members", *sums))
    when = " AND ".join(f"NOT contains(#members, :m{member})" for member in members)
    values: dict[str, Value] = {f"m{member}": str(member) for member in members}
    values |= {**sums, "members": frozenset(str(member) for member in members), "expires": expires}
    return Update(node_key(key, number, node), f"SET #expires = :expires ADD {adds}", values, when)


def _state(item: Item | None) -> NodeState:
    if item is None:
        return EMPTY
    members = frozenset(int(member) for member in set_of(item, "members"))
    sums = Sums(*(number_of(item, name) or 0 for name in Sums.__struct_fields__))
    return NodeState(members, sums, number_of(item, "due"), item.get("root") is True)
