"""Failures of chunks, counted by signature: apart from the rows, which they would make too large, and together, since
they are wanted together.

The item of a chunk has the edition of the row whose mark it belongs to, and gives way to a higher one only. Where
failures of a chunk are gone, an empty list says so; chunks that never had any have no item. What does not fit into one
item lies in further ones that belong to the edition, and are there before the first.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from rota.aws.dynamo.batches_keys import (
    FAILURES_TOGETHER,
    failures_key,
    failures_number,
    failures_partition,
    more_failures_key,
)
from rota.aws.dynamo.items import Item, Put, bytes_of, number_of, text_of
from rota.aws.dynamo.table import Table
from rota.core.batch import BatchKey
from rota.core.completion import FailureCount, FailureGroup, Signature, group_failures

PIECE = 300_000
"""Bytes of one item, which may have 400 KB."""
_encode = msgspec.json.Encoder().encode
_counted = msgspec.json.Decoder(tuple[FailureCount, ...])


class ChunkFailures(NamedTuple):
    number: int
    counted: tuple[FailureCount, ...]


class Failures:
    """The failures of all batch runs in `table`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, key: BatchKey, number: int, edition: int, counted: Sequence[FailureCount], expires: int) -> None:
        """What failed of the chunk, as its row says from this edition on."""
        data = zlib.compress(_encode(counted))
        first, *more = [data[start : start + PIECE] for start in range(0, len(data), PIECE)]
        for part, piece in enumerate(more, 1):
            place = more_failures_key(key, number, edition, part)
            self._table.write(Put({"pk": place.pk, "sk": place.sk, "data": piece, "expires": expires}))
        place = failures_key(key, number)
        item: Item = {"pk": place.pk, "sk": place.sk, "edition": edition, "data": first, "expires": expires}
        if more:
            item["more"] = len(more)
        self._table.write(Put(item, "attribute_not_exists(#pk) OR #edition <= :edition", {"edition": edition}))

    def each(self, key: BatchKey, chunks: int, after: int = -1) -> Iterator[ChunkFailures]:
        """Chunks that have failures, behind chunk number `after`, in order. chunks: how many are planned."""
        first, low = divmod(after + 1, FAILURES_TOGETHER)
        for group in range(first, -(-chunks // FAILURES_TOGETHER)):
            start = f"{low:04d}" if group == first else " "
            for item in self._table.query(failures_partition(key, group), start):
                if "edition" in item and (counted := self._counted(key, group, item)):
                    yield ChunkFailures(failures_number(group, text_of(item, "sk")), counted)

    def groups(self, key: BatchKey, chunks: int) -> list[FailureGroup]:
        """The failures in groups, largest first."""
        found: dict[Signature, tuple[Signature, int, str, int]] = {}
        for number, counted in self.each(key, chunks):
            for it in counted:
                signature, count, message, first = found.get(it.signature, (it.signature, 0, it.message, number))
                found[it.signature] = (signature, count + it.count, message, first)
        return group_failures(list(found.values()))

    def _counted(self, key: BatchKey, group: int, item: Item) -> tuple[FailureCount, ...]:
        data = bytes_of(item, "data") or b""
        if "more" in item:
            number = failures_number(group, text_of(item, "sk"))
            parts = range(1, (number_of(item, "more") or 0) + 1)
            places = [more_failures_key(key, number, number_of(item, "edition") or 0, part) for part in parts]
            found = self._table.get(places)
            data += b"".join(bytes_of(found[place], "data") or b"" for place in places)
        return _counted.decode(zlib.decompress(data))
