"""Generators that ask for the payload of their batch run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import partial


def takes_payload(make: Callable[..., Iterable[object]]) -> bool:
    """Whether a generator has an argument of that name."""
    return "payload" in inspect.signature(make).parameters


def with_payload(make: Callable[..., Iterable[object]], payload: object) -> Callable[..., Iterable[object]]:
    """`make`, given the payload if it has an argument of that name."""
    if not takes_payload(make):
        return make
    bound = partial(make, payload=payload)
    bound.__qualname__ = getattr(make, "__qualname__", "generator")  # type: ignore[attr-defined]
    return bound
