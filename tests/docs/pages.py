"""The pages, and what in them can be executed.

A fenced block of `console` holds commands, each behind `$ `, and what they print; `console exits=1` says that they
fail. A block of `python` is executed, or saved if its first line is a comment with a file's name (`# shop.py`). Blocks
inside an HTML comment count too: that is how a page hides what has to be there before.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
ON_AWS = {ROOT / "docs/how-to/functions-on-the-fly.md"}
"""Pages that need AWS; tests/aws executes them, on the emulator."""
_FENCE = re.compile(r"^```(?P<language>\w*)[ ]*(?P<rest>.*)$")
_FILE = re.compile(r"# ([\w-]+\.py)\n")


class Command(NamedTuple):
    """A line of shell, and the lines that the page shows as its output."""

    text: str
    shown: tuple[str, ...]


class Block(NamedTuple):
    """A fenced block. line: where it begins. exits: the exit code that its commands have."""

    language: str
    line: int
    text: str
    exits: int

    @property
    def file(self) -> str | None:
        """The name of the file that the block is."""
        found = _FILE.match(self.text)
        return found[1] if found else None

    @property
    def commands(self) -> list[Command]:
        """The commands of a console block; a line that ends in a backslash goes on."""
        found: list[Command] = []
        goes_on = False
        for line in self.text.splitlines():
            if goes_on:
                text = f"{found[-1].text}\n{line}"
                found[-1] = Command(text, ())
            elif line.startswith("$ "):
                found.append(Command(line[2:], ()))
            else:
                assert found, f"output without a command at line {self.line}"
                found[-1] = Command(found[-1].text, (*found[-1].shown, line))
                continue
            goes_on = line.endswith("\\")
        return found


def blocks(page: Path) -> list[Block]:
    """Every fenced block of a page, in order."""
    found: list[Block] = []
    opened: tuple[str, str, int] | None = None
    lines: list[str] = []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = _FENCE.match(line)
        if opened is None and fence:
            opened, lines = (fence["language"], fence["rest"], number), []
        elif opened is not None and line == "```":
            exits = re.fullmatch(r"exits=(\d+)", opened[1])
            found.append(Block(opened[0], opened[2], "".join(f"{it}\n" for it in lines), int(exits[1]) if exits else 0))
            opened = None
        else:
            lines.append(line)
    assert opened is None, f"{page}: a block does not end"
    return found


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
