"""What runs in a worker process: jobs in, reports out, until the engine is gone.

A worker must not outlive its engine: what it still wrote would change a part whose mark the next engine has stored.
So a
thread waits on a pipe of which only the engine holds the other end, and ends the process when that closes; and every
worker
holds a lock, shared, which the next engine takes exclusively before it starts workers of its own.
"""

from __future__ import annotations

import fcntl
import importlib
import importlib.util
import os
import resource
import select
import signal
import socket
import sys
import threading
from contextvars import Token
from pathlib import Path
from types import ModuleType
from typing import Any

from rota.app import App
from rota.connectors.stored import is_text, open_stored_sink, open_stored_source
from rota.core.current import CURRENT, CurrentRun
from rota.core.errors import NotFoundError
from rota.core.outcome import failure_of, innermost_frame
from rota.core.task import Task
from rota.embedded.batch.messages import READY, Setup, decode_job, decode_setup, encode
from rota.embedded.batch.places import Places
from rota.processing.calls import Calls, OverMemoryError
from rota.processing.chunk_work import ChunkWork
from rota.processing.jobs import Report

ORPHANED = 3
OVER_MEMORY = 4
"""Exit statuses."""


class _Signal:
    """A worker that is to stop is ended, so a task in it is never asked to."""

    cancel = False


def work(descriptor: int, lifeline: int) -> None:
    """Serve the engine at the other end of the socket `descriptor` until it closes."""
    channel = socket.socket(fileno=descriptor)
    # The terminal's Ctrl-C is for the engine, which then decides about its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, args=(lifeline,), daemon=True).start()
    lines = channel.makefile("rb")
    setup = decode_setup(lines.readline())
    try:
        lock = _lock(setup.lock, lifeline)
        _limit_memory(setup.memory)
        work = _prepare(setup)
    except BaseException as error:  # noqa: BLE001 the engine is told, and decides
        _end_if_over_memory(error, setup)
        failure = failure_of(error, innermost_frame(error))
        channel.sendall(encode(Report(READY, fatal=failure)) + b"\n")
        return
    channel.sendall(encode(Report(READY)) + b"\n")
    for line in lines:
        job = decode_job(line)
        token = _enter(setup)
        try:
            report = work.do(job)
        except (Exception, SystemExit, OverMemoryError) as error:  # noqa: BLE001 see above
            _end_if_over_memory(error, setup)
            report = Report(job.id, fatal=failure_of(error, innermost_frame(error)))
        finally:
            CURRENT.reset(token)
        channel.sendall(encode(report) + b"\n")
    os.close(lock)


def _limit_memory(megabytes: int | None) -> None:
    """Of what this process may write to, as `VmData` in /proc shows it: code, and address space that is only reserved,
    do not count."""
    if megabytes is not None:
        most = megabytes << 20
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _end_if_over_memory(error: BaseException, setup: Setup) -> None:
    if setup.memory is not None and isinstance(error, MemoryError | OverMemoryError):
        os._exit(OVER_MEMORY)


def _follow(lifeline: int) -> None:
    os.read(lifeline, 1)
    os._exit(ORPHANED)


def _lock(path: str, lifeline: int) -> int:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    fcntl.flock(lock, fcntl.LOCK_SH)
    if select.select([lifeline], [], [], 0)[0]:
        os._exit(ORPHANED)
    return lock


def _enter(setup: Setup) -> Token[CurrentRun | None]:
    return CURRENT.set(CurrentRun(setup.name, setup.created, 1, _Signal()))


def _prepare(setup: Setup) -> ChunkWork:
    # First of all, since it brings the engine's environment, which clients of S3 look into when they are made.
    task = find_task(setup)
    places = Places(setup.directory)
    source = open_stored_source(setup.source, places.spool)
    sink = open_stored_sink(setup.sink)
    run = CurrentRun(setup.name, setup.created, 1, _Signal())
    sink.prepare(run.id)
    text = is_text(setup.source)
    calls = Calls(
        task,
        setup.retry,
        key=run.id,
        text=text,
        async_limit=setup.async_limit,
        limited_memory=setup.memory is not None,
    )
    return ChunkWork(source, sink, calls, places)


def find_task(setup: Setup) -> Task[..., Any]:
    """The task, by importing the module that defines it, as the engine did."""
    sys.path[:] = setup.path
    os.environ.update(setup.environ)
    os.chdir(setup.cwd)
    module = _imported(setup.module, setup.file)
    for value in vars(module).values():
        if isinstance(value, Task) and value.name == setup.task:
            return value
        if isinstance(value, App) and setup.task in value.tasks:
            return value.tasks[setup.task]
    hint = f"worker processes import {setup.module}, so the task or its app must be at the top of that module"
    raise NotFoundError("task", setup.task, hint)


def _imported(name: str, file: str) -> ModuleType:
    if name != "__main__":
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not file or error.name not in {name, name.partition(".")[0]}:
                raise
    # A script's body is guarded by its own `if __name__ == "__main__"`, as multiprocessing demands as well.
    alias = "__rota_main__" if name == "__main__" else name
    spec = importlib.util.spec_from_file_location(alias, Path(file))
    if spec is None or spec.loader is None:
        raise NotFoundError("module", name, f"{file or 'it has no file'} cannot be imported by a worker process")
    module = importlib.util.module_from_spec(spec)
    sys.modules[alias] = module
    spec.loader.exec_module(module)
    return module
