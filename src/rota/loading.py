"""The user's app, from the name of its module."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from rota.app import App
from rota.core.errors import InvalidError


def load_app(name: str) -> App:
    """The App of a user's module: "shop.py", "package.module", or either with ":ATTRIBUTE". InvalidError if there is
    none, or more than one to choose from; and whatever the module raises."""
    place, _, attribute = name.partition(":")
    if place.endswith(".py"):
        path = Path(place).resolve()
        if not path.is_file():
            raise InvalidError("app", name, f"a file that exists: there is no file {place}")
        sys.path.insert(0, str(path.parent))
        module = importlib.import_module(path.stem)
    else:
        sys.path.insert(0, str(Path.cwd()))
        try:
            module = importlib.import_module(place)
        except ModuleNotFoundError as error:
            if error.name != place.split(".")[0] and error.name != place:
                raise
            raise InvalidError("app", name, f"a module that can be found: there is no module {place}") from None
    if attribute:
        found = getattr(module, attribute, None)
        if not isinstance(found, App):
            raise InvalidError("app", name, f"the name of a rota.App, which {attribute} is not")
        return found
    apps = [value for value in vars(module).values() if isinstance(value, App)]
    if len(set(map(id, apps))) != 1:
        raise InvalidError(
            "app", name, f"a module with exactly one rota.App, not {len(apps)}; name it as {place}:ATTRIBUTE"
        )
    return apps[0]
