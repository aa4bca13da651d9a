"""A chunk's row in the ledger, and what becomes of it: pure.

A row says what stands of the chunk: its mark, or the range it was cut anew to. Each change of it is one write on the
condition that it has the edition that was read, so changes of one chunk come one after the other.

What a change adds to the totals is counted elsewhere, exactly once. The row says where (`tree`), so that whoever comes
next can finish what a crash left: before a row is changed again, what it adds must have been counted.

    what happens                                        counted
    the first mark                                      in tree 0, together with the fact that the chunk is done
    a mark of a higher revision than any before         in the tree of that revision: what it adds or takes away
    a chunk that was cut wrongly, its next mark, and    beside the batch run's state, in the transaction that changes
    a mark of a known revision that says otherwise      the row: these are rare
"""

from __future__ import annotations

import hashlib

import msgspec

from rota.aws.dynamo.items import Item, number_of, text_of
from rota.aws.dynamo.keys import Key
from rota.core.chunk import Chunk, Extent
from rota.core.completion import ChunkRow, Mark
from rota.core.ledger_tree import NOTHING, Sums, sums_of
from rota.core.receipt import Counts, Part

_encode = msgspec.json.Encoder().encode
_replace = msgspec.structs.replace


class Standing(msgspec.Struct, frozen=True, omit_defaults=True):
    """A mark, but for the chunk it is about. failures: a digest of them."""

    extent: Extent
    counts: Counts
    parts: tuple[Part, ...] = ()
    retries: int = 0
    revision: int = 0
    failures: str = ""

    @property
    def sums(self) -> Sums:
        return sums_of(self.counts, self.parts, self.retries)

    def about(self, chunk: Chunk) -> Mark:
        """The mark, without the failures."""
        return Mark(chunk, self.extent, self.counts, self.parts, (), self.retries, self.revision)


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """edition: raised by every change. mark: what stands, None if the chunk is open. chunk: how it is to be read, if
    that is not as planned. tree, adds: where the latest change is counted, and what it adds, if not simply the mark's
    sums; None if it was counted with the change. top: the highest revision so far. in_base: whether tree 0 has the
    chunk. reopened: it was done, and is to be done again."""

    edition: int = 0
    mark: Standing | None = None
    chunk: Chunk | None = None
    tree: int | None = None
    adds: Sums | None = None
    top: int = -1
    in_base: bool = False
    reopened: bool = False

    @property
    def sums(self) -> Sums:
        return NOTHING if self.mark is None else self.mark.sums

    @property
    def pending(self) -> Sums:
        """What is to be counted in `tree`."""
        return self.sums if self.adds is None else self.adds

    def shown(self, planned: Chunk) -> ChunkRow:
        chunk = self.chunk or planned
        return ChunkRow(chunk, self.mark.about(chunk) if self.mark else None)


_row = msgspec.json.Decoder(Row)


class Step(msgspec.Struct, frozen=True):
    """A change of a row. total: what the same transaction adds to the batch run's totals, and reopened to the number of
    its chunks that are to be done again; both zero if it needs none."""

    row: Row
    total: Sums = NOTHING
    reopened: int = 0

    @property
    def alone(self) -> bool:
        return self.total == NOTHING and not self.reopened


ABSENT = Row()


def standing_of(mark: Mark) -> Standing:
    digest = hashlib.sha256(_encode(mark.failures)).hexdigest()[:16] if mark.failures else ""
    return Standing(mark.extent, mark.counts, mark.parts, mark.retries, mark.revision, digest)


def stands(row: Row, mark: Standing) -> bool:
    """Whether a mark changes nothing: it is what stands, or a higher revision stands."""
    return row.mark is not None and (row.mark == mark or row.mark.revision > mark.revision)


def marked(row: Row, mark: Standing) -> Step:
    """The row, with a mark that is to stand."""
    revision = mark.revision
    after = Row(row.edition + 1, mark, row.chunk, 0, None, max(row.top, revision), in_base=True)
    if not row.in_base:
        return Step(after)
    delta, reopened = mark.sums - row.sums, -1 if row.reopened else 0
    if revision <= row.top:
        return Step(_replace(after, tree=None), delta, reopened)
    if row.reopened:
        return Step(_replace(after, tree=revision, adds=NOTHING), delta, reopened)
    return Step(_replace(after, tree=revision, adds=delta))


def recut(row: Row, chunk: Chunk) -> Step:
    """The row of a chunk that is to be read otherwise than it was."""
    after = Row(row.edition + 1, None, chunk, None, None, row.top, row.in_base, row.reopened or row.mark is not None)
    return Step(after) if row.mark is None else Step(after, NOTHING - row.sums, 1)


def row_item(place: Key, row: Row, expires: int) -> Item:
    body = _encode(_replace(row, edition=0)).decode()
    return {"pk": place.pk, "sk": place.sk, "edition": row.edition, "body": body, "expires": expires}


def row_of(item: Item | None) -> Row:
    if item is None:
        return ABSENT
    return _replace(_row.decode(text_of(item, "body")), edition=number_of(item, "edition") or 0)
