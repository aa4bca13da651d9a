"""Ids for what the user did not name."""

from __future__ import annotations

from typing import Protocol


class Ids(Protocol):
    """An implementer owes: ids that no other process draws either, allowed by `core.ids.check_id`."""

    def new(self) -> str: ...

    def new_many(self, n: int) -> list[str]: ...
