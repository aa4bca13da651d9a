"""The embedded engine's settings: one struct, validated once, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from rota.core.errors import InvalidError
from rota.core.limits import check_number
from rota.embedded.sqlite.connection import Durability


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """workers: threads for tasks. async_limit: coroutines at once. durability: "power" syncs every acknowledged
    write, "process" survives `kill -9` but not power loss. retention: seconds that finished runs and ledger rows are
    kept; batch runs with dead letters stay until they are purged. grace: seconds that stopping waits for running tasks.
    horizon: seconds ahead that the near tier looks. near_limit: how many runs, and how many schedules, it holds at
    most."""

    workers: int = 10
    async_limit: int = 1000
    durability: Durability = "power"
    retention: float = 30 * 86400.0
    grace: float = 30.0
    horizon: float = 1.5
    near_limit: int = 10_000

    def __post_init__(self) -> None:
        check_number("workers", self.workers, 1, 1000, whole=True)
        check_number("async_limit", self.async_limit, 1, 100_000, whole=True)
        check_number("retention", self.retention, 60, 1e10)
        check_number("grace", self.grace, 0, 86_400)
        check_number("horizon", self.horizon, 0.1, 60)
        check_number("near_limit", self.near_limit, 100, 1_000_000, whole=True)
        if self.durability not in ("power", "process"):
            raise InvalidError("durability", self.durability, "'power' or 'process'")


def read_settings(texts: Mapping[str, str], given: Mapping[str, Any]) -> Settings:
    """Settings from the options of a URL and from keyword arguments, which win. InvalidError names what is wrong."""
    known = Settings.__struct_fields__
    for name in (*texts, *given):
        if name not in known:
            raise InvalidError("setting", name, "one of " + ", ".join(known))
    merged: dict[str, Any] = {}
    for name, text in texts.items():
        try:
            number = int if name in ("workers", "async_limit", "near_limit") else float
            merged[name] = text if name == "durability" else number(text)
        except ValueError:
            raise InvalidError(name, text, "a number") from None
    return Settings(**{**merged, **given})
