"""The dependencies of a function as they are installed beside this interpreter: at once, and without a network.

For an emulator on this machine, which runs functions with its own interpreter, and for tests.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from rota.aws.wheels import canonical, is_wanted, required
from rota.core.errors import InvalidError


def copy_installed(names: Iterable[str], provided: frozenset[str]) -> dict[str, bytes]:
    """The files of the named distributions and of what they need, by name; those of `provided` are left out.

    InvalidError names a distribution that is not installed."""
    found: dict[str, bytes] = {}
    for _, each in sorted(_closure(names, provided).items()):
        found |= _files_of(each)
    return found


def _closure(names: Iterable[str], provided: frozenset[str]) -> dict[str, Distribution]:
    found: dict[str, Distribution] = {}
    asked_for = {canonical(name) for name in names}
    waiting = sorted(asked_for)
    while waiting:
        name = waiting.pop()
        if name in found or name in provided:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            if name in asked_for:
                allowed = "what is installed here: a bundle for this interpreter copies it"
                raise InvalidError("requirements", name, allowed) from None
            continue  # it is for another system or another Python
        waiting += required(found[name].requires or ())
    return found


def _files_of(installed: Distribution) -> dict[str, bytes]:
    site = Path(sysconfig.get_paths()["purelib"])
    found: dict[str, bytes] = {}
    for file in installed.files or ():
        place = Path(str(file.locate()))
        if is_wanted(file.as_posix()) and place.is_file() and (site in place.parents or not file.is_absolute()):
            found[file.as_posix()] = place.read_bytes()
    return found
