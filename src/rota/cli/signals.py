"""The signals of a server: noted whenever they come, and none is lost between two of its lives.

A reload replaces the process, and a process that has just begun has no handlers: what arrived then would end it, by
the default of the system. So signals are held back (blocked, which outlives the replacement) from before the one to
after the other: what comes meanwhile waits, and is noted as soon as there are handlers. Threads and child processes
inherit what is blocked, and could then not be told to stop; so none is begun before `noted` lets signals through again.

While the user's module is loaded, which may take long, a signal to stop interrupts that; nothing runs yet.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

_STOPPING = (signal.SIGTERM, signal.SIGINT)
_ALL = (*_STOPPING, signal.SIGHUP)
_ONE_SIGNAL = 1.0
"""Seconds within which a second signal is the first one again: supervisors send it to the process and to its group."""


class StoppedEarly(BaseException):
    """A signal to stop came while the module was being loaded."""


class Signals:
    """first: a signal to stop came. second: another one did. reload: one to reload came."""

    def __init__(self) -> None:
        self.first: threading.Event = threading.Event()
        self.second: threading.Event = threading.Event()
        self.reload: threading.Event = threading.Event()
        self._first_at = 0.0
        self._interrupts = False

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self.reload.set()
            return
        now = time.monotonic()
        if not self.first.is_set():
            self._first_at = now
            self.first.set()
        elif now - self._first_at > _ONE_SIGNAL:
            self.second.set()
        if self._interrupts:
            raise StoppedEarly

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Within this, a signal to stop raises StoppedEarly; so does one that came before."""
        self._interrupts = True
        try:
            if self.first.is_set():
                raise StoppedEarly
            yield
        finally:
            self._interrupts = False

    def replace_process(self, arguments: Sequence[str]) -> None:
        """Become a new process of rota. Returns only if a signal to stop came at the last moment."""
        hold()
        for number in _STOPPING:
            # A thread that outlived the engine may take one yet, and a note of it would not reach the new process.
            signal.signal(number, signal.SIG_DFL)
        if not self.first.is_set():
            os.execv(sys.executable, [sys.executable, "-m", "rota", *arguments])  # noqa: S606 its own command again


def hold() -> None:
    """Let signals wait until `noted` is entered."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ALL)


@contextmanager
def noted() -> Iterator[Signals]:
    """SIGTERM, SIGINT and SIGHUP noted instead of carried out, those included that waited."""
    signals = Signals()
    before: dict[int, Any] = {number: signal.signal(number, signals) for number in _ALL}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ALL)
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
