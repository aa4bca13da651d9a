"""When a failed attempt is tried again, and after how long."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

from rota.core.errors import InvalidError
from rota.core.limits import check_number
from rota.core.outcome import Failure

Jitter = Literal["full", "equal", "none"]


def _names(field: str, given: object) -> tuple[str, ...]:
    names: list[str] = []
    for one in given if isinstance(given, tuple | list) else (given,):
        if isinstance(one, type) and issubclass(one, BaseException):
            names.append(f"{one.__module__}.{one.__qualname__}".removeprefix("builtins."))
        elif isinstance(one, str) and one:
            names.append(one)
        else:
            raise InvalidError(field, one, "exception classes or their dotted names")
    return tuple(names)


class Retry(msgspec.Struct, frozen=True, omit_defaults=True):
    """Exponential backoff: before attempt n+1 wait `initial * factor**(n-1)` seconds, at most `maximum`.

    attempts: tries in all, the first included (1 = never again). initial, maximum: seconds. jitter: "full" draws from
    [0, wait], "equal" from [wait/2, wait], "none" waits exactly
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). retry_on: if not empty, only these
    exceptions are tried again. give_up_on: these never are. Classes or dotted names; subclasses match.
    """

    attempts: int = 3
    initial: float = 1.0
    factor: float = 2.0
    maximum: float = 3600.0
    jitter: Jitter = "full"
    retry_on: tuple[Any, ...] = ()
    give_up_on: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        check_number("retry.attempts", self.attempts, 1, 1000, whole=True)
        check_number("retry.initial", self.initial, 0, 31_536_000)
        check_number("retry.factor", self.factor, 1, 1000)
        check_number("retry.maximum", self.maximum, 0, 31_536_000)
        if self.initial > self.maximum:
            raise InvalidError("retry.initial", self.initial, f"at most retry.maximum, which is {self.maximum:g}")
        if self.jitter not in ("full", "equal", "none"):
            raise InvalidError("retry.jitter", self.jitter, "'full', 'equal' or 'none'")
        msgspec.structs.force_setattr(self, "retry_on", _names("retry.retry_on", self.retry_on))
        msgspec.structs.force_setattr(self, "give_up_on", _names("retry.give_up_on", self.give_up_on))
        for name in self.retry_on:
            if name in self.give_up_on:
                raise InvalidError("retry.give_up_on", name, "only what retry.retry_on does not name as well")

    def delay(self, attempt: int, run_id: str) -> float:
        """Seconds to wait after failed attempt number `attempt` (from 1): a pure function of its arguments."""
        try:
            wait = min(self.maximum, self.initial * self.factor ** (attempt - 1))
        except OverflowError:
            wait = self.maximum
        if self.jitter == "none" or wait <= 0:
            return wait
        digest = hashlib.blake2b(f"{run_id}#{attempt}".encode(), digest_size=8).digest()
        draw = int.from_bytes(digest, "big") / 2**64
        return wait * draw if self.jitter == "full" else wait * (0.5 + draw / 2)

    def again(self, attempt: int, failure: Failure) -> bool:
        """Whether attempt number `attempt`, which ended in `failure`, is followed by another."""
        if attempt >= self.attempts or not failure.transient:
            return False
        if failure.is_a(self.give_up_on):
            return False
        return not self.retry_on or failure.is_a(self.retry_on)


NEVER = Retry(attempts=1)
