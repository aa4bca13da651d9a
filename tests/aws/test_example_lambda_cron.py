"""The example examples/lambda_cron, as its page says, and by its one command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.docs.pages import blocks
from tests.docs.session import Session

from rota.testing.emulator import Emulator

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/lambda_cron"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("report.py", "shop.py"):
        shutil.copy(EXAMPLE / name, tmp_path)
    return tmp_path


def test_its_page_does_what_it_says(place: Path, aws: Emulator) -> None:
    with Session(place) as session:
        for block in blocks(EXAMPLE / "README.md"):
            session.carry_out(block)
    runs = _runs(place)
    assert len(runs) == 5, "max_executions is 5"
    assert len({run["due"] for run in runs}) == 5
    for run in runs:
        assert run["state"] == "succeeded"
        assert run["late_ms"] >= 0
        assert run["value"] == {"shop": "Hamburg", "until": run["scheduled"], "sold": 119}
    assert aws.counts()["lambda.Invoke"].requests == 6, "five firings, and one by hand"


def test_one_command_runs_it_all(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ROTA_", "AWS_"))}
    environment = {**kept, "TMPDIR": str(tmp_path), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, str(EXAMPLE / "run.py")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("  succeeded  ") == 5
    assert "fired       5 of 5" in done.stdout
    assert "log group /aws/lambda/shop-report deleted" in done.stdout
    assert list(tmp_path.iterdir()) == [], "it tidies up"


def _runs(place: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "rota", "run", "list", "--json"], cwd=place, stdout=subprocess.PIPE, check=True
    )
    runs: list[dict[str, Any]] = json.loads(done.stdout)
    return runs
