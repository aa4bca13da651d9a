"""How an attempt ended."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from rota.core.errors import TargetError, public_name

_MESSAGE = 2000


class Failure(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An exception as data. types: qualified names of the exception's class and its bases, nearest first. frame: the
    innermost line of the user's code, such as "shop.py:12 in enrich". transient: whether another try can help.
    retry_after: seconds to wait at least before that."""

    types: tuple[str, ...]
    message: str
    frame: str = ""
    transient: bool = True
    retry_after: float = 0.0

    def is_a(self, names: Collection[str]) -> bool:
        """Whether its exception, or a base of it, goes by one of `names`, in full or as users know it."""
        return any(name in names or public_name(name) in names for name in self.types)

    @property
    def type(self) -> str:
        return self.types[0]

    def __str__(self) -> str:
        where = f" ({self.frame})" if self.frame else ""
        return f"{public_name(self.type)}: {self.message}{where}"


def failure_of(error: BaseException, frame: str = "") -> Failure:
    """The failure that `error` amounts to. What a TargetError says of an error elsewhere comes before its own class and
    line."""
    names = tuple(
        f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
        for kind in type(error).__mro__
        if kind not in (object, BaseException)
    )
    message = str(error)[:_MESSAGE]
    if isinstance(error, TargetError):
        return Failure(
            error.types + names, message, error.frame or frame, bool(error.transient), max(error.retry_after, 0.0)
        )
    return Failure(names, message, frame, bool(getattr(error, "transient", True)))


def innermost_frame(error: BaseException) -> str:
    """The innermost line of the traceback, such as "shop.py:12 in enrich"; empty if there is none."""
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return f"{code.co_filename.replace(chr(92), '/').rpartition('/')[2]}:{trace.tb_lineno} in {code.co_qualname}"


class Result(msgspec.Struct, frozen=True, gc=False):
    """What one attempt came to. value: the target's answer as JSON, or None. failure: None on success.
    interrupted: the engine died, or stopped, during it. handed_back: it stopped, which is no fault of the run's."""

    started: int
    finished: int
    value: bytes | None = None
    failure: Failure | None = None
    interrupted: bool = False
    handed_back: bool = False
