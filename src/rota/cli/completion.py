"""Completing schedule ids in the shell."""

from __future__ import annotations

import os

import typer

from rota import wiring
from rota.core.errors import RotaError

_MOST = 10_000


def complete_schedule(context: typer.Context, incomplete: str) -> list[str]:
    """Ids that begin with what is typed; none where the store cannot be read, for a shell has no place for errors."""
    url = context.params.get("url") or os.environ.get("ROTA_URL") or wiring.DEFAULT_URL
    try:
        if not wiring.split_url(url)[0].is_file():
            return []
        with wiring.connect(url) as client:
            rows = client.schedules.list(search=incomplete or None, limit=_MOST)
    except RotaError:
        return []
    return [row.id for row in rows if row.id.startswith(incomplete)]
