"""Following a batch run: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from rota.cli.batch_shapes import amount, duration, of_total
from rota.cli.output import note
from rota.client import Client
from rota.core.batch import BatchRun
from rota.ports.clock import Clock
from rota.service.progress import Progress as Figures
from rota.service.progress import progress

LOOK = 0.1
"""Seconds; what follows, milliseconds."""
FAR_LOOK = 1.0
"""Where each look costs requests."""
_LINE_EVERY = 5_000
_RATE_OVER = 3_000


def follow(client: Client, id: str, clock: Clock, attend: Callable[[BatchRun], None], every: float = LOOK) -> BatchRun:
    """Show how it goes until it has ended, or is paused by its `max_cost`, and answer it as it is then. attend: called
    with each look as long as it has not ended. every: seconds between looks. KeyboardInterrupt, and what `attend`
    raises, pass through."""

    def rest(_seconds: float) -> None:
        time.sleep(every)

    if sys.stderr.isatty():
        return _on_terminal(_Looker(client, id, clock, attend), rest)
    return follow_in_lines(client, id, clock, note, rest, attend)


def _nothing(_run: BatchRun) -> None:
    pass


class _Looker:
    """Looks at a batch run; the rate is that of the last seconds."""

    def __init__(self, client: Client, id: str, clock: Clock, attend: Callable[[BatchRun], None]) -> None:
        self._client = client
        self._clock = clock
        self._attend = attend
        self.id: str = id
        self._before: list[tuple[int, int]] = []

    def look(self) -> tuple[BatchRun, Figures]:
        run, now = self._client.batches.get(self.id), self._clock.now()
        if run.is_open:
            self._attend(run)
        self._before.append((run.counts.items, now))
        while len(self._before) > 2 and now - self._before[1][1] > _RATE_OVER:
            self._before.pop(0)
        since = self._before[0] if run.is_open and len(self._before) > 1 else None
        return run, progress(run, now, since)


def _figures(it: Figures) -> str:
    parts = [f"{of_total(it.items, it.total, about=it.about)} items"]
    if it.rate:
        parts.append(f"{amount(it.rate)}/s")
    if it.eta:
        parts.append(f"{duration(it.eta)} left")
    if it.failed:
        parts.append(f"{amount(it.failed)} failed")
    if it.retries:
        parts.append(f"{amount(it.retries)} retries")
    return ", ".join(parts)


def _until_over(
    look: Callable[[], tuple[BatchRun, Figures]],
    show: Callable[[BatchRun, Figures], None],
    sleep: Callable[[float], None],
) -> BatchRun:
    while True:
        run, figures = look()
        show(run, figures)
        if not run.is_open or is_held(run):
            return run
        sleep(LOOK)


def is_held(run: BatchRun) -> bool:
    """Whether it is paused by its `max_cost`: nothing but `resume` makes it go on."""
    return run.shown_state == "paused" and run.held and run.error != ""


def _on_terminal(looker: _Looker, sleep: Callable[[float], None]) -> BatchRun:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[figures]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        shown = bar.add_task(looker.id, total=None, figures="")

        def show(run: BatchRun, figures: Figures) -> None:
            bar.update(
                shown,
                description=f"{run.id} {run.shown_state}",
                total=figures.total,
                completed=figures.items,
                figures=_figures(figures),
            )

        return _until_over(looker.look, show, sleep)


def follow_in_lines(
    client: Client,
    id: str,
    clock: Clock,
    say: Callable[[str], None],
    sleep: Callable[[float], None],
    attend: Callable[[BatchRun], None] = _nothing,
) -> BatchRun:
    """A line every five seconds if there is something new to say, until it has ended, or is paused by its
    `max_cost`."""
    due, said = clock.now() + _LINE_EVERY, ""

    def show(run: BatchRun, figures: Figures) -> None:
        nonlocal due, said
        if run.is_open and clock.now() >= due:
            due = clock.now() + _LINE_EVERY
            line = f"{run.id} {run.shown_state}: {_figures(figures)}"
            if line != said:
                said = line
                say(line)

    return _until_over(_Looker(client, id, clock, attend).look, show, sleep)
