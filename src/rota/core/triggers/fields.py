"""One field of a cron expression: text to sorted numbers.

The grammar is Quartz's, read strictly. Quartz skips what it does not understand ("MON-FRI/2" loses its step, "5X" is
5, "*/0" is "*"); here whatever is left over is an error, so an expression either means what it says or is refused.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from rota.core.errors import InvalidError

MONTHS: Final = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()  # noqa: SIM905
WEEKDAYS: Final = "SUN MON TUE WED THU FRI SAT".split()  # noqa: SIM905

_ITEM = re.compile(r"(?:(\*)|([0-9]{1,9}|[A-Z]{3})(?:-([0-9]{1,9}|[A-Z]{3}))?)?(?:/([0-9]{1,9}))?")


class Limits(msgspec.Struct, frozen=True):
    """What a field may hold in a dialect."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    first_name: int = 0
    """The number of `names[0]`."""
    wraps: bool = True
    """A range may run over the end: 22-2. Vixie cron refuses it."""
    steps_names: bool = False
    """A named range may have a step, and names and numbers may be mixed."""
    largest_step: int = 0

    def refuse(self, item: str, why: str = "") -> InvalidError:
        names = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
        return InvalidError(
            f"cron {self.name}", item, f"{why}{'; ' if why else ''}use {self.low}-{self.high}{names}, and * , - /"
        )

    def number(self, text: str, item: str) -> int:
        if text.isdigit():
            value = int(text)
        elif text in self.names:
            value = self.names.index(text) + self.first_name
        else:
            raise self.refuse(item)
        if not self.low <= value <= self.high:
            raise self.refuse(item)
        return value


class Numbers(msgspec.Struct, frozen=True):
    """The numbers of a field. `whole`: it runs from the field's lowest to its highest value (`*`, `*/n`, `0-59`)."""

    values: tuple[int, ...]
    whole: bool


def numbers(text: str, limits: Limits) -> Numbers:
    """A whole field without special characters."""
    found: set[int] = set()
    whole = False
    for item in text.split(","):
        values, complete = _item(item, limits)
        found.update(values)
        whole = whole or complete
    return Numbers(tuple(sorted(found)), whole)


def item_numbers(item: str, limits: Limits) -> list[int]:
    """One item of a list."""
    return _item(item, limits)[0]


def _item(item: str, limits: Limits) -> tuple[list[int], bool]:
    match = _ITEM.fullmatch(item)
    if match is None or not item:
        raise limits.refuse(item, "it cannot be read in full" if item else "an item of the list is empty")
    star, first, last, step_text = match.groups()
    low, high = limits.low, limits.high
    step = 1
    if step_text is not None:
        step = int(step_text)
        largest = limits.largest_step or high
        if not 1 <= step <= largest:
            raise limits.refuse(item, f"a step is 1-{largest}")
        if not limits.steps_names and (first or "").isalpha():
            raise limits.refuse(item, "Quartz drops a step after a name; write the numbers")
    if first is None:
        if star is None and step_text is None:
            raise limits.refuse(item)
        return list(range(low, high + 1, step)), True
    start = limits.number(first, item)
    if last is None:
        return (list(range(start, high + 1, step)), start == low) if step_text else ([start], False)
    if not limits.steps_names and first.isalpha() != last.isalpha():
        raise limits.refuse(item, "a range is of two names or two numbers")
    stop = limits.number(last, item)
    if stop >= start:
        return list(range(start, stop + 1, step)), start == low and stop == high
    if not limits.wraps:
        raise limits.refuse(item, "a range does not end before it starts")
    size = high - low + 1
    return [low + (value - low) % size for value in range(start, stop + size + 1, step)], False
