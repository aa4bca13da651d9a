"""Showing how a deployment goes: a line for each resource that is done or failed, and a bar on a terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from rota.cli.output import note

if TYPE_CHECKING:
    from rota.aws.stacks import Event

_STACK = "AWS::CloudFormation::Stack"


class Watch:
    """A context manager whose `told` and `noted` are what a deployer calls."""

    def __init__(self) -> None:
        self._done: set[str] = set()
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            columns = (SpinnerColumn(), TextColumn("resources"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._shown = self._bar.add_task("resources", total=None)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def expect(self, resources: int) -> None:
        """How many resources are to be changed."""
        if self._bar is not None:
            self._bar.update(self._shown, total=resources)

    def told(self, event: Event) -> None:
        """One step of a resource. What begins is not worth a line, for its end will come."""
        if event.kind == _STACK and not event.failed:
            return
        ended = event.status.endswith("_COMPLETE")
        if ended:
            self._done.add(event.resource)
        if ended or event.failed:
            line = f"{event.status:<16}  {event.kind:<32}  {event.resource}"
            self._say(f"{line}  {event.reason}".rstrip() if event.failed else line, red=event.failed)
        if self._bar is not None:
            self._bar.update(self._shown, completed=len(self._done))

    def noted(self, text: str) -> None:
        """A line that is about no resource."""
        self._say(f"rota: {text}", red=False)

    def _say(self, line: str, *, red: bool) -> None:
        if self._bar is None:
            note(line)
        else:
            self._bar.console.print(Text(line, style="red" if red else ""), soft_wrap=True)
