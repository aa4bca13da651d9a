"""How a command comes by its client and by the user's app."""

from __future__ import annotations

from pathlib import Path

from rota import loading, wiring
from rota.app import App
from rota.client import Client
from rota.core.errors import InvalidError, NotFoundError, RotaError
from rota.core.outcome import innermost_frame


def connect(url: str, app: str | None = None, *, make: bool = False) -> Client:
    """The client of a command, to be used as a context manager. make: make the database if there is none, which is for
    commands that put something into it; for all others it is NotFoundError, since the URL may be mistyped."""
    loaded = load_app(app)
    if not make:
        refuse_missing(url)
    return wiring.connect(url, loaded)


def refuse_missing(url: str) -> None:
    """NotFoundError if there is no database behind a sqlite URL."""
    if not url.startswith("aws://"):
        existing(url)


def existing(url: str) -> Path:
    """The database file behind a sqlite URL; NotFoundError if there is none."""
    path, _ = wiring.settings_of(url, {})
    if not path.exists():
        raise NotFoundError("database", str(path), "`rota serve` makes one, and so does the first thing put into it")
    return path


def load_app(name: str | None) -> App | None:
    """The user's app; whatever its module raises becomes one line that says where."""
    if name is None:
        return None
    try:
        return loading.load_app(name)
    except RotaError:
        raise
    except SyntaxError as error:
        place = f"{error.filename}:{error.lineno}" if error.filename else name
        raise InvalidError("app", name, f"a module without syntax errors ({place}: {error.msg})") from error
    except Exception as error:  # the user's module may raise anything
        said = f"{type(error).__name__}: {error} ({innermost_frame(error)})"
        raise InvalidError("app", name, f"a module that can be imported ({said})") from error
