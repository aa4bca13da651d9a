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
# What is called so because it is that idea, and not a drawer: the trigger protocol itself, and Lambda functions.
IDEAS = {
    Path("src/rota/core/triggers/base.py"),
    Path("src/rota/aws/functions.py"),
    Path("src/rota/aws/stack/functions.py"),
}


def python_files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            yield path.relative_to(ROOT)


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks", "examples", "scripts"])
def test_no_file_holds_two_ideas(folder: str) -> None:
    lengths = {str(path): len((ROOT / path).read_text().splitlines()) for path in python_files(folder)}
    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}


def test_no_drawers() -> None:
    names = {path: {path.stem, *path.parent.parts} for path in python_files("src", "tests", "benchmarks", "examples")}
    assert [str(path) for path, words in names.items() if words & DRAWERS and path not in IDEAS] == []
