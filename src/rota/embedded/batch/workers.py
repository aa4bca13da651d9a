"""The worker processes of one batch run, as the engine sees them.

A worker has up to two jobs, so that it never waits for the engine; it does them in order, so if it dies, the first
one not
reported is the one it died on.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import time
from collections import deque
from typing import NamedTuple

from rota.core.outcome import Failure
from rota.embedded.batch.forge import Forge
from rota.embedded.batch.messages import READY, Setup, decode_report, encode
from rota.embedded.batch.worker import OVER_MEMORY
from rota.processing.jobs import Job, Report

DEEPEST = 8
_SHORT, _LONG = 0.02, 0.25
"""Seconds. Jobs shorter than the one are given many at a time, those longer than the other one at a time."""
_NAP = 0.005
"""Seconds that the engine may look away, at most, while workers have enough to do."""


class Died(NamedTuple):
    """A worker is gone. on: the job that it was at, if it had one. others: jobs it had not begun. ready: it had come
    so far
    as to take jobs."""

    how: str
    on: Job | None
    others: list[Job]
    ready: bool


class Lifeline:
    """A pipe whose writing end this process alone holds: when it dies, however, every worker reads the end."""

    def __init__(self) -> None:
        self.reading: int
        self.reading, self._writing = os.pipe()

    def close(self) -> None:
        os.close(self.reading)
        os.close(self._writing)


class _Worker:
    def __init__(self, setup: Setup, forge: Forge, lifeline: Lifeline) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._forge = forge
            self._memory = setup.memory
            self._pid = forge.fork(theirs.fileno(), lifeline.reading)
        self.channel = ours
        self.jobs: deque[Job] = deque()
        self.unsent = encode(setup) + b"\n"
        self.ready = False
        self.held = b""

    def take(self, job: Job) -> None:
        self.jobs.append(job)
        self.unsent += encode(job) + b"\n"

    def send(self) -> None:
        """Whatever it took since the last time."""
        said, self.unsent = self.unsent, b""
        with contextlib.suppress(OSError):  # it has died, which `poll` sees
            self.channel.sendall(said)

    def received(self) -> tuple[list[Report], bool]:
        """What it reported, and whether it is still there."""
        try:
            data = self.channel.recv(1 << 18)
        except ConnectionError:
            data = b""
        *lines, self.held = (self.held + data).split(b"\n")
        reports = [decode_report(line) for line in lines]
        return reports, bool(data)

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        self.end()

    def end(self) -> str:
        """Wait for its end, which is certain, for it has closed its channel or was killed; answers how it ended."""
        code = self._forge.wait(self._pid)
        self.channel.close()
        if code == OVER_MEMORY and self._memory is not None:
            return f"over its memory limit of {self._memory} MB"
        if code >= 0:
            return f"exit status {code}"
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"


class Workers:
    """At most `most` processes, started as jobs come."""

    def __init__(self, setup: Setup, most: int, forge: Forge, lifeline: Lifeline) -> None:
        self._setup = setup
        self._forge = forge
        self._lifeline = lifeline
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._alarm, self._bell = socket.socketpair()
        self._alarm.settimeout(0)
        self._bell.settimeout(0)
        self._selector.register(self._alarm, selectors.EVENT_READ)
        self._depth = 1
        self._took = 0.0
        self.most = most

    def ring(self) -> None:
        """Make `poll` return; from any thread."""
        with contextlib.suppress(OSError):
            self._bell.send(b"!")

    @property
    def busy(self) -> int:
        """Jobs given and not reported."""
        return sum(len(worker.jobs) for worker in self._workers)

    def room(self) -> int:
        """How many jobs may be given now."""
        return self.most * self._depth - self.busy

    def give(self, job: Job) -> None:
        """To the worker that has least to do, or to a new one; it is sent by the next `poll`."""
        least = min(self._workers, key=lambda it: len(it.jobs), default=None)
        if least is None or (least.jobs and len(self._workers) < self.most):
            least = _Worker(self._setup, self._forge, self._lifeline)
            self._workers.append(least)
            self._selector.register(least.channel, selectors.EVENT_READ, least)
        least.take(job)

    def poll(self, timeout: float) -> tuple[list[tuple[Job, Report]], list[Died], Failure | None]:
        """Reports and deaths, waiting up to `timeout` seconds for one; and why no worker can be started, if so."""
        reported: list[tuple[Job, Report]] = []
        died: list[Died] = []
        fatal: Failure | None = None
        for worker in self._workers:
            if worker.unsent:
                worker.send()
        self._nap()
        for key, _ in self._selector.select(timeout):
            worker = key.data
            if worker is None:
                self._hush()
                continue
            reports, alive = worker.received()
            for report in reports:
                if report.id == READY:
                    worker.ready = report.fatal is None
                    fatal = report.fatal or fatal
                else:
                    reported.append((worker.jobs.popleft(), report))
                    self._adapt(report.seconds)
            if not alive:
                died.append(self._bury(worker))
        return reported, died, fatal

    def _nap(self) -> None:
        """Let some short jobs end before looking at the first: a look takes a good part of such a job's time, on a core
        that a worker could use."""
        least = min((len(worker.jobs) for worker in self._workers), default=0)
        if self._depth == DEEPEST and least > 2:
            time.sleep(min(_NAP, self._took * (least - 1) / 2))

    def _adapt(self, seconds: float) -> None:
        self._took = seconds if not self._took else 0.8 * self._took + 0.2 * seconds
        self._depth = 1 if self._took > _LONG else 2 if self._took > _SHORT else DEEPEST

    def _hush(self) -> None:
        try:
            while self._alarm.recv(4096):
                pass
        except BlockingIOError:
            pass

    def _bury(self, worker: _Worker) -> Died:
        self._selector.unregister(worker.channel)
        self._workers.remove(worker)
        how = worker.end()
        jobs = list(worker.jobs)
        if not worker.ready:
            return Died(how, None, jobs, ready=False)
        return Died(how, jobs[0] if jobs else None, jobs[1:], ready=True)

    def take_back(self) -> list[Job]:
        """End all workers at once; answers the jobs that are lost."""
        jobs: list[Job] = []
        for worker in self._workers:
            self._selector.unregister(worker.channel)
            worker.kill()
            jobs += worker.jobs
        self._workers.clear()
        return jobs

    def close(self) -> None:
        self.take_back()
        self._selector.close()
        self._alarm.close()
        self._bell.close()
