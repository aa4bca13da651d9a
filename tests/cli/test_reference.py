"""The reference of the command names every command and every option, and the commands in it work."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.command import Command
from typer.main import get_command

from rota.cli.main import app

REFERENCE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md").read_text()


def commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name, child in children.items():
        yield from commands(child, (*path, name))


EVERY = list(commands(get_command(app), ("rota",)))


@pytest.mark.parametrize(("path", "command"), EVERY, ids=[" ".join(path) for path, _ in EVERY])
def test_every_command_and_option_is_in_the_reference(path: tuple[str, ...], command: Any) -> None:
    *groups, name = path
    assert re.search(
        rf"`{' '.join(path)}\b|^#+ {' '.join(path)}\b|^{' '.join(groups)} +.*\b{name}\b", REFERENCE, re.MULTILINE
    )
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    assert [option for option in options if not re.search(rf"`{option}\b", REFERENCE)] == []


def test_the_overview_names_every_group_and_its_commands() -> None:
    overview = re.search(r"```text\n(.*?)```", REFERENCE, re.DOTALL)
    assert overview is not None
    shown = {line.split()[1]: set(re.findall(r"\w+", line)[2:]) for line in overview[1].splitlines()}
    assert {path[1] for path, _ in EVERY} == set(shown)
    for path, _ in EVERY:
        assert set(path[2:]) <= shown[path[1]]


def test_every_command_answers_in_json() -> None:
    assert [
        path for path, command in EVERY if not any("--json" in parameter.opts for parameter in command.params)
    ] == []


def test_every_command_that_needs_a_store_takes_a_url() -> None:
    without = {path[1] for path, command in EVERY if not any("--url" in it.opts for it in command.params)}
    assert without == {"cost", "cron", "deploy", "destroy", "emulator", "function", "synth"}


def test_the_commands_in_the_reference_work(rota: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```console\n(.*?)```", REFERENCE, re.DOTALL)
    lines = [line.removeprefix("$ rota ") for block in blocks for line in block.splitlines()]
    assert len(lines) > 20
    for line in lines:
        rota(*shlex.split(line))
