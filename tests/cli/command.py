"""The command `rota` as a user types it, on a database of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from rota.cli.main import app

WIDE = {"COLUMNS": "400", "TERM": "dumb"}


class Command:
    """database: the file behind --url, which every call is given through the environment."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "rota.db"
        self.url = f"sqlite:///{self.database}"
        self.out = ""
        self.err = ""

    def __call__(self, *arguments: str, exit_code: int = 0, width: int | None = None, stdin: str = "") -> str:
        """Run it; answers what it printed to stdout."""
        environment = {**WIDE, "ROTA_URL": self.url, "ROTA_APP": ""}
        if width is not None:
            environment["COLUMNS"] = str(width)
        result = CliRunner().invoke(app, list(arguments), env=environment, input=stdin)
        self.out, self.err = result.stdout, result.stderr
        assert result.exit_code == exit_code, (
            f"{arguments}: {result.exit_code}\n{self.out}\n{self.err}\n{result.exception}"
        )
        return self.out

    def json(self, *arguments: str) -> Any:
        """Run it with --json; answers the value."""
        return json.loads(self(*arguments, "--json"))

    def stores_nothing(self) -> bool:
        """Whether there is neither a schedule nor a run."""
        return not self.database.exists() or (self.json("schedule", "list"), self.json("run", "list")) == ([], [])

    def refused(self, arguments: Sequence[str], exit_code: int = 2) -> str:
        """Run it; it must fail with one line. Answers that."""
        self(*arguments, exit_code=exit_code)
        assert self.out == ""
        (line,) = self.err.strip().splitlines()
        assert line.startswith("rota: error: ")
        return line.removeprefix("rota: error: ")
