"""rota emulator: AWS on this machine, in the foreground, until a signal ends it."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from rota import wiring
from rota.cli.options import Json
from rota.cli.output import note, print_json, say


def emulator(
    port: Annotated[int, typer.Option("--port", help="The port on 127.0.0.1; 0 for a free one.")] = 4566,
    json: Json = False,
) -> None:
    """Run AWS on this machine, Lambda functions included, and print what makes AWS's tools and libraries use it. Ctrl-C
    ends it and what is in it. Needs the extra rota[emulator]."""
    with signalled() as ended, wiring.emulator(port) as running:
        if json:
            print_json({"url": running.url, "environment": running.environment()})
        else:
            for name, value in running.environment().items():
                say(f"export {name}={value}")
        sys.stdout.flush()
        note(f"rota: AWS on this machine at {running.url}; Ctrl-C ends it")
        while not ended.wait(0.2):
            running.check()
    note("rota: stopped")


@contextmanager
def signalled() -> Iterator[threading.Event]:
    """Set once SIGTERM or SIGINT came."""
    ended = threading.Event()
    numbers = (signal.SIGTERM, signal.SIGINT)
    before: dict[int, Any] = {number: signal.signal(number, lambda *_: ended.set()) for number in numbers}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
