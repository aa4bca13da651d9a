"""At: one instant."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from rota.core.errors import InvalidError
from rota.core.triggers.base import Tick, Trigger
from rota.core.triggers.instants import aware, to_ms


class At(Trigger, frozen=True, tag="at"):
    """One tick, at `when`: an aware datetime, ISO text with an offset, or epoch seconds."""

    when: datetime

    if TYPE_CHECKING:

        def __init__(
            self,
            when: datetime | str | float,
            *,
            timezone: str = "UTC",
            start: datetime | str | None = None,
            end: datetime | str | None = None,
            exclude: Any = (),
            jitter: float = 0,
        ) -> None: ...

    def __post_init__(self) -> None:
        when: object = self.when
        if isinstance(when, int | float) and not isinstance(when, bool):
            try:
                when = datetime.fromtimestamp(when, UTC)
            except (ValueError, OverflowError, OSError):
                raise InvalidError("when", when, "epoch seconds are within the years 1 to 9999") from None
        msgspec.structs.force_setattr(self, "when", aware("when", when))
        super().__post_init__()

    @cached_property
    def _at(self) -> int:
        return to_ms(self.when)

    def _following(self, after: int) -> Tick | None:
        return Tick(self._at, None) if after < self._at else None

    def _preceding(self, until: int) -> Tick | None:
        return Tick(self._at, None) if self._at <= until else None

    def _number(self, after: int, until: int) -> int:
        return int(after < self._at <= until)

    def explain(self) -> str:
        return f"Once, at {self.when.isoformat()}{self._limits_in_words()}."
