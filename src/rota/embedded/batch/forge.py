"""Makes worker processes in a millisecond: a process that has imported what workers need, and forks when asked to.

Forking the engine itself would copy locks that its threads hold; starting an interpreter for every worker costs a
tenth of a
second each, which a small batch, or one that kills workers, would feel. The forge has one thread, and has imported
rota but
nothing of the user's: what a user's module opens when it is imported, each worker opens for itself.

Run as a module it is the process: its one argument is the descriptor of the socket to the engine. A request is one
byte: `f`
with two descriptors (the worker's channel and the life line) to fork, answered by the process id; `w` and a process
id to
wait for its end, answered by its exit code, negative for a signal.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import struct
import subprocess
import sys
import threading

from rota.core.errors import StoreError
from rota.embedded.batch import worker

_NUMBER = struct.Struct("=q")
_ENDED = "no worker process can be started: the process that makes them has ended"


def _stdout() -> int | None:
    """Where this process prints, which need not be descriptor 1: what tasks print in workers belongs there as well."""
    try:
        return sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):  # there is none, or it is no file
        return None


class Forge:
    """The engine's side; safe to share between threads. It ends with the engine, whose end of the socket it reads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Begin to start the process, if it does not run; it is ready when it answers."""
        with self._lock:
            self._started()

    def _started(self) -> socket.socket:
        if self._socket is not None and self._process is not None and self._process.poll() is None:
            return self._socket
        self._discard()
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "rota.embedded.batch.forge", str(theirs.fileno())]
            self._process = subprocess.Popen(  # noqa: S603 our own interpreter and module
                command, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, stdout=_stdout()
            )
        self._socket = ours
        return ours

    def fork(self, channel: int, lifeline: int) -> int:
        """A new worker's process id; the descriptors become its own. StoreError if none can be made."""
        with self._lock:
            asked = self._started()
            try:
                socket.send_fds(asked, [b"f"], [channel, lifeline])
                return self._answer(asked)
            except OSError as error:
                raise StoreError(_ENDED) from error

    def wait(self, pid: int) -> int:
        """The exit code of a worker that is ending, as subprocess gives it; as if it were killed, if the process that
        made it has ended too."""
        with self._lock:
            if self._socket is None:
                return -signal.SIGKILL
            try:
                self._socket.sendall(b"w" + _NUMBER.pack(pid))
                return self._answer(self._socket)
            except (OSError, StoreError):
                return -signal.SIGKILL

    def _answer(self, asked: socket.socket) -> int:
        data = asked.recv(_NUMBER.size, socket.MSG_WAITALL)
        if len(data) < _NUMBER.size:
            raise StoreError(_ENDED)
        return int(_NUMBER.unpack(data)[0])

    def _discard(self) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._socket = self._process = None

    def close(self) -> None:
        with self._lock:
            self._discard()


def main() -> None:
    """Serve the engine until it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    engine = socket.socket(fileno=int(sys.argv[1]))
    gc.freeze()
    with contextlib.suppress(ConnectionError):  # that is how an engine is gone which waits for an answer
        _serve(engine)


def _serve(engine: socket.socket) -> None:
    while True:
        request, descriptors, _, _ = socket.recv_fds(engine, 1, 2)
        if request == b"f":
            pid = os.fork()
            if pid == 0:
                _become_worker(engine, *descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            engine.sendall(_NUMBER.pack(pid))
        elif request == b"w":
            (pid,) = _NUMBER.unpack(engine.recv(_NUMBER.size, socket.MSG_WAITALL))
            engine.sendall(_NUMBER.pack(_wait(pid)))
        else:
            return


def _become_worker(engine: socket.socket, channel: int, lifeline: int) -> None:
    engine.close()
    code = 1
    try:
        worker.work(channel, lifeline)
        code = 0
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _wait(pid: int) -> int:
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        return -signal.SIGKILL
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    main()
