"""What the pages say, happens."""

from pathlib import Path

import pytest
from tests.docs.likeness import Likeness
from tests.docs.pages import ON_AWS, ROOT, blocks
from tests.docs.session import Session

# The commands in the reference of the command are executed by tests/cli.
PAGES = [
    ROOT / "README.md",
    ROOT / "docs/tutorial.md",
    *sorted({*(ROOT / "docs/how-to").glob("*.md")} - ON_AWS),
    ROOT / "docs/reference/api.md",
    ROOT / "docs/reference/triggers.md",
]
EXECUTED = ("console", "python")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    found = [block for block in blocks(page) if block.language in EXECUTED]
    assert found, "nothing in this page can be executed"
    with Session(tmp_path) as session:
        for block in found:
            session.carry_out(block)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("sent to orders", "sent to orders\n"),
        ("a at 2026-11-21T09:00:00Z failed after 3 ms", "a at 2027-03-05T01:02:03.456Z failed after 1.5 s"),
        ("it started on time", "it started 12 ms late"),
        ("paused by ada@shop (the \u2026)", "paused by root@3f2a (the \u2026)"),
        ("first\n...\nlast", "first\nbetween\nlast\n"),
        ("one  two", "one     two"),
    ],
)
def test_what_varies_is_alike(shown: str, printed: str) -> None:
    assert Likeness().holds(shown.splitlines(), printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("sent to orders", "sent to invoices"),
        ("fired at 2030-01-01T00:00:00Z", "fired at 2030-01-01T00:00:01Z"),
        ("first", "first\nsecond"),
        ("first\n...", "second"),
        ("fired 3", "fired 4"),
    ],
)
def test_what_differs_is_not_alike(shown: str, printed: str) -> None:
    assert not Likeness().holds(shown.splitlines(), printed)


def test_later_commands_name_what_was_printed() -> None:
    likeness = Likeness()
    assert likeness.holds(["a@2026-11-21T09:00:00Z  failed"], "a@2027-03-05T01:02:03Z  failed")
    assert likeness.meant("rota run show a@2026-11-21T09:00:00Z") == "rota run show a@2027-03-05T01:02:03Z"
    assert likeness.meant("rota cron next --after 2030-01-01") == "rota cron next --after 2030-01-01"
    with pytest.raises(AssertionError, match="before the page shows it"):
        likeness.meant("rota run show a@2026-11-21T09:00:01Z")
