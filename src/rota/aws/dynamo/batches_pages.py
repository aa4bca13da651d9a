"""Planned chunks, a page of up to 200 to an item, compressed: neighbours are much alike.

Which chunks are new is decided by the page, and how many there are is added to the batch run in the same transaction.
So a planner that begins again plans nothing twice.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import msgspec

from rota.aws.dynamo.batches_keys import header_key, page_key
from rota.aws.dynamo.items import Item, Put, Update, Write, bytes_of, number_of
from rota.aws.dynamo.table import RefusedError, Table
from rota.core.batch import BatchKey
from rota.core.chunk import Chunk
from rota.core.errors import NotFoundError, StoreBusyError
from rota.core.ledger_tree import FAN_OUT

_TRIES = 20
_PAGES_AT_ONCE = 10
_REMEMBERED = 10_000
_encode = msgspec.json.Encoder().encode
_chunks = msgspec.json.Decoder(tuple[Chunk, ...])


class Pages:
    """The planned chunks of all batch runs in `table`."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._behind: dict[BatchKey, int] = {}

    def plan(self, key: BatchKey, chunks: Sequence[Chunk], expires: int) -> None:
        """Store those that are not known. NotFoundError if there is no such batch run."""
        leaves: dict[int, dict[int, Chunk]] = {}
        for chunk in chunks:
            leaves.setdefault(chunk.number // FAN_OUT, {}).setdefault(chunk.number, chunk)
        if leaves:
            self._extend(key, max(chunk.number for chunk in chunks) + 1)
        ordered = sorted(leaves)
        for start in range(0, len(ordered), _PAGES_AT_ONCE):
            self._plan(key, {leaf: leaves[leaf] for leaf in ordered[start : start + _PAGES_AT_ONCE]}, expires)

    def _extend(self, key: BatchKey, behind: int) -> None:
        """Say how far the ledger goes before anything is there, so that readers look far enough."""
        if self._behind.get(key, 0) >= behind:
            return
        when = "attribute_exists(#pk) AND #behind < :behind"
        answer = self._table.write(Update(header_key(key), "SET #behind = :behind", {"behind": behind}, when))
        if not answer.done and answer.item is None:
            raise NotFoundError("batch run", key.id)
        if len(self._behind) >= _REMEMBERED:
            self._behind.clear()
        self._behind[key] = behind

    def _plan(self, key: BatchKey, leaves: dict[int, dict[int, Chunk]], expires: int) -> None:
        for _ in range(_TRIES):
            there = self._table.get(page_key(key, leaf) for leaf in leaves)
            writes: list[Write] = []
            added: list[Chunk] = []
            for leaf, chunks in leaves.items():
                place = page_key(key, leaf)
                item = there.get(place)
                known = {chunk.number: chunk for chunk in page_of(item)}
                new = [chunk for number, chunk in chunks.items() if number not in known]
                if new:
                    added += new
                    page = sorted((*known.values(), *new), key=lambda chunk: chunk.number)
                    data = zlib.compress(_encode(page))
                    after: Item = {
                        "pk": place.pk,
                        "sk": place.sk,
                        "data": data,
                        "count": len(page),
                        "expires": expires,
                    }
                    when = "attribute_not_exists(#pk)" if item is None else "#count = :was"
                    writes.append(Put(after, when, {"was": number_of(item or {}, "count") or 0}))
            if not added:
                return
            expected = sum(chunk.items or 0 for chunk in added)
            uncounted = sum(chunk.items is None for chunk in added)
            do = "ADD #planned :planned, #expected :expected, #uncounted :uncounted"
            values = {"planned": len(added), "expected": expected, "uncounted": uncounted}
            try:
                self._table.transact([*writes, Update(header_key(key), do, values, "attribute_exists(#pk)")])
            except RefusedError as refused:
                if len(writes) in refused.failed:
                    raise NotFoundError("batch run", key.id) from None
            else:
                return
        raise StoreBusyError(f"too many plan batch run {key.id!r} at once; try again", batch_run=key.id)


def page_of(item: Item | None) -> tuple[Chunk, ...]:
    """The chunks in the item of a page."""
    return () if item is None else _chunks.decode(zlib.decompress(bytes_of(item, "data") or b""))
