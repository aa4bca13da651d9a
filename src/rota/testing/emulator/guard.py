"""Patches that know what they patch.

MiniStack is patched in process: a function of it is wrapped, replaced or rewritten. Each patch states the digest of the
source that it was written against, so that another version of MiniStack, or a changed one, is refused with a sentence
instead of behaving in ways that nobody tested.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

MINISTACK = "1.5.33"
_DIGITS = 12


class PatchError(Exception):
    """What is to be patched is not what the patch was written for."""


def check_version(found: str | None = None) -> None:
    """PatchError unless the installed MiniStack is the one that the patches were written for."""
    found = found or importlib.metadata.version("ministack")
    if found != MINISTACK:
        raise PatchError(
            f"the emulator mends MiniStack {MINISTACK}, but {found} is installed: pip install ministack=={MINISTACK}"
        )


def digest_of(target: Any) -> str:
    """What identifies the source of a function, or a text."""
    source = target if isinstance(target, str) else inspect.getsource(target)
    return hashlib.sha256(source.encode()).hexdigest()[:_DIGITS]


def expect(target: Any, name: str, digest: str) -> None:
    """PatchError unless the source of `target` has this digest."""
    found = digest_of(target)
    if found != digest:
        raise PatchError(
            f"{name} is not what MiniStack {MINISTACK} has (digest {found}, not {digest}): "
            f"pip install --force-reinstall ministack=={MINISTACK}"
        )


def replace(owner: Any, name: str, digest: str, make: Callable[[Any], Any]) -> None:
    """Put make(original) in the place of a function whose source has this digest."""
    original = getattr(owner, name)
    expect(original, f"{owner.__name__}.{name}", digest)
    setattr(owner, name, make(original))


def edited(text: str, name: str, edits: dict[str, str]) -> str:
    """`text` with each key replaced by its value. PatchError unless each is found exactly once."""
    for old, new in edits.items():
        if text.count(old) != 1:
            raise PatchError(f"{name} of MiniStack {MINISTACK} was to hold once, and does not: {old}")
        text = text.replace(old, new)
    return text


def rewrite(owner: Any, name: str, digest: str, edits: dict[str, str], **names: Any) -> None:
    """Change pieces of the source of a module's function; `names` are what the new source knows besides."""
    original = getattr(owner, name)
    full = f"{owner.__name__}.{name}"
    expect(original, full, digest)
    source = edited(textwrap.dedent(inspect.getsource(original)), full, edits)
    scope = vars(owner)
    scope.update(names)
    exec(compile(source, full, "exec"), scope)  # noqa: S102 - MiniStack's own source, known by its digest


def setting(owner: Any, name: str, was: Any, now: Any) -> None:
    """Change a number or the like. PatchError unless it is what it was."""
    found = getattr(owner, name)
    if found != was:
        raise PatchError(f"{owner.__name__}.{name} of MiniStack {MINISTACK} was to be {was!r}, and is {found!r}")
    setattr(owner, name, now)
