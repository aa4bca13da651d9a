"""Update expressions of DynamoDB that change a thing and a part of it at once: AWS refuses them, MiniStack does not."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

_SECTION = re.compile(r"\b(SET|REMOVE|ADD|DELETE)\s", re.IGNORECASE)
_STEP = re.compile(r"[^.\[\]]+")
_OUTER_COMMA = re.compile(r",(?![^(]*\))")

Path = tuple[str, ...]


def overlap(given: object) -> tuple[Path, Path] | None:
    """Two paths of one update of this request (UpdateItem, TransactWriteItems) that overlap, if there are such."""
    for update in _updates(given):
        names = update.get("ExpressionAttributeNames") or {}
        paths = [_resolved(path, names) for path in _paths(str(update.get("UpdateExpression") or ""))]
        for one, other in itertools.combinations(paths, 2):
            shared = min(len(one), len(other))
            if one[:shared] == other[:shared]:
                return one, other
    return None


def _updates(given: object) -> Iterator[dict[str, Any]]:
    if isinstance(given, dict):
        yield given
        for item in given.get("TransactItems") or []:
            if isinstance(item, dict) and isinstance(item.get("Update"), dict):
                yield item["Update"]


def _paths(expression: str) -> Iterator[str]:
    """The paths that an expression changes, as they are written."""
    pieces = _SECTION.split(expression)[1:]
    for section, text in zip(pieces[::2], pieces[1::2], strict=True):
        for clause in _OUTER_COMMA.split(text):
            path = clause.partition("=")[0] if section.upper() == "SET" else clause.split()[0] if clause.split() else ""
            if path.strip():
                yield path.strip()


def _resolved(path: str, names: dict[str, str]) -> Path:
    return tuple(names.get(step, step) for step in _STEP.findall(path))
