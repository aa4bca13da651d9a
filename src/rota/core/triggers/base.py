"""What every trigger shares: window, exclusions, jitter, and the questions the engine asks.

A kind of trigger answers three questions about its bare ticks (`_following`, `_preceding`, `_number`); the window and
the exclusions are laid over them here. An excluded tick is still a tick: it gets a row in the ledger with the reason.
"""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from rota.core.errors import InvalidError
from rota.core.triggers.exclusions import Exclusions, compiled_exclusions, normal
from rota.core.triggers.instants import FOREVER, LATEST, aware, to_datetime, to_ms
from rota.core.triggers.zones import zone, zone_info

_LONGEST_JITTER = 86_400
_MOST_UPCOMING = 100_000


class Tick(NamedTuple):
    """A nominal time in epoch milliseconds. `skip` is "excluded" or "daylight_gap" where it never fires."""

    at: int
    skip: str | None


class _Window(NamedTuple):
    first: int
    last: int
    exclusions: Exclusions | None


class Trigger(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="kind",
    dict=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """When. `start` and `end` are included; `exclude` is explained in `exclusions`; `jitter` is in seconds.

    Constructors accept ISO text where a datetime is asked for, and raise InvalidError naming field and value.
    """

    timezone: str = "UTC"
    start: datetime | None = None
    end: datetime | None = None
    exclude: tuple[str, ...] = ()
    jitter: float = 0

    def __post_init__(self) -> None:
        zone_info(self.timezone)
        for field in ("start", "end"):
            value = getattr(self, field)
            if value is not None:
                msgspec.structs.force_setattr(self, field, aware(field, value))
        if self.exclude != ():
            msgspec.structs.force_setattr(self, "exclude", normal(self.exclude))
        if self.start is not None and self.end is not None and self.end < self.start:
            raise InvalidError("end", self.end.isoformat(), f"it must not be before start, {self.start.isoformat()}")
        jitter: object = self.jitter
        if not isinstance(jitter, int | float) or isinstance(jitter, bool) or not 0 <= jitter <= _LONGEST_JITTER:
            raise InvalidError("jitter", jitter, f"give seconds from 0 to {_LONGEST_JITTER}")

    def next_tick(self, after: int) -> Tick | None:
        """The first tick after `after`."""
        first, last, exclusions = self._window
        found = self._following(after if after >= first else first - 1)
        if found is None or found[0] > last:
            return None
        if exclusions is not None and exclusions.holds(found[0]):
            return Tick(found[0], "excluded")
        return found

    def latest_tick(self, after: int, until: int) -> Tick | None:
        """The last tick in (after, until]."""
        first, last, exclusions = self._window
        found = self._preceding(min(until, last))
        if found is None or found.at <= after or found.at < first:
            return None
        if exclusions is not None and exclusions.holds(found.at):
            return Tick(found.at, "excluded")
        return found

    def count_ticks(self, after: int, until: int) -> int:
        """How many ticks in (after, until], skipped ones included."""
        first, last, _ = self._window
        low, high = max(after, first - 1), min(until, last)
        return self._number(low, high) if low < high else 0

    def next(self, after: datetime) -> datetime | None:
        """The first time after `after` at which it fires, in the trigger's zone; None where there is none."""
        found = self.next_fired(_ms("after", after))
        return None if found is None else to_datetime(found, zone(self.timezone).info)

    def upcoming(self, after: datetime, n: int) -> list[datetime]:
        """The next `n` times at which it fires; fewer where it ends earlier."""
        wanted: object = n
        if not isinstance(wanted, int) or not 0 <= wanted <= _MOST_UPCOMING:
            raise InvalidError("n", n, f"give a whole number from 0 to {_MOST_UPCOMING}")
        shown = zone(self.timezone).info
        times: list[datetime] = []
        at: int | None = _ms("after", after)
        while len(times) < n and at is not None:
            at = self.next_fired(at)
            if at is not None:
                times.append(to_datetime(at, shown))
        return times

    def explain(self) -> str:
        """A sentence in English."""
        raise TypeError(f"{type(self).__name__} is not a kind of trigger")

    def explain_absence(self, at: int) -> str | None:
        """Why nothing fires at `at`, where there is more to say than that it is not a tick."""
        first, last, exclusions = self._window
        shown = to_datetime(at, zone(self.timezone).info).isoformat()
        bare = self._following(at - 1)
        reason = self._absence(at, bare)
        if reason is None and (bare is None or bare.at != at):
            return None
        if at < first and self.start is not None:
            return f"{shown} is before the start, {self.start.isoformat()}"
        if at > last and self.end is not None:
            return f"{shown} is after the end, {self.end.isoformat()}"
        if exclusions is not None and exclusions.holds(at):
            return f"{shown} is excluded"
        return reason

    # Both leave a range of excluded days in one step: a month of excluded seconds is not walked.

    def next_fired(self, after: int) -> int | None:
        """The first tick after `after` that is not skipped."""
        exclusions = self._window.exclusions
        at = after
        while at < self._window.last:
            tick = self.next_tick(at)
            if tick is None:
                return None
            if tick.skip is None:
                return tick.at
            at = tick.at if exclusions is None else exclusions.end_of(tick.at)
        return None

    def latest_fired(self, after: int, until: int) -> int | None:
        """The last tick in (after, until] that is not skipped."""
        exclusions = self._window.exclusions
        at = until
        while True:
            tick = self.latest_tick(after, at)
            if tick is None:
                return None
            if tick.skip is None:
                return tick.at
            at = (tick.at if exclusions is None else exclusions.start_of(tick.at)) - 1

    @cached_property
    def _window(self) -> _Window:
        exclusions = compiled_exclusions(self.exclude, self.timezone) if self.exclude else None
        first = -FOREVER if self.start is None else to_ms(self.start) + (self.start.microsecond % 1000 > 0)
        return _Window(first, LATEST if self.end is None else to_ms(self.end), exclusions)

    def _following(self, after: int) -> Tick | None:
        raise TypeError(f"{type(self).__name__} is not a kind of trigger")

    def _preceding(self, until: int) -> Tick | None:
        raise TypeError(f"{type(self).__name__} is not a kind of trigger")

    def _number(self, after: int, until: int) -> int:
        raise TypeError(f"{type(self).__name__} is not a kind of trigger")

    def _absence(self, at: int, bare: Tick | None) -> str | None:
        """A reason particular to this kind. `bare` is the first tick at or after `at`, window and exclusions aside."""
        return None

    def _limits_in_words(self) -> str:
        words = [] if self.timezone == "UTC" else [f"{self.timezone} time"]
        if self.start is not None:
            words.append(f"from {self.start.isoformat()}")
        if self.end is not None:
            words.append(f"until {self.end.isoformat()}")
        if self.exclude:
            words.append(f"except on {len(self.exclude)} excluded date{'s' if len(self.exclude) > 1 else ''}")
        if self.jitter:
            words.append(f"delayed by up to {self.jitter:g} s")
        return "".join(f", {word}" for word in words)


def jitter_ms(run_id: str, jitter: float) -> int:
    """The delay of a run in [0, jitter * 1000) milliseconds: the same for the same run id, on every machine."""
    share = int.from_bytes(blake2b(run_id.encode(), digest_size=8).digest(), "big")
    return share * int(jitter * 1000) >> 64


def _ms(field: str, value: object) -> int:
    # A hot path: almost every argument is an aware datetime already.
    return to_ms(value if isinstance(value, datetime) and value.tzinfo is not None else aware(field, value))
