"""Commands that the pages show without executing them, because they need AWS or do not end, are at least understood:
each names a command that there is, with options that it has."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.docs.pages import ROOT, blocks
from typer.main import get_command

from rota.cli.main import app

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def shown(page: Path) -> list[str]:
    """The commands of rota's in the page's blocks of sh, each on one line."""
    text = "".join(block.text for block in blocks(page) if block.language == "sh").replace("\\\n", " ")
    return re.findall(r"^(?:[A-Z_]+=\S+ )*(rota .*)$", text, re.MULTILINE)


COMMANDS = [(page, line) for page in PAGES for line in shown(page)]


def understand(line: str) -> None:
    """Raise what the command raises where it does not understand its line."""
    words = shlex.split(line, comments=True)[1:]
    words = words[: words.index("&")] if "&" in words else words
    command: Any = get_command(app)
    while hasattr(command, "commands"):
        assert words[0] in command.commands, f"there is no {words[0]!r}"
        command = command.commands[words.pop(0)]
    command.make_context("rota", words)


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[f"{page.stem}: {line[:40]}" for page, line in COMMANDS])
def test_a_command_that_is_not_executed_is_understood(page: Path, line: str) -> None:
    understand(line)


def test_there_are_such_commands() -> None:
    assert len(COMMANDS) > 10


@pytest.mark.parametrize("line", ["rota bathc start x", "rota deploy shop.py --colour red", "rota destroy", "rota at"])
def test_a_wrong_command_is_found(line: str) -> None:
    with pytest.raises((AssertionError, typer.TyperException)):
        understand(line)
