"""A patch is refused where its target is not what it was written for."""

from __future__ import annotations

import types

import pytest

from rota.testing.emulator import guard
from rota.testing.emulator.guard import PatchError


def module() -> types.ModuleType:
    made = types.ModuleType("service")
    made.__dict__.update(greet=greet, LIMIT=10)
    return made


def greet(name: str) -> str:
    return "hello " + name


def test_another_version_is_named() -> None:
    with pytest.raises(PatchError, match=r"mends MiniStack 1\.5\.33, but 1\.6\.0 is installed: pip install"):
        guard.check_version("1.6.0")
    guard.check_version()


def test_a_function_is_replaced_if_it_is_the_one() -> None:
    service = module()
    guard.replace(service, "greet", guard.digest_of(greet), lambda original: lambda name: original(name).upper())
    assert service.greet("ada") == "HELLO ADA"


def test_a_function_that_changed_is_not_replaced() -> None:
    service = module()
    with pytest.raises(PatchError, match=r"service\.greet is not what MiniStack 1\.5\.33 has"):
        guard.replace(service, "greet", "000000000000", lambda original: original)
    assert service.greet is greet


def test_a_function_is_rewritten() -> None:
    service = module()
    guard.rewrite(service, "greet", guard.digest_of(greet), {'"hello "': "_word"}, _word="bye ")
    assert service.greet("ada") == "bye ada"


def test_a_piece_that_is_not_there_once_is_not_rewritten() -> None:
    service = module()
    with pytest.raises(
        PatchError, match=r"service\.greet of MiniStack 1\.5\.33 was to hold once, and does not: farewell"
    ):
        guard.rewrite(service, "greet", guard.digest_of(greet), {"farewell": "x"})
    with pytest.raises(PatchError, match="once"):
        guard.edited("a a", "text", {"a": "b"})
    assert service.greet is greet


def test_a_number_is_changed_if_it_is_what_it_was() -> None:
    service = module()
    guard.setting(service, "LIMIT", 10, 1)
    assert service.LIMIT == 1
    with pytest.raises(PatchError, match=r"service\.LIMIT of MiniStack 1\.5\.33 was to be 10, and is 1"):
        guard.setting(service, "LIMIT", 10, 1)
