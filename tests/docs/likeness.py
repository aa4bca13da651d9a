"""Holds what was printed against what a page shows.

What differs from one execution to the next is recognized by its form: times of the days at which the pages were
written, ids that rota draws, durations, names of the machine. Everything else has to be the same, but for the width of
gaps. What stood for the page's times and ids is remembered, so that a later command of the page can name them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_DAYS = r"202[67]-11-2[12]"
_REST_OF_TIME = r"T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?"
_SPAN = r"\d+(?:\.\d+)? (?:ms|s|min|h|d)\b(?: \d+ (?:ms|s|min|h)\b)?"
_NAMED = {
    "time": (_DAYS + _REST_OF_TIME, r"\d{4}-\d\d-\d\d" + _REST_OF_TIME),
    "oneoff": (r"once-[a-z0-9]{12}-\d+", r"once-[a-z0-9]{12}-\d+"),
}
_VARYING = {
    "cut": (
        r"[^ ]+(?: [^ ]+)*…(?= |$)",
        r"\S+(?: \S+)*",
    ),  # a cell that did not fit; where it is cut depends on its neighbours
    "lateness": (rf"on time|{_SPAN} (?:late|early)", rf"(?:on time|{_SPAN} (?:late|early))"),
    "span": (_SPAN, _SPAN),
    "person": (r"paused by \S+", r"paused by \S+"),
    "process": (r"process \d+ on [^;\s]+", r"process \d+ on [^;\s]+"),
    "count": (r"\d+ ticks", r"[\d,]+ ticks"),
    "gap": (r"[ ─━]+", r"[ ─━]+"),
}
_TOKEN = re.compile(
    "|".join(f"(?P<{name}>{of_page})" for name, (of_page, _) in ({"cut": _VARYING["cut"]} | _NAMED | _VARYING).items())
)
_NAMES = re.compile("|".join(of_page for of_page, _ in _NAMED.values()))


class Likeness:
    """What stands for what, on one page."""

    def __init__(self) -> None:
        self._meant: dict[str, str] = {}

    def holds(self, shown: Sequence[str], printed: str) -> bool:
        """Whether the page shows what was printed. A line of three dots stands for any lines."""
        named: list[str] = []
        pattern = "".join(r"(?:.*\n)*" if line == "..." else _pattern(line.rstrip(), named) + r" *\n" for line in shown)
        found = re.fullmatch(pattern, printed.rstrip() + "\n")
        if found is None:
            return False
        self._meant.update(zip(named, found.groups(), strict=True))
        return True

    def meant(self, command: str) -> str:
        """A command of the page with the times and ids that were really printed."""

        def printed(found: re.Match[str]) -> str:
            assert found[0] in self._meant, f"{found[0]} is used before the page shows it: $ {command}"
            return self._meant[found[0]]

        return _NAMES.sub(printed, command)


def _pattern(line: str, named: list[str]) -> str:
    """The regular expression of a shown line; the times and ids in it are added to `named`, each a group."""
    pattern, end = "", 0
    for token in _TOKEN.finditer(line):
        kind = str(token.lastgroup)
        pattern += re.escape(line[end : token.start()])
        if kind in _NAMED:
            named.append(token[0])
            pattern += f"({_NAMED[kind][1]})"
        else:
            pattern += _VARYING[kind][1]
        end = token.end()
    return pattern + re.escape(line[end:])
