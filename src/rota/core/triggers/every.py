"""Every: a fixed interval of elapsed time, whatever clocks on walls do."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from rota.core.triggers.base import Tick, Trigger
from rota.core.triggers.instants import aware, duration, to_ms


class Every(Trigger, frozen=True, tag="every"):
    """Ticks at `anchor` + k * `interval` for every whole k, before the anchor too: it sets the phase, `start` the
    beginning. Without an anchor the phase is that of the epoch, so `Every("1h")` ticks on the hour in UTC.
    """

    interval: timedelta
    anchor: datetime | None = msgspec.field(default=None)

    if TYPE_CHECKING:

        def __init__(
            self,
            interval: timedelta | float | str,
            *,
            anchor: datetime | str | None = None,
            timezone: str = "UTC",
            start: datetime | str | None = None,
            end: datetime | str | None = None,
            exclude: Any = (),
            jitter: float = 0,
        ) -> None: ...

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "interval", duration("interval", self.interval))
        if self.anchor is not None:
            msgspec.structs.force_setattr(self, "anchor", aware("anchor", self.anchor))
        super().__post_init__()

    @cached_property
    def _phase(self) -> tuple[int, int]:
        step = self.interval // timedelta(milliseconds=1)
        return step, 0 if self.anchor is None else to_ms(self.anchor) % step

    def _following(self, after: int) -> Tick | None:
        step, phase = self._phase
        return Tick(after + step - (after - phase) % step, None)

    def _preceding(self, until: int) -> Tick | None:
        step, phase = self._phase
        return Tick(until - (until - phase) % step, None)

    def _number(self, after: int, until: int) -> int:
        step, phase = self._phase
        return (until - phase) // step - (after - phase) // step

    def explain(self) -> str:
        anchored = "" if self.anchor is None else f", in step with {self.anchor.isoformat()}"
        return f"Every {_in_words(self.interval)}{anchored}{self._limits_in_words()}."


def _in_words(interval: timedelta) -> str:
    hours, rest = divmod(interval.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    amounts: list[tuple[float, str]] = [
        (interval.days, "day"), (hours, "hour"), (minutes, "minute"), (seconds + interval.microseconds / 1e6, "second")
    ]  # fmt: skip
    words = [f"{amount:g} {unit}{'' if amount == 1 else 's'}" for amount, unit in amounts if amount]
    return unit if len(words) == 1 and (unit := words[0].removeprefix("1 ")) != words[0] else " ".join(words)
