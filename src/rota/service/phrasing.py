"""How instants and spans of time are said in sentences and tables."""

from __future__ import annotations

import itertools

from rota.core.triggers.instants import to_datetime
from rota.core.triggers.zones import zone_info

_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000))


def shown(at: int, zone: str) -> str:
    """Epoch milliseconds as ISO text in a zone, with its offset; milliseconds only where there are any."""
    moment = to_datetime(at, zone_info(zone))
    return moment.isoformat(timespec="milliseconds" if at % 1000 else "seconds")


def span(ms: int) -> str:
    """A duration in its two largest units: 12 ms, 3.4 s, 4 min 5 s, 2 d 3 h."""
    if ms < 0:
        return f"-{span(-ms)}"
    if ms < 1000:
        return f"{ms} ms"
    if ms < 60_000:
        return f"{ms / 1000:.3g} s"
    for (large, size), (small, part) in itertools.pairwise(_UNITS):
        if ms >= size:
            rest = ms % size // part
            return f"{ms // size} {large} {rest} {small}" if rest else f"{ms // size} {large}"
    return f"{ms // 1000} s"


def late(ms: int) -> str:
    """How late something was: "on time", "12 ms late", "3 ms early"."""
    if ms == 0:
        return "on time"
    return f"{span(ms)} late" if ms > 0 else f"{span(-ms)} early"
