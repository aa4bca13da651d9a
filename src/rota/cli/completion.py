"""Completing what the shell cannot know: ids, and the values that an option allows."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import typer

from rota import wiring
from rota.client import Client
from rota.core.errors import RotaError

_MOST = 10_000
_RECENT = 500


def complete_schedule(context: typer.Context, incomplete: str) -> list[str]:
    """Ids of schedules that begin with what is typed."""
    return _complete(
        context,
        incomplete,
        lambda client: [row.id for row in client.schedules.list(search=incomplete or None, limit=_MOST)],
    )


def complete_run(context: typer.Context, incomplete: str) -> list[str]:
    """Ids of the latest runs that begin with what is typed."""
    schedule = incomplete.partition("@")[0] if "@" in incomplete else None
    return _complete(
        context,
        incomplete,
        lambda client: [record.id for record in client.runs.list(schedule=schedule, limit=_RECENT)],
    )


def choice(flag: str, help: str, *values: str) -> Any:  # noqa: A002 Typer's word
    """An option that allows these values, which are named where `help` has {} and complete what is typed."""

    def complete(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return typer.Option(flag, help=help.format(f"{', '.join(values[:-1])} or {values[-1]}"), autocompletion=complete)


def _complete(context: typer.Context, incomplete: str, ask: Callable[[Client], list[str]]) -> list[str]:
    """None where the store cannot be read, for a shell has no place for errors."""
    url = context.params.get("url") or os.environ.get("ROTA_URL") or wiring.DEFAULT_URL
    try:
        if not wiring.split_url(url)[0].is_file():
            return []
        with wiring.connect(url) as client:
            ids = ask(client)
    except RotaError:
        return []
    return [id for id in ids if id.startswith(incomplete)]
