"""What chunks come to that have no number yet: counted beside the ledger while a round of a map runs.

A round counts upon what the ledger said when it began (`watch`). Each chunk is a member of a row, which takes it once,
with what it adds up to, in one conditional write; so a chunk that is told of twice counts once. When the round has
ended its marks go into the ledger, and count there: whichever of the two knows more items is what is shown. What is
counted here is for those who watch; nothing is decided by it that the ledger does not confirm.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rota.aws.dynamo.batches_headers import is_open, key_of_header
from rota.aws.dynamo.batches_keys import LIVE_PARTITIONS, header_key, live_key, live_partition
from rota.aws.dynamo.items import Item, Update, Value, change, number_of, text_of
from rota.aws.dynamo.table import Table
from rota.core.batch import BatchKey
from rota.core.errors import NotFoundError
from rota.core.ledger_tree import Sums

_encode = msgspec.json.Encoder().encode
_base = msgspec.json.Decoder(Sums)


class Live:
    """Of all batch runs in `table`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def watch(self, key: BatchKey, round_id: str, base: Sums, about: int) -> None:
        """A round begins, on the ground of `base`, with about so many items in all."""
        sets: dict[str, Value] = {"round": round_id, "base": _encode(base).decode(), "about": about}
        if not self._table.write(change(header_key(key), sets, when="attribute_exists(#pk)")).done:
            raise NotFoundError("batch run", key.id)

    def tell(self, key: BatchKey, round_id: str, leaf: int, member: int, sums: Sums, expires: int) -> None:
        """A chunk, a member of a leaf, is done. About 200 of them should be in one leaf."""
        named = {name: value for name, value in zip(Sums.__struct_fields__, sums.values(), strict=True) if value}
        adds = ", ".join(f"#{name} :{name}" for name in ("members", *named))
        values: dict[str, Value] = {**named, "members": frozenset([str(member)])}
        values |= {"member": str(member), "expires": expires}
        do, when = f"SET #expires = :expires ADD {adds}", "NOT contains(#members, :member)"
        self._table.write(Update(live_key(key, round_id, leaf), do, values, when))

    def shown(self, headers: Sequence[Item], totals: Sequence[Sums]) -> list[Sums]:
        """What is to be shown of batch runs whose ledgers say `totals`."""
        return [self._shown(header, total) for header, total in zip(headers, totals, strict=True)]

    def _shown(self, header: Item, total: Sums) -> Sums:
        round_id = text_of(header, "round")
        if not is_open(header) or round_id.partition(".")[0] != str(number_of(header, "revision") or 0):
            return total
        key = key_of_header(header)
        partitions = [live_partition(key, round_id, part) for part in range(LIVE_PARTITIONS)]
        found = self._table.map(lambda partition: [*self._table.query(partition)], partitions)
        live = _base.decode(text_of(header, "base"))
        for item in (item for items in found for item in items):
            live += Sums(*(number_of(item, name) or 0 for name in Sums.__struct_fields__))
        return max(total, live, key=lambda sums: sums.items)
