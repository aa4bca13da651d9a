"""Cron: wall-clock times of a zone, written as a cron expression in one of three dialects."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from rota.core.errors import InvalidError
from rota.core.triggers.absence import absence_in_words
from rota.core.triggers.base import Tick, Trigger
from rota.core.triggers.daylight import Daylight, Evaluator, compiled
from rota.core.triggers.dialects import Dialect
from rota.core.triggers.words import in_words


class Cron(Trigger, frozen=True, tag="cron"):
    """A cron expression: `dialect` says how it is read, `dst` what happens where clocks change (see `daylight`)."""

    text: str
    dialect: Dialect = msgspec.field(default="quartz")
    dst: Daylight = msgspec.field(default="standard")

    if TYPE_CHECKING:

        def __init__(
            self,
            text: str,
            *,
            dialect: Dialect = "quartz",
            timezone: str = "UTC",
            dst: Daylight = "standard",
            start: datetime | str | None = None,
            end: datetime | str | None = None,
            exclude: Any = (),
            jitter: float = 0,
        ) -> None: ...

    def __post_init__(self) -> None:
        text: object = self.text
        if not isinstance(text, str) or not text.strip():
            raise InvalidError("cron text", text, 'give an expression such as "0 30 2 * * ?"')
        if self.dialect not in ("quartz", "unix", "aws"):
            raise InvalidError("dialect", self.dialect, 'use "quartz", "unix" or "aws"')
        if self.dst not in ("standard", "quartz", "aws"):
            raise InvalidError("dst", self.dst, 'use "standard", "quartz" or "aws"')
        super().__post_init__()
        compiled(self.text, self.dialect, self.timezone, self.dst)

    @cached_property
    def _ticks(self) -> Evaluator:
        return compiled(self.text, self.dialect, self.timezone, self.dst)

    def _following(self, after: int) -> Tick | None:
        found = self._ticks.next(after // 1000 + 1)
        return None if found is None else Tick(found.at * 1000, "daylight_gap" if found.missed else None)

    def _preceding(self, until: int) -> Tick | None:
        found = self._ticks.previous(until // 1000)
        return None if found is None else Tick(found.at * 1000, "daylight_gap" if found.missed else None)

    def _number(self, after: int, until: int) -> int:
        return self._ticks.count(after // 1000 + 1, until // 1000)

    def explain(self) -> str:
        return f"{in_words(self._ticks.pattern)}{self._limits_in_words()}."

    def _absence(self, at: int, bare: Tick | None) -> str | None:
        if bare == (at, None):
            return None
        return absence_in_words(self._ticks, at // 1000)
