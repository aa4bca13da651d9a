"""Stores that die in the middle, as a process does that is killed or a machine that loses power.

A `Fuse` counts the calls made through everything it wraps, dies at the chosen one, and stays dead: what follows in the
same "process" fails as well. The store behind it lives on, so a test restarts by wrapping it with a new fuse:

    fuse = Fuse(dies_at=3, after=True)
    with pytest.raises(Crash):
        tick(fuse.wrap(stores.schedules), now)
    tick(stores.schedules, now)

`after` tells whether the fatal call takes effect first. `meanwhile` is called with the number of each call before it is
made, and is where another process gets its turn: between the calls of one use case.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

S = TypeVar("S")


class Crash(BaseException):
    """The process died here. No Exception, so that nothing which handles errors survives it."""


class Fuse:
    """Kills what it wraps at call number `dies_at` (from 1; None: never), before that takes effect or `after` it."""

    def __init__(
        self, dies_at: int | None = None, *, after: bool = False, meanwhile: Callable[[int], None] | None = None
    ) -> None:
        self.calls: int = 0
        self.burnt: bool = False
        self._dies_at = dies_at
        self._after = after
        self._meanwhile = meanwhile

    def wrap(self, store: S) -> S:
        """`store`, all of whose methods count and may die."""
        return cast("S", _Fused(store, self))

    def call(self, method: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        if self.burnt:
            raise Crash
        self.calls += 1
        if self._meanwhile is not None:
            self._meanwhile(self.calls)
        if self.calls != self._dies_at:
            return method(*args, **kwargs)
        self.burnt = True
        if self._after:
            method(*args, **kwargs)
        raise Crash


class _Fused:
    def __init__(self, store: object, fuse: Fuse) -> None:
        self._store = store
        self._fuse = fuse

    def __getattr__(self, name: str) -> object:
        found = getattr(self._store, name)
        if not callable(found):
            return found
        fuse = self._fuse

        def method(*args: object, **kwargs: object) -> object:
            return fuse.call(found, args, kwargs)

        return method
