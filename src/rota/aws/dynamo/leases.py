"""Leases of long attempts in the table: a row for each, which DynamoDB removes when it says nothing any more."""

from __future__ import annotations

from collections.abc import Sequence

from rota.aws.dynamo.items import number_of
from rota.aws.dynamo.keys import lease_key
from rota.aws.dynamo.lifetimes import DAY
from rota.aws.dynamo.table import Table
from rota.core.run import RunKey


class DynamoLeases:
    """The `rota.aws.leases.Leases` in `table`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def extend(self, keys: Sequence[RunKey], until: int) -> None:
        expires = (until + DAY) // 1000
        places = [lease_key(key) for key in keys]
        self._table.put_all([{"pk": it.pk, "sk": it.sk, "until": until, "expires": expires} for it in places])

    def until(self, key: RunKey) -> int:
        place = lease_key(key)
        found = self._table.get([place]).get(place)
        return (number_of(found, "until") if found else None) or 0
