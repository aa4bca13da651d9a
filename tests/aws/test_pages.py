"""What the pages about AWS say, happens on the emulator."""

from pathlib import Path

import pytest
from tests.docs.pages import ON_AWS, blocks
from tests.docs.session import Session

from rota.testing.emulator import Emulator


@pytest.mark.parametrize("page", sorted(ON_AWS), ids=lambda page: page.stem)
def test_page_does_what_it_says(page: Path, aws: Emulator, tmp_path: Path) -> None:
    with Session(tmp_path) as session:
        for block in blocks(page):
            session.carry_out(block)
