"""Worker processes that are gone before they were of any use."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rota.core.chunk import Chunk, Origin
from rota.embedded.batch.forge import Forge
from rota.embedded.batch.messages import Setup
from rota.embedded.batch.workers import Died, Lifeline, Workers
from rota.processing.jobs import Job

PATIENCE = 60.0
JOB = Job(0, "whole", Chunk(0, Origin("a.jsonl", "1", 1), 0, 1))
SETUP = Setup(
    name="orders",
    created=0,
    module="nowhere",
    file="",
    path=[],
    environ={},
    cwd="/",
    task="work",
    source={},
    sink={},
    directory="/nowhere",
    lock="/nowhere/workers.lock",
    retry=None,
    async_limit=1,
)


class Graveyard(Forge):
    """Its workers are dead before anything is said to them, and the process that makes them too, if that is wanted."""

    def __init__(self, *, itself: bool) -> None:
        super().__init__()
        self._itself = itself

    def fork(self, channel: int, lifeline: int) -> int:
        pid = super().fork(channel, lifeline)
        parent = _parent(pid)
        _kill(pid)
        if self._itself:
            _kill(parent)
        return pid


def _status(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return ["X", "0"]


def _parent(pid: int) -> int:
    return int(_status(pid)[1])


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while _status(pid)[0] not in "ZX":
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture
def lifeline() -> Iterator[Lifeline]:
    with closing(Lifeline()) as made:
        yield made


@pytest.mark.parametrize("itself", [False, True])
def test_a_job_given_to_the_dead_comes_back(lifeline: Lifeline, itself: bool) -> None:
    with closing(Graveyard(itself=itself)) as forge, closing(Workers(SETUP, 1, forge, lifeline)) as workers:
        workers.give(JOB)
        reported, died, fatal = workers.poll(PATIENCE)
        assert (reported, fatal) == ([], None)
        assert died == [Died("signal SIGKILL", None, [JOB], ready=False)]
        assert workers.busy == 0
