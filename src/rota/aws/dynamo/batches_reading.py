"""The ledger, read in pages: what was planned and what stands of it lie together, 200 chunks to a partition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from rota.aws.dynamo.batches_failures import Failures
from rota.aws.dynamo.batches_headers import chunks_of, key_of_header
from rota.aws.dynamo.batches_keys import LAST_ROW, PAGE, leaf_partition, page_key, row_key, row_number
from rota.aws.dynamo.batches_pages import page_of
from rota.aws.dynamo.batches_rows import ABSENT, row_of
from rota.aws.dynamo.items import Item, number_of, text_of
from rota.aws.dynamo.table import Table
from rota.aws.dynamo.tree import Tree, Trees
from rota.core.batch import BatchKey
from rota.core.completion import ChunkRow
from rota.core.ledger_tree import FAN_OUT
from rota.ports.batches import Which

_LEAVES_AT_ONCE = 16
_CANDIDATES_AT_ONCE = 100


class Reading:
    """Reads ledgers of all batch runs in `table`."""

    def __init__(self, table: Table, trees: Trees, failures: Failures) -> None:
        self._table = table
        self._trees = trees
        self._failures = failures

    def chunks(self, header: Item, groups: Sequence[str], which: Which, after: int, limit: int) -> list[ChunkRow]:
        """As the port says. groups: of the batch run. open: only what the tree does not know as done is read."""
        key, behind = key_of_header(header), chunks_of(header)
        if which == "redrive":
            revision = number_of(header, "revision") or 0
            return list(islice(self._to_redrive(key, behind, set(groups), revision, after), limit))
        leaves: Iterable[int] = range((after + 1) // FAN_OUT, -(-behind // FAN_OUT))
        if which == "open" and not number_of(header, "reopened"):
            leaves = (leaf for leaf in self._trees.open_leaves(Tree(key, 0, behind)) if (leaf + 1) * FAN_OUT > after)
        rows = (row for row in self._rows(key, leaves, limit) if row.chunk.number > after)
        wanted = rows if which == "all" else (row for row in rows if (row.mark is None) == (which == "open"))
        return list(islice(wanted, limit))

    def _rows(self, key: BatchKey, leaves: Iterable[int], limit: int) -> Iterator[ChunkRow]:
        left = iter(leaves)
        while page := list(islice(left, min(_LEAVES_AT_ONCE, 1 + limit // FAN_OUT))):
            for rows in self._table.map(lambda leaf: self._leaf(key, leaf), page):
                yield from rows

    def _leaf(self, key: BatchKey, leaf: int) -> list[ChunkRow]:
        planned: Item | None = None
        rows: dict[int, Item] = {}
        for item in self._table.query(leaf_partition(key, leaf), PAGE, LAST_ROW):
            if item["sk"] == PAGE:
                planned = item
            else:
                rows[row_number(leaf, text_of(item, "sk"))] = item
        return [
            (row_of(rows[chunk.number]) if chunk.number in rows else ABSENT).shown(chunk) for chunk in page_of(planned)
        ]

    def _to_redrive(
        self, key: BatchKey, behind: int, groups: set[str], revision: int, after: int
    ) -> Iterator[ChunkRow]:
        failed = (
            one.number
            for one in self._failures.each(key, behind, after)
            if any(it.signature.key in groups for it in one.counted)
        )
        while numbers := list(islice(failed, _CANDIDATES_AT_ONCE)):
            pages = {page_key(key, number // FAN_OUT) for number in numbers}
            found = self._table.get([*pages, *(row_key(key, number) for number in numbers)])
            planned = {chunk.number: chunk for place in pages for chunk in page_of(found.get(place))}
            for number in numbers:
                row = row_of(found.get(row_key(key, number)))
                if row.mark is not None and row.mark.revision < revision and number in planned:
                    yield row.shown(planned[number])
