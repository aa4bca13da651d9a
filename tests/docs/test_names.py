"""Pages name only what exists, and every setting has its row. That every command, option and public name is in the
reference is held by tests/cli and tests/architecture."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from tests.docs.pages import ROOT

import rota
from rota.cli.main import app
from rota.embedded.settings import Settings

PAGES = sorted({ROOT / "README.md", *(ROOT / "docs").rglob("*.md")})
PARTS = {"aws", "core", "connectors", "testing"}
"""Packages that pages may name besides the front door."""


def commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Every command and group."""
    yield name, command
    for word, part in getattr(command, "commands", {}).items():
        yield from commands(f"{name} {word}", part)


COMMANDS = dict(commands("rota", typer.main.get_command(app)))
OPTIONS = {option for command in COMMANDS.values() for parameter in command.params for option in parameter.opts}


def code(page: Path) -> str:
    """What stands as code on a page, spans and blocks."""
    return "\n".join(re.findall(r"^```.*?^```$|`[^`\n]+`", page.read_text(), re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page: Path) -> None:
    wrong = []
    for words, rest in re.findall(r"(?:^|[`$/] ?)\brota ([a-z]+(?: [a-z]+)?)([^`\n]*)", code(page), re.MULTILINE):
        known = next((it for it in (f"rota {words}", f"rota {words.split()[0]}") if it in COMMANDS), None)
        group = known is not None and hasattr(COMMANDS[known], "commands")
        if known is None or (group and known != f"rota {words}"):
            wrong.append(f"rota {words}")
        wrong += [option for option in re.findall(r"(?<!\S)--[a-z][\w-]+", rest) if option not in OPTIONS]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_public_names_exist(page: Path) -> None:
    names = re.findall(r"(?<![\w./-])rota\.([A-Za-z_]+)\b(?!\.log)", re.sub(r"rota\.db\b", "", code(page)))
    assert sorted(set(names) - set(rota.__all__) - PARTS) == []


@pytest.mark.parametrize("field", msgspec.structs.fields(Settings), ids=lambda field: str(field.name))
def test_every_setting_is_documented_with_its_default(field: msgspec.structs.FieldInfo) -> None:
    lines = (ROOT / "docs/reference/settings.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith(f"| `{field.name}` |")]
    assert len(rows) == 1, f"{field.name} has no row in docs/reference/settings.md"
    default = f"{field.default:.12g}" if isinstance(field.default, float) else str(field.default)
    assert f"| {default} " in rows[0].replace(",", "").replace("`", ""), f"the default of {field.name} is {default}"
