"""Which run of a schedule waits for which: the rule of held runs, without a table.

The open runs of a schedule are kept with it, each with a mark. After every change to them: if some are held and no
other is open, the earliest held one becomes pending. As long as some are held, each of the others `BLOCKS`, and says
so in its own item too: then it cannot end by a plain write, but only in a transaction that applies this rule. A run
that nobody waits for ends by a plain write, and stays in the list until the list is written again; so the list may
name runs that are finished, but never lacks one that is open.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from rota.aws.dynamo.keys import text_time, time_text

PLAIN, HELD, BLOCKS = 0, 1, 2
_MARKS = 4


class Regrouped(NamedTuple):
    """entries: the marks by scheduled time. released: the run that was held and is pending now. marked: those that
    must say in their items from now on that they block."""

    entries: dict[int, int]
    released: int | None
    marked: tuple[int, ...]


def regroup(entries: Mapping[int, int], admitted: Mapping[int, bool], ended: Iterable[int]) -> Regrouped:
    """The open runs after some were admitted (held or not) and some ended."""
    gone = set(ended)
    after = {at: mark for at, mark in entries.items() if at not in gone}
    after |= {at: HELD if held else PLAIN for at, held in admitted.items()}
    held = sorted(at for at, mark in after.items() if mark == HELD)
    if not held:
        return Regrouped(after, None, ())
    others = sorted(at for at, mark in after.items() if mark != HELD)
    if not others:
        first = held[0]
        after[first] = BLOCKS if len(held) > 1 else PLAIN
        return Regrouped(after, first, (first,) if len(held) > 1 else ())
    marked = tuple(at for at in others if after[at] == PLAIN)
    after |= dict.fromkeys(marked, BLOCKS)
    return Regrouped(after, None, marked)


def pack(entries: Mapping[int, int]) -> bytes:
    """Eight bytes a run, earliest first."""
    numbers = [int(time_text(at)) * _MARKS + entries[at] for at in sorted(entries)]
    return struct.pack(f">{len(numbers)}Q", *numbers)


def unpack(data: bytes) -> dict[int, int]:
    return {text_time(str(number // _MARKS)): number % _MARKS for number in struct.unpack(f">{len(data) // 8}Q", data)}
