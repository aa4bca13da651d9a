"""The example examples/map_json, as its page says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.docs.pages import blocks
from tests.docs.session import Session

from rota.testing.emulator import Emulator

PATIENCE = 300.0
EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "map_json"


@pytest.mark.slow
def test_its_page_does_what_it_says(tmp_path: Path, aws: Emulator) -> None:
    for name in ("prices.py", "put_orders.py"):
        shutil.copy(EXAMPLE / name, tmp_path)
    with Session(tmp_path, PATIENCE) as session:
        for block in blocks(EXAMPLE / "README.md"):
            # What is installed here runs here; the page says so.
            text = block.text.replace("rota deploy prices.py", "rota deploy prices.py --installed")
            session.carry_out(block._replace(text=text))
    assert aws.counts()["states.StartExecution"].requests == 3
