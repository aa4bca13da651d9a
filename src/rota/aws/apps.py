"""The user's app within a function, from what the template says of it."""

from __future__ import annotations

import importlib

from rota.app import App
from rota.core.errors import InvalidError


def load_app(name: str) -> App:
    """The App that "module" or "module:attribute" names. InvalidError if there is none, or more than one."""
    module, _, attribute = name.partition(":")
    if not module:
        raise InvalidError("ROTA_APP", name, "the module of the app, or module:attribute")
    loaded = importlib.import_module(module)
    if attribute:
        found = getattr(loaded, attribute, None)
        if not isinstance(found, App):
            raise InvalidError("ROTA_APP", name, f"the name of a rota.App in {module}")
        return found
    apps = list({id(value): value for value in vars(loaded).values() if isinstance(value, App)}.values())
    if len(apps) != 1:
        raise InvalidError("ROTA_APP", name, f"a module with one rota.App, not {len(apps)}, or module:attribute")
    return apps[0]
