"""DynamoDB: a page of a query costs what the page holds, and not what the partition holds.

In stock each page evaluates the key condition on every item of the partition, and parses it anew for each. Items that a
key condition matches stand beside each other in the order of the sort key: here evaluating begins after the start key,
and ends with the page or with the first item that does not match any more.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ministack.services import dynamodb

from rota.testing.emulator.guard import replace, rewrite

Item = dict[str, Any]
_PARSED = 1024

_START = "candidates, esk, pk_name, range_names if multi_key else sk_name, scan_forward, table=table)"
_EVERY = '[it for it in candidates if _evaluate_condition(key_cond, it, eav, ean, slot="KeyConditionExpression")]'
_NEEDED = (
    f"_rota_matching(_apply_exclusive_start_key({_START}, "
    'lambda it: _evaluate_condition(key_cond, it, eav, ean, slot="KeyConditionExpression"))'
)


def mend() -> None:
    """Patch queries and what parses expressions."""
    replace(dynamodb, "_tokenize", "6abb13395c3e", _remembered_list)
    replace(dynamodb, "_condition_syntax_error", "5213f1ffac34", functools.lru_cache(_PARSED))
    after = f"    if esk:\n        candidates = _apply_exclusive_start_key(\n            {_START}"
    only_once = after.replace("if esk:", "if esk and not key_cond:")
    rewrite(dynamodb, "_query", "50c2e7ec69e9", {_EVERY: _NEEDED, after: only_once}, _rota_matching=matching)


def _remembered_list(parse: Any) -> Any:
    remembered = functools.lru_cache(_PARSED)(parse)
    return lambda text: list(remembered(text))


def matching(items: Iterable[Item], matches: Callable[[Item], bool]) -> Iterator[Item]:
    """The first items in a row that match. The first of them is looked for at once, so that a condition that cannot be
    evaluated is an error here and not later."""
    rest = iter(items)
    for item in rest:
        if matches(item):
            return itertools.chain([item], itertools.takewhile(matches, rest))
    return iter(())
