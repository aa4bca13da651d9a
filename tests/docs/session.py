"""Does what a page says, in a directory of its own, and holds what is printed against what the page shows.

Each command is a shell of its own. One that ends in `&` is a server: it is awaited until it serves, takes `kill %1` and
its kin, and is stopped when the page ends. The Python blocks of a page share one interpreter.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.docs.likeness import Likeness
from tests.docs.pages import Block, Command

PATIENCE = 180.0
"""Seconds; a deadline only ends a test that fails."""
_INTERPRETER = """
import contextlib, io, json, sys, traceback
names = {"__name__": "__main__"}
for line in sys.stdin:
    error = None
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            exec(compile(json.loads(line), "page", "exec"), names)
        except BaseException:
            error = traceback.format_exc()
    print(json.dumps(error), flush=True)
"""


class _Server:
    """A `rota serve` in the background."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    def times_serving(self) -> int:
        return self.log.read_text().count("rota: serving")

    def stop(self, with_signal: signal.Signals, *, as_it_should: bool = True) -> None:
        self.process.send_signal(with_signal)
        code = self.process.wait(PATIENCE)
        expected = -signal.SIGKILL if with_signal == signal.SIGKILL else 0
        assert not as_it_should or code == expected, f"the server ended with {code}:\n{self.log.read_text()}"


class Session:
    """A page under way. patience: seconds for a command."""

    def __init__(self, place: Path, patience: float = PATIENCE) -> None:
        self._place = place
        self._patience = patience
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ROTA_")}
        path = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
        self._environment = {**kept, "PATH": path, "COLUMNS": "120", "PYTHONUNBUFFERED": "1"}
        self._servers: list[_Server] = []
        self._logs: list[Path] = []
        self._interpreter: subprocess.Popen[str] | None = None
        self._likeness = Likeness()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._interpreter is not None:
            self._interpreter.communicate()
        for server in self._servers:
            server.stop(signal.SIGTERM, as_it_should=error is None)

    def carry_out(self, block: Block) -> None:
        """Execute a block; AssertionError where it does something else than the page says."""
        if block.language == "console":
            for command in block.commands:
                self._run(command, block)
        elif block.file is not None:
            (self._place / block.file).write_text(block.text)
        elif block.language == "python":
            self._execute(block)

    def _run(self, command: Command, block: Block) -> None:
        where = f"line {block.line}: $ {command.text}"
        kill = re.fullmatch(r"kill (?:-(9|HUP) )?%(\d+)", command.text)
        if kill:
            self._signal(self._servers[int(kill[2]) - 1], kill[1] or "TERM")
        elif command.text.endswith("&"):
            self._serve(command.text.removesuffix("&"))
        else:
            try:
                done = subprocess.run(
                    ["bash", "-c", self._likeness.meant(command.text)],
                    cwd=self._place,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    timeout=self._patience,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise AssertionError(f"{where}\nit did not end\n{self._logged()}") from None
            printed = done.stdout.rstrip()
            said = f"{where}\n{printed}\n{self._logged()}"
            assert done.returncode == block.exits, f"exit code {done.returncode}, not {block.exits}; {said}"
            if command.shown:
                assert self._likeness.holds(command.shown, printed), f"the page shows something else; {said}"

    def _serve(self, command: str) -> None:
        self._logs.append(self._place / f"server-{len(self._logs) + 1}.log")
        with self._logs[-1].open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self._place,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        server = _Server(process, self._logs[-1])
        self._servers.append(server)
        _wait_until(lambda: process.poll() is not None or server.times_serving() > 0)
        assert process.poll() is None, f"$ {command}&\n{server.log.read_text()}"

    def _signal(self, server: _Server, name: str) -> None:
        if name == "HUP":
            before = server.times_serving()
            server.process.send_signal(signal.SIGHUP)
            _wait_until(lambda: server.times_serving() > before)
        else:
            self._servers.remove(server)
            server.stop(signal.SIGKILL if name == "9" else signal.SIGTERM)

    def _execute(self, block: Block) -> None:
        if self._interpreter is None:
            self._interpreter = subprocess.Popen(
                [sys.executable, "-c", _INTERPRETER],
                cwd=self._place,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._interpreter.stdin is not None
        assert self._interpreter.stdout is not None
        self._interpreter.stdin.write(json.dumps(block.text) + "\n")
        self._interpreter.stdin.flush()
        error = json.loads(self._interpreter.stdout.readline() or '"the interpreter ended"')
        assert error is None, f"line {block.line}: {error}"

    def _logged(self) -> str:
        return "\n".join(log.read_text() for log in self._logs)


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
