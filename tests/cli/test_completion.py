"""What the shell is told when the user presses Tab."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.cli.command import Command


def completed(rota: Command, line: str) -> list[str]:
    """The completions of the last word of `line`."""
    environment = {
        **os.environ,
        "ROTA_URL": rota.url,
        "_ROTA_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    command = [Path(sys.executable).parent / "rota"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.split()


def test_ids(rota: Command) -> None:
    assert completed(rota, "rota schedule show n") == []
    assert not rota.database.exists()
    for name in ("nightly", "noon", "weekly"):
        rota("schedule", "create", name, "queue:q", "--every", "1h")
    run = rota("schedule", "trigger", "noon").strip()
    assert completed(rota, "rota schedule show n") == ["nightly", "noon"]
    assert completed(rota, "rota run list --schedule w") == ["weekly"]
    assert completed(rota, "rota run show n") == [run]
    assert completed(rota, "rota dead redrive noon@") == [run]


def test_values_of_options(rota: Command) -> None:
    assert completed(rota, "rota schedule create x queue:q --overlap queue") == ["queue_one", "queue_all"]
    assert completed(rota, "rota schedule update x --misfire o") == ["once"]
    assert completed(rota, "rota run list --state s") == ["succeeded"]
