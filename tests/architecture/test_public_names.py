"""Every public name is in the reference."""

import re
from pathlib import Path

import pytest

import rota

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"


@pytest.fixture(scope="module")
def reference() -> str:
    return "\n".join(page.read_text() for page in sorted(REFERENCE.glob("**/*.md")))


def test_every_public_name_is_documented(reference: str) -> None:
    missing = [name for name in rota.__all__ if not re.search(rf"`[^`\n]*\b{re.escape(name)}\b", reference)]
    assert missing == [], "not in docs/reference (as code)"


def test_public_names_are_sorted_out() -> None:
    assert len(set(rota.__all__)) == len(rota.__all__)
    assert [name for name in rota.__all__ if not hasattr(rota, name)] == []
