"""rota serve: the engine, in the foreground, until a signal ends it.

SIGHUP reloads: if the module can still be loaded, the engine stops gracefully and this process becomes a new server. No
tick is lost on the way: those that pass meanwhile are in the far tier, and fire late, or as their misfire policy says.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from rota import wiring
from rota.cli.definition import given
from rota.cli.options import Json, Url
from rota.cli.output import log_to_stderr, note, print_json
from rota.cli.session import load_app
from rota.cli.signals import Signals, StoppedEarly, noted
from rota.core.errors import InvalidError, RotaError
from rota.service.sync import SyncReport
from rota.wiring import DEFAULT_URL

if TYPE_CHECKING:
    from rota.embedded.engine import Engine
    from rota.embedded.serving import Serving

_LEVELS = ("debug", "info", "warning", "error")

Module = Annotated[
    str | None,
    typer.Argument(metavar="[MODULE]", help="shop.py, package.module or FILE:ATTRIBUTE.", show_default=False),
]


def serve(
    module: Module = None,
    db: Annotated[str | None, typer.Option("--db", metavar="FILE", help="Short for --url sqlite:///FILE.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", help="Threads for tasks.")] = None,
    async_limit: Annotated[int | None, typer.Option("--async-limit", help="Coroutines at once.")] = None,
    durability: Annotated[
        str | None, typer.Option("--durability", help="power: writes survive power loss; process: kill -9 only.")
    ] = None,
    retention: Annotated[
        float | None, typer.Option("--retention", metavar="SECONDS", help="How long runs and ticks are kept.")
    ] = None,
    grace: Annotated[
        float | None, typer.Option("--grace", metavar="SECONDS", help="How long stopping waits for running tasks.")
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Delete schedules that the app no longer declares.")] = False,
    log_level: Annotated[str, typer.Option("--log-level", help="debug, info, warning or error.")] = "info",
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Store the app's schedules and fire what is due, until SIGTERM or Ctrl-C; a second signal does not wait.
    SIGHUP loads the module anew."""
    if log_level not in _LEVELS:
        raise InvalidError("log-level", log_level, "one of " + ", ".join(_LEVELS))
    log_to_stderr(log_level)
    place = url if db is None else f"sqlite:///{db}"
    # A thread that computes keeps the timer from waking for as long as this; the default is 5 ms.
    sys.setswitchinterval(0.001)
    settings = given(workers=workers, async_limit=async_limit, durability=durability, retention=retention, grace=grace)
    try:
        with noted() as signals:
            with signals.interrupting():
                app = load_app(module)
            _serve(wiring.engine(place, app, **settings), signals, module, place, prune=prune, json=json)
    except StoppedEarly:
        note("rota: stopped")


def _serve(serving: Serving, signals: Signals, module: str | None, place: str, *, prune: bool, json: bool) -> None:
    serving.start(prune=prune)
    report = serving.report
    if isinstance(report, SyncReport):
        _announce(report, place, json)
    if serving.app is not None:
        for it in serving.lacking():
            note(f"rota: warning: app {serving.app.name!r} lacks {it}: runs of it fail")
    reloading = False
    while not signals.first.wait(0.1) and not serving.engine.stopped.is_set():
        if signals.reload.is_set():
            signals.reload.clear()
            reloading = _still_loads(module)
            if reloading:
                break
    if not serving.engine.stopped.is_set():
        _announce_end("reloading" if reloading else "stopping", serving.engine)
    stopper = threading.Thread(target=serving.stop, name="rota-stop", daemon=True)
    stopper.start()
    while stopper.is_alive() and not signals.second.is_set():
        stopper.join(0.1)
    if signals.second.is_set():
        note("rota: stopped at once; what was running is attempted again at the next start")
        raise typer.Exit(1)
    _raise_fatal(serving.engine.fatal)
    if reloading and not signals.first.is_set():
        signals.replace_process(sys.argv[1:])
    note("rota: stopped")


def _announce_end(what: str, engine: Engine) -> None:
    runs = engine.running
    wait = f": waiting for {runs} {'run' if runs == 1 else 'runs'}, {engine.grace:g} s at most" if runs else ""
    note(f"rota: {what}{wait}")


def _still_loads(module: str | None) -> bool:
    """Whether a new process can load the module; if it cannot, says why, and the old one serves on."""
    program = "import sys; from rota.loading import load_app; load_app(sys.argv[1])"
    if module is None:
        return True
    command = [sys.executable, "-c", program, module]
    tried = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 the user's own module
    if tried.returncode:
        said = tried.stderr.strip().splitlines()
        note(f"rota: warning: not reloaded, {module} cannot be loaded: {said[-1] if said else 'no reason given'}")
    return tried.returncode == 0


def _announce(report: SyncReport, url: str, json: bool) -> None:
    if json:
        print_json({"serving": url, "schedules": msgspec.to_builtins(report)})
        sys.stdout.flush()
    note(f"rota: serving {url}; schedules: {report}")
    for id in report.orphaned:
        note(f"rota: warning: schedule {id} is no longer declared, so it is paused; --prune deletes it")


def _raise_fatal(error: BaseException | None) -> None:
    if error is None:
        return
    if isinstance(error, RotaError):
        raise error
    raise RotaError(f"the engine ended because of an error of its own: {type(error).__name__}: {error}") from error
