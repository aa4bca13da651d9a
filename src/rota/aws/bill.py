"""From what is used to what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from rota.aws.prices import PRICES


class Line(NamedTuple):
    """One line of a bill."""

    service: str
    unit: str
    used: float
    dollars: float


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is used of each thing that has a price; the fields are the names of `rota.aws.prices.PRICES`."""

    write_units: float = 0
    read_units: float = 0
    stored_gb: float = 0
    recovery_gb: float = 0
    queue_requests: float = 0
    fifo_requests: float = 0
    invocations: float = 0
    gb_seconds: float = 0
    transitions: float = 0
    express_requests: float = 0
    express_gb_seconds: float = 0
    object_writes: float = 0
    object_reads: float = 0
    object_gb: float = 0
    log_gb: float = 0
    metrics: float = 0
    alarms: float = 0
    traces: float = 0
    events: float = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})

    def times(self, count: float) -> Usage:
        """The same, so many times."""
        return Usage(**{name: getattr(self, name) * count for name in self.__struct_fields__})

    def lines(self) -> list[Line]:
        """What is used at all, dearest first."""
        used = [(PRICES[name], getattr(self, name)) for name in self.__struct_fields__]
        found = [Line(price.service, price.unit, count, count * price.dollars) for price, count in used if count]
        return sorted(found, key=lambda line: (-line.dollars, line.service, line.unit))

    @property
    def dollars(self) -> float:
        """What all of it costs."""
        return sum(line.dollars for line in self.lines())


def by_service(lines: list[Line]) -> Mapping[str, float]:
    """Dollars of each service, dearest first."""
    found: dict[str, float] = {}
    for line in lines:
        found[line.service] = found.get(line.service, 0.0) + line.dollars
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))
