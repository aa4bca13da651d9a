"""The user's app, from the name of its module."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from rota.app import App
from rota.core.errors import InvalidError, NotFoundError


def load_app(name: str) -> App:
    """The App of a user's module: "shop.py", "package.module", or either with ":ATTRIBUTE"."""
    place, _, attribute = name.partition(":")
    if place.endswith(".py"):
        path = Path(place).resolve()
        if not path.is_file():
            raise NotFoundError("app", name, f"there is no file {place}")
        sys.path.insert(0, str(path.parent))
        module = importlib.import_module(path.stem)
    else:
        sys.path.insert(0, str(Path.cwd()))
        try:
            module = importlib.import_module(place)
        except ModuleNotFoundError as error:
            if error.name != place.split(".")[0] and error.name != place:
                raise
            raise NotFoundError("app", name, f"there is no module {place}") from None
    if attribute:
        found = getattr(module, attribute, None)
        if not isinstance(found, App):
            raise NotFoundError("app", name, f"{attribute} is not a rota.App")
        return found
    apps = [value for value in vars(module).values() if isinstance(value, App)]
    if len(set(map(id, apps))) != 1:
        raise InvalidError(
            "app", name, f"a module with exactly one rota.App, not {len(apps)}; name it as {place}:ATTRIBUTE"
        )
    return apps[0]
