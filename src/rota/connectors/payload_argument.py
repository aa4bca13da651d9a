"""Generators that ask for the payload of their batch run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import partial


def with_payload(make: Callable[..., Iterable[object]], payload: object) -> Callable[..., Iterable[object]]:
    """`make`, given the payload if it has an argument of that name."""
    if "payload" not in inspect.signature(make).parameters:
        return make
    bound = partial(make, payload=payload)
    bound.__qualname__ = getattr(make, "__qualname__", "generator")  # type: ignore[attr-defined]
    return bound
