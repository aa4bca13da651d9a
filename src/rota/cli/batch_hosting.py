"""Who carries out the batch run that a command begins or follows, so that none is waited for in vain.

A database file has one holder at a time. A server carries out all there is. A command that found the file free carries
out its own batch run, and is gone with it. So while a command follows a batch run, one of these holds:

- it has the file itself;
- a server has it, or another command with the same batch run: wait;
- another command has it, with another batch run: wait, and take the file as soon as it is free;
- nobody has it: take it. Where it was a server's, that one may be on its way back, and is given some seconds.

A command that does not know the app cannot take the file; it says so and ends instead. On AWS nobody holds anything.
"""

from __future__ import annotations

import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, NoReturn, Self

import typer

from rota import wiring
from rota.app import App
from rota.cli.batch_watch import FAR_LOOK, LOOK, follow, is_held
from rota.cli.output import log_to_stderr, note
from rota.client import Client
from rota.core.batch import BatchRun
from rota.core.errors import ConflictError, StoreLockedError

if TYPE_CHECKING:
    from rota.embedded.batch.foreground import Foreground

PATIENCE = 5.0
"""Seconds that a server may be away."""
_MODULE = "MODULE"


class _TerminatedError(KeyboardInterrupt):
    """SIGTERM, which is heeded as Ctrl-C is."""


class Place:
    """Where the commands of a user are: the store's URL, and the app's module as it was given."""

    def __init__(self, url: str, module: str | None = None) -> None:
        self.url: str = url
        self.far: bool = url.startswith("aws://")
        self._at = "" if url == wiring.DEFAULT_URL else f" --url {shlex.quote(url)}"
        self._module = _MODULE if module is None else shlex.quote(module)

    def command(self, name: str, id: str) -> str:
        """What to type to do that with a batch run."""
        app = f" --app {self._module}" if name == "resume" and not self.far else ""
        return f"`rota batch {name} {id}{app}{self._at}`"

    def deserted(self, run: BatchRun) -> str:
        """Nobody carries `run` out; what to do."""
        if run.wish == "cancel":
            return (
                f"no process carries {run.id} out, so it cannot be cancelled: {self.command('cancel', run.id)} does it"
            )
        serve = f"`rota serve {self._module}{self._at}`"
        return (
            f"no process carries {run.id} out, which is {run.shown_state}: start {serve}, which takes it up, or "
            f"{self.command('resume', run.id)}"
        )

    def is_carried(self, run: BatchRun) -> bool:
        """Whether somebody carries `run` out, or it has ended."""
        if self.far or not run.is_open:
            return True
        holder = wiring.holder(self.url)
        return holder is not None and holder.carries(run.id)

    def check_carried(self, run: BatchRun) -> None:
        """ConflictError if nobody carries `run` out."""
        if not self.is_carried(run):
            raise ConflictError(self.deserted(run), batch_run=run.id)


class Follower:
    """Follows one batch run, and carries it out if nobody else does. app: None if it is not known. A context manager:
    what it has in hand at the end is finished or given up."""

    def __init__(self, place: Place, app: App | None) -> None:
        self._place = place
        self._app = app
        self._hosting: Foreground | None = None
        self._alone: float | None = None
        self._patience = 0.0 if app is not None else PATIENCE
        self._told = ""
        if app is not None and not place.far:
            self._hosting = self._taken(app)
        self.client: Client = wiring.connect(place.url, app) if self._hosting is None else self._hosting.client

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._hosting is not None:
            self._hosting.close()
        if self._hosting is None or self._hosting.client is not self.client:
            self.client.close()

    def _taken(self, app: App) -> Foreground | None:
        """What has the file in this process; None if another process has it."""
        try:
            taken = wiring.foreground(self._place.url, app)
        except StoreLockedError:
            return None
        log_to_stderr("warning")
        return taken

    def until_ended(self, run: BatchRun) -> BatchRun:
        """Show how `run` goes until it has ended, tell whom it concerns, and answer it as it ended; or as it was paused
        by its `max_cost`."""
        if self._hosting is not None:
            self._hosting.host(run.key)
        every = FAR_LOOK if self._place.far else LOOK
        try:
            ended = follow(self.client, run.id, wiring.clock(), self._attend, every)
        except KeyboardInterrupt as interrupt:
            self._interrupted(run.id, interrupt)
        if is_held(ended):
            note(f"rota: {ended.id} {ended.error}: {self._place.command('resume', ended.id)}")
        elif self._hosting is not None:
            self._hosting.tell(ended)
        return ended

    def _attend(self, run: BatchRun) -> None:
        """See to it that somebody carries out `run`, which has not ended."""
        if self._hosting is not None or self._place.far:
            return
        holder = wiring.holder(self._place.url)
        if holder is not None:
            self._alone = None
            self._patience = PATIENCE if holder.only is None or self._app is None else 0.0
            if not holder.carries(run.id):
                self._tell(f"{run.id} waits until {holder.who} has carried out {holder.only}")
            return
        now = time.monotonic()
        self._alone = now if self._alone is None else self._alone
        if now - self._alone < self._patience:
            return
        if self._app is None:
            raise ConflictError(self._place.deserted(run), batch_run=run.id)
        self._hosting = self._taken(self._app)
        if self._hosting is not None:
            self._tell(f"no other process carries {run.id} out (any more): this command does")
            self._hosting.host(run.key)

    def _tell(self, said: str) -> None:
        if said != self._told:
            self._told = said
            note(f"rota: {said}")

    def _interrupted(self, id: str, interrupt: KeyboardInterrupt) -> NoReturn:
        follow_it = f"follow it with {self._place.command('watch', id)}"
        go_on = f"go on with {self._place.command('resume', id)}"
        if self._hosting is not None:
            note(f"rota: {id} has not ended; {go_on}")
        elif self._place.far:
            note(f"rota: {id} has not ended; {follow_it}")
        else:
            note(f"rota: {id} has not ended; {follow_it}, or if no process carries it out, {go_on}")
        terminated = isinstance(interrupt, _TerminatedError)
        raise typer.Exit(128 + (signal.SIGTERM if terminated else signal.SIGINT)) from None


def carry_out(place: Place, app: App | None, begin: Callable[[Client], BatchRun]) -> BatchRun:
    """Begin a batch run, and answer it as it ended. What tasks print is no result of the command."""
    with _heeding_sigterm(), redirect_stdout(sys.stderr), Follower(place, app) as follower:
        return follower.until_ended(begin(follower.client))


def end_cancelled(place: Place, run: BatchRun) -> BatchRun:
    """End `run`, whose end was asked for, if no other process is there to do it; answers it as it is then."""
    if place.far or not run.is_open or wiring.holder(place.url) is not None:
        return run
    return carry_out(place, App("rota"), lambda client: client.batches.get(run.id))


@contextmanager
def _heeding_sigterm() -> Iterator[None]:
    """The first SIGTERM ends what goes on as Ctrl-C does; a second one ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def heed(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, before)
        raise _TerminatedError

    before = signal.signal(signal.SIGTERM, heed)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
