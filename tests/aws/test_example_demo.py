"""`make demo-aws`, with few one-offs, on a terminal of 80 columns."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo_aws" / "run.py"
PATIENCE = 300


@pytest.mark.slow
def test_the_demo_tells_its_whole_story_on_a_narrow_terminal(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ROTA_", "AWS_"))}
    done = subprocess.run(
        [sys.executable, str(DEMO)],
        cwd=tmp_path,
        env={**kept, "COLUMNS": "80", "ROTA_DEMO_ONE_OFFS": "10", "ROTA_DEMO_SECONDS": "3"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    said = done.stdout
    assert done.returncode == 0, f"{said}\n{done.stderr}"
    assert "10 one-offs stored" in said
    assert "0 came twice" in said
    assert "the payment service is mended" in said
    assert re.search(r"a stack in which nothing fires:\n  CloudWatch [\d.]+, SQS [\d.]+, DynamoDB [\d.]+, Lambda", said)
    assert "left out for want of width: Lambda" not in said + done.stderr
    assert "nothing is left" in said
