"""When a batch run is complete, and how it ends.

The ledger is the set of chunks that are done, each with what became of its items. A mark says that one chunk (at one
revision) is done; it replaces what an earlier mark of that chunk said, so totals are those of a set, whatever
arrives twice or late. The batch run is complete when it is sealed (the number of chunks is known), every chunk is
done, and all neighbours meet (see `rota.core.chunk`): `Frontier` proves that from left to right while marks come in
any order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from rota.core.batch import BatchOutcome, BatchRun
from rota.core.chunk import Chunk, Extent
from rota.core.errors import InvalidError
from rota.core.outcome import Failure
from rota.core.receipt import Counts, Part

BROKEN_ITEM = "rota.BrokenItem"
"""The exception's name of a record that could not be decoded."""


class Signature(msgspec.Struct, frozen=True, omit_defaults=True):
    """What failures of one group have in common: the exception's name, the frame it came from, and as `field` the field
    that is wrong, or for a record that could not be decoded what is wrong with it."""

    exception: str
    frame: str = ""
    field: str = ""

    @property
    def key(self) -> str:
        return f"{self.exception}|{self.frame}|{self.field}"

    @property
    def is_final(self) -> bool:
        """Whether no other attempt can help: a record that cannot be decoded stays so, since its source is pinned."""
        return self.exception == BROKEN_ITEM


class FailureCount(msgspec.Struct, frozen=True):
    """How many items of a chunk failed alike, with the message of the first of them."""

    signature: Signature
    count: int
    message: str


class FailureGroup(msgspec.Struct, frozen=True):
    """Dead letters of a batch run that failed alike. number: from 1, the largest group first, so after a redrive
    another one may have it; `id` stays."""

    number: int
    signature: Signature
    count: int
    message: str
    first_chunk: int

    @property
    def id(self) -> str:
        """Made of what its failures have in common, with a letter in front, so that it is no number."""
        return "g" + hashlib.sha256(self.signature.key.encode("utf-8", "surrogatepass")).hexdigest()[:8]


class DeadItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An item whose attempts are used up. index: which one of its chunk; position: where it starts in its origin.
    item: its value, or for what could not be decoded the first 1,000 characters."""

    chunk: int
    index: int
    position: int
    item: object
    failure: Failure
    attempts: int
    field: str = ""
    broken: bool = False

    @property
    def signature(self) -> Signature:
        return Signature(self.failure.type, self.failure.frame, self.field)


class Mark(msgspec.Struct, frozen=True):
    """A chunk is done. counts, failures: of the whole chunk as it stands after this revision. parts: all of its
    parts. retries: further attempts at its items. expected: what the planner had said."""

    chunk: Chunk
    extent: Extent
    counts: Counts
    parts: tuple[Part, ...]
    failures: tuple[FailureCount, ...] = ()
    retries: int = 0
    revision: int = 0


class ChunkRow(msgspec.Struct, frozen=True):
    """A planned chunk in the ledger, and its mark once it is done."""

    chunk: Chunk
    mark: Mark | None = None


class Verdict(NamedTuple):
    """How a batch run ends, and why, in a sentence; empty if it simply succeeded."""

    outcome: BatchOutcome
    error: str = ""


class Frontier:
    """Proves that chunks meet. `add` takes marks in any order; what is not proven yet is held, a few numbers a
    chunk."""

    def __init__(self) -> None:
        self.proven: int = 0
        self.counts: Counts = Counts(0, 0)
        self._held: dict[int, tuple[Chunk, Extent, Counts]] = {}
        self._before: Chunk | None = None
        self._at = 0

    def add(self, chunk: Chunk, extent: Extent, counts: Counts) -> Iterator[Chunk]:
        """Chunks to be read again, cut where the one before really ended. At most one, since its end is unknown till
        then."""
        self._held[chunk.number] = (chunk, extent, counts)
        while self.proven in self._held:
            following, found, counted = self._held[self.proven]
            same = self._before is not None and self._before.origin == following.origin and not self._before.last
            expected = self._at if same else 0
            if found.start != expected:
                del self._held[self.proven]
                yield msgspec.structs.replace(
                    following, start=expected, end=max(expected, following.end), first=None, items=None
                )
                return
            del self._held[self.proven]
            self._before, self._at = following, found.end
            self.counts += counted
            self.proven += 1


def is_complete(run: BatchRun) -> bool:
    """Whether every chunk there is is done."""
    return run.sealed is not None and run.done >= run.sealed


def verdict(run: BatchRun, counts: Counts, now: int, *, complete: bool, total: int | None = None) -> Verdict | None:
    """How `run` ends now, or None if it goes on. counts: of the chunks that are proven. complete: all are. total: of
    how many items a tolerated percentage is meant before the end, if it can be judged."""
    if run.wish == "cancel":
        return Verdict("cancelled", "cancelled by request")
    spec = run.spec
    # A redrive begins with what failed before, so only its end shows whether that is still too much.
    judged = complete or not run.revision
    if judged and spec.tolerated.exceeded(counts, counts.items if complete else total):
        failed = f"{counts.failed} of {counts.items} items failed"
        return Verdict("failed", f"{failed}, more than the tolerated {spec.tolerated}")
    if complete:
        return Verdict("succeeded")
    if spec.timeout is not None and run.started is not None and now - run.started > spec.timeout * 1000:
        return Verdict("failed", f"longer than the timeout of {spec.timeout:g} s")
    return None


def group_failures(counted: list[tuple[Signature, int, str, int]]) -> list[FailureGroup]:
    """Groups of (signature, count, message, chunk), largest first; what is equal in size, by signature."""
    ordered = sorted(counted, key=lambda row: (-row[1], row[0].key))
    return [FailureGroup(number, *row) for number, row in enumerate(ordered, 1)]


def named_group(found: list[FailureGroup], name: int | str) -> FailureGroup:
    """The group with this number or id; InvalidError if there is none."""
    for one in found:
        if not isinstance(name, bool) and name in (one.number, one.id):
            return one
    raise InvalidError(
        "group",
        name,
        f"a group from 1 to {len(found)} is, or the id of one" if found else "this batch run has no dead letters",
    )


def count_failures(dead: list[DeadItem]) -> tuple[FailureCount, ...]:
    """The dead letters of a chunk by signature, in order of appearance."""
    found: dict[Signature, FailureCount] = {}
    for one in dead:
        known = found.get(one.signature)
        count, message = (known.count, known.message) if known else (0, one.failure.message)
        found[one.signature] = FailureCount(one.signature, count + 1, message)
    return tuple(found.values())
