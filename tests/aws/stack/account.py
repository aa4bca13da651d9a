"""Was every promise kept? What was acknowledged is held against what arrived.

    acknowledged   arrived, at least once, unless it was cancelled
    cancelled      never arrived, if the cancellation was acknowledged
    all            none arrived that nobody asked for, none before its time
    attempts       no attempt was carried out twice, where the target is told the number of the attempt

An answer that never came promises nothing: what was asked for then may arrive or not.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.aws.stack.site import Call, Site

from rota.core.ids import parse_run_id


class Arrival(NamedTuple):
    """at: epoch ms, as the clock of this machine says. attempt: 0 where the target is not told."""

    run: str
    at: int
    attempt: int = 0


class Account:
    """Of one-offs. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.acknowledged: set[str] = set()
        self.cancelled: set[str] = set()
        self.unsure: set[str] = set()
        self.unanswered = 0
        self.arrivals: list[Arrival] = []

    def acknowledge(self, runs: list[str]) -> None:
        with self._lock:
            self.acknowledged.update(runs)

    def cancel(self, run: str) -> None:
        with self._lock:
            self.cancelled.add(run)

    def doubt(self, run: str) -> None:
        """A cancellation that was not answered."""
        with self._lock:
            self.unsure.add(run)

    @property
    def missing(self) -> set[str]:
        """What is still to come."""
        arrived = {it.run for it in self.arrivals}
        return self.acknowledged - self.cancelled - self.unsure - arrived

    def read_queue(self, site: Site, url: str, wait: float) -> None:
        """What is on a queue."""
        for message in site.received(url, 10**9, wait):
            run = message["MessageAttributes"]["rota-run-id"]["StringValue"]
            self.arrivals.append(Arrival(run, message["at"]))

    def read_calls(self, calls: list[Call]) -> None:
        """What an endpoint got."""
        self.arrivals += [Arrival(it.run, round(it.at * 1000), int(it.headers["rota-attempt"])) for it in calls]

    def read_file(self, path: Path) -> None:
        """What tasks wrote down."""
        lines = path.read_bytes().splitlines() if path.exists() else []
        self.arrivals += [Arrival(run, round(at * 1000), attempt) for run, attempt, at in map(json.loads, lines)]

    def fail(self) -> None:
        """A one-off that was asked for, without an answer."""
        with self._lock:
            self.unanswered += 1

    def check(self, *, early: int = 0, once: bool = True) -> list[str]:
        """What was not kept, in sentences. early: milliseconds by which clocks may be off. once: whether no attempt may
        be carried out twice."""
        return list(self._problems(early, once=once))

    def _problems(self, early: int, *, once: bool) -> Iterator[str]:
        yield from (f"{run} was acknowledged, but never arrived" for run in sorted(self.missing))
        arrived = {it.run for it in self.arrivals}
        yield from (f"{run} was cancelled, but arrived" for run in sorted(self.cancelled & arrived))
        unknown = arrived - self.acknowledged
        if len(unknown) > self.unanswered:
            yield f"nobody asked for {len(unknown) - self.unanswered} of {sorted(unknown)}"
        for it in self.arrivals:
            ahead = parse_run_id(it.run)[1] - it.at
            if ahead > early:
                yield f"{it.run} arrived {ahead} ms early"
        attempts = Counter((it.run, it.attempt) for it in self.arrivals if it.attempt)
        twice = [key for key, times in attempts.items() if times > 1 and once]
        yield from (
            f"{run}: attempt {attempt} was carried out {attempts[run, attempt]} times" for run, attempt in twice
        )
