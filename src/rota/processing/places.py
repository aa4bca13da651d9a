"""Where a batch run keeps what is neither source nor sink."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from rota.core.batch import BatchRun
from rota.core.completion import DeadItem
from rota.core.isolation import Stretch
from rota.core.receipt import Delivered


class Places(Protocol):
    """An implementer owes: what was written is there whole or not at all, for every process of the batch run, and
    writing it again is harmless."""

    def write_dead(self, chunk: int, revision: int, dead: Sequence[DeadItem]) -> None:
        """The dead letters of a chunk as `revision` leaves them."""

    def read_dead(self, chunk: int, revision: int) -> Iterator[DeadItem]:
        """In the order of their items; SourceError if they are not there or not whole."""

    def write_apart(self, chunk: int, stretch: Stretch, outcome: bytes) -> None:
        """The outcome of a stretch, until the part is assembled."""

    def read_apart(self, chunk: int, stretch: Stretch) -> bytes: ...

    def papers(self, run: BatchRun, delivered: Delivered) -> Path:
        """A directory of this machine for the next manifest and receipt, which holds the receipt before."""

    def publish(self, papers: Path) -> str:
        """Put manifest and receipt where everybody finds them; answers where that is."""

    def clean(self) -> None:
        """Remove what a batch run that has ended needs no more; dead letters and manifest stay."""
