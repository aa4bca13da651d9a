"""An endpoint that is not public is called only if its schedule says so."""

from __future__ import annotations

import pytest
from tests.cli.command import Command

HOOK = "http://127.0.0.1:8000/hook"


@pytest.mark.parametrize(
    "command", [("schedule", "create", "x", HOOK, "--every", "1h"), ("at", "2090-01-01T00Z", HOOK)]
)
def test_it_is_refused_at_once_and_says_what_permits_it(rota: Command, command: tuple[str, ...]) -> None:
    assert "--allow-private" in rota.refused(command)
    rota(*command, "--allow-private")


def test_a_schedule_shows_and_changes_the_permission(rota: Command) -> None:
    rota("schedule", "create", "x", "http://intranet.example/", "--every", "1h")
    rota.refused(("schedule", "update", "x", "--target", HOOK, "--yes"))
    rota("schedule", "update", "x", "--target", HOOK, "--allow-private", "--yes")
    assert f"{HOOK}, private addresses allowed\n" in rota("schedule", "show", "x")
    rota("schedule", "update", "x", "--method", "PUT", "--yes")
    assert f"PUT {HOOK}, private addresses allowed\n" in rota("schedule", "show", "x")
    rota.refused(("schedule", "update", "x", "--no-allow-private", "--yes"))
