"""Files stay small, and are named after an idea."""

from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 400
DRAWERS = {
    "base",
    "common",
    "constants",
    "functions",
    "helper",
    "helpers",
    "misc",
    "shared",
    "tools",
    "util",
    "utilities",
    "utils",
}
# The trigger protocol itself: the one thing called base that is an idea, and not a drawer.
NAMED_BASE = Path("src/rota/core/triggers/base.py")


def is_drawer(path: Path) -> bool:
    # On AWS, functions are what Lambda runs.
    drawers = DRAWERS - {"functions"} if "aws" in path.parts else DRAWERS
    return path != NAMED_BASE and bool({path.stem, *path.parent.parts} & drawers)


def python_files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            yield path.relative_to(ROOT)


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks", "examples", "scripts"])
def test_no_file_holds_two_ideas(folder: str) -> None:
    lengths = {str(path): len((ROOT / path).read_text().splitlines()) for path in python_files(folder)}
    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}


def test_no_drawers() -> None:
    paths = python_files("src", "tests", "benchmarks", "examples")
    assert [str(path) for path in paths if is_drawer(path)] == []
