"""A tree of number sets: it tells, of chunks that many machines mark in any order and more than once, which mark was
the last one missing; and it adds up what they say, each once. Nothing is polled, and no item is written by everybody.

    level 2                     (2,0)                       members: local numbers of complete children
    level 1         (1,0)         (1,1)      (1,2)
    level 0   (0,0) ... (0,199) (0,200) ...  (0,400)        members: local numbers of chunks that are done
    chunks    0..199            40000..      80000..

A node is one item of a store that can add members and sums to it in one step, on the condition that none of them is in
it yet, and that answers the node as it then is. So each member counts exactly once, and of all who write to a node the
last sees it complete; that one adds it, with its sums, to its parent in the same way (`follow`), up to the root.

When is a node complete? It has all FAN_OUT members, or as many as its seal says. `seals` writes those: only the last
node of each level can be partial, and only the root needs to know that it is the root. Sealing is a write to a node
like any other, and answers it as well: if all marks came before the seal, the seal is what completes the root.

Failures. Who dies between a node and its parent has not acknowledged its message, so its mark comes again: it adds
nothing, but is answered the node as it is, complete, and goes on from there. Whoever sees the root complete reports it,
a repeated mark too, since the report may be what was lost. That one caller alone acts on it is decided elsewhere, by
one conditional write. What a node says is final once it is complete, so whoever adds it to its parent says the same.

A tree may also be over some of the numbers (`sparse_seals`): the chunks that a redrive does again. Then every node that
has one of them is sealed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from rota.core.receipt import Counts, Part

FAN_OUT = 200
"""Members of a node: their set and the sums stay below 1 KB, which is one write unit of DynamoDB."""


class Sums(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True):
    """What marks add up to; the difference of two is negative where less became of it."""

    done: int = 0
    items: int = 0
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    results: int = 0
    bytes: int = 0
    retries: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(mine + its for mine, its in zip(self.values(), other.values(), strict=True)))

    def __sub__(self, other: Sums) -> Sums:
        return Sums(*(mine - its for mine, its in zip(self.values(), other.values(), strict=True)))

    def values(self) -> tuple[int, ...]:
        """In the order of the fields."""
        return msgspec.structs.astuple(self)


NOTHING = Sums()


def sums_of(counts: Counts, parts: Iterable[Part], retries: int) -> Sums:
    """What the mark of one chunk says."""
    results = size = 0
    for part in parts:
        results, size = results + part.items, size + part.bytes
    return Sums(1, counts.items, counts.succeeded, counts.failed, counts.skipped, results, size, retries)


class Node(NamedTuple):
    """A node's place. Its members are numbers from 0 to FAN_OUT - 1."""

    level: int
    number: int

    @property
    def parent(self) -> Node:
        return Node(self.level + 1, self.number // FAN_OUT)

    @property
    def member(self) -> int:
        """Its number in its parent."""
        return self.number % FAN_OUT

    def child(self, member: int) -> Node:
        """The node that is this member; for a leaf, a chunk as if it were a node of level -1."""
        return Node(self.level - 1, self.number * FAN_OUT + member)


class Addition(NamedTuple):
    """Members to be added to a node, each with its sums, unless they are in it."""

    node: Node
    members: Mapping[int, Sums]


class Seal(NamedTuple):
    """How many members a node will have, and whether it is the root."""

    node: Node
    due: int
    root: bool = False


class NodeState(msgspec.Struct, frozen=True):
    """A node as the store has it. due: as its seal says."""

    members: frozenset[int] = frozenset()
    sums: Sums = NOTHING
    due: int | None = None
    root: bool = False

    @property
    def is_complete(self) -> bool:
        return len(self.members) >= (FAN_OUT if self.due is None else self.due)

    def with_members(self, members: Mapping[int, Sums]) -> NodeState:
        """As it is after members were added that it did not have."""
        total = sum(members.values(), self.sums)
        return NodeState(self.members | members.keys(), total, self.due, self.root)

    def with_seal(self, seal: Seal) -> NodeState:
        return NodeState(self.members, self.sums, seal.due, self.root or seal.root)


EMPTY = NodeState()


class Following(NamedTuple):
    """additions: what is to be added next. completed: whether the root was seen complete."""

    additions: list[Addition]
    completed: bool


def marked(chunks: Mapping[int, Sums]) -> list[Addition]:
    """What marks of these chunks add to the leaves."""
    leaves: dict[Node, dict[int, Sums]] = {}
    for number, sums in chunks.items():
        chunk = Node(-1, number)
        leaves.setdefault(chunk.parent, {})[chunk.member] = sums
    return [Addition(node, members) for node, members in leaves.items()]


def follow(written: Iterable[tuple[Node, NodeState]]) -> Following:
    """What follows from nodes that were written, or found to hold all that was to be added."""
    parents: dict[Node, dict[int, Sums]] = {}
    completed = False
    for node, state in written:
        if not state.is_complete:
            continue
        if state.root:
            completed = True
        else:
            parents.setdefault(node.parent, {})[node.member] = state.sums
    return Following([Addition(node, members) for node, members in parents.items()], completed)


def top(chunks: int) -> Node:
    """The root of a tree over so many chunks."""
    level, members = 0, chunks
    while members > FAN_OUT:
        level, members = level + 1, _nodes(members)
    return Node(level, 0)


def seals(chunks: int) -> list[Seal]:
    """All that is to be written once it is known that there are so many chunks."""
    root = top(chunks)
    found: list[Seal] = []
    members = chunks
    for level in range(root.level + 1):
        last = Node(level, max(0, _nodes(members) - 1))
        due = members - last.number * FAN_OUT
        if due < FAN_OUT or last == root:
            found.append(Seal(last, due, last == root))
        members = _nodes(members)
    return found


def sparse_seals(numbers: Iterable[int]) -> Iterator[Seal]:
    """The seals of a tree over these chunk numbers alone, which come in rising order, each once; the root's is the
    last. In memory there is one node a level."""
    edge: list[list[int]] = []  # by level: index of the node that grows, and how many members it has
    highest = -1
    for number in numbers:
        highest = number
        yield from _grow(edge, 0, number // FAN_OUT)
    root = top(highest + 1)
    if highest < 0:
        yield Seal(root, 0, root=True)
    for level in range(root.level + 1):
        if highest < 0:
            break
        index, due = edge[level]
        yield Seal(Node(level, index), due, level == root.level)
        if level < root.level:
            yield from _grow(edge, level + 1, index // FAN_OUT)


def _grow(edge: list[list[int]], level: int, index: int) -> Iterator[Seal]:
    """One more member for a node; those to its left have all theirs."""
    if level == len(edge):
        edge.append([index, 0])
    elif edge[level][0] != index:
        before, due = edge[level]
        yield Seal(Node(level, before), due)
        yield from _grow(edge, level + 1, before // FAN_OUT)
        edge[level] = [index, 0]
    edge[level][1] += 1


def open_children(node: Node, state: NodeState, chunks: int) -> list[Node]:
    """The children whose sums are not in `state` yet, of a tree over that many chunks; none for a leaf."""
    if node.level == 0 or state.is_complete:
        return []
    there = -(-chunks // FAN_OUT**node.level) - node.number * FAN_OUT
    return [node.child(member) for member in range(min(there, FAN_OUT)) if member not in state.members]


def _nodes(members: int) -> int:
    return -(-members // FAN_OUT)
