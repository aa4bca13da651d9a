"""How many bytes so many items have: where a count would make the planner read every object, a sample stands for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rota.connectors.open import open_place
from rota.connectors.place import BLOCK, Place
from rota.connectors.stored import is_spooled
from rota.core.chunk import ChunkSize, Origin

_SAMPLE = BLOCK >> 2
_WHOLE = 4 * BLOCK
_ORIGINS = 3


def sized(options: dict[str, Any], size: ChunkSize) -> ChunkSize:
    """The size to plan by: for JSON Lines and CSV, `items` become as many bytes as a sample of the objects says. It is
    the same each time for the same objects, and for other sources what was asked for."""
    if size.items is None or options.get("type") not in ("jsonl", "csv") or is_spooled(options):
        return size
    mean = mean_line(open_place(str(options["path"])))
    if mean is None:
        return size
    wanted = max(1, round(size.items * mean))
    return ChunkSize(bytes=wanted if size.bytes is None else min(wanted, size.bytes))


def mean_line(place: Place) -> float | None:
    """Bytes of a line on average, sampled at the beginning and in the middle of the first objects; None if all is so
    small that it may as well be read."""
    lines = total = 0
    origins = _first(place)
    if sum(origin.size for origin in origins) <= _WHOLE:
        return None
    for origin in origins:
        for start in {0, max(0, origin.size // 2 - _SAMPLE)}:
            data = place.read(origin, start, start + _SAMPLE)
            lines, total = lines + data.count(b"\n"), total + len(data)
    return total / max(1, lines)


def _first(place: Place) -> list[Origin]:
    found: list[Origin] = []
    origins: Iterator[Origin] = place.find()
    for origin in origins:
        if origin.size:
            found.append(origin)
        if len(found) == _ORIGINS:
            break
    return found
