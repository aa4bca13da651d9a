"""Rules of the security scan that a resource breaks on purpose, each with its reason beside the resource."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]


def on_purpose(reasons: Mapping[str, str]) -> Json:
    """The Metadata that tells the scanner which rules to leave out, and the reader why."""
    return {"checkov": {"skip": [{"id": rule, "comment": reason} for rule, reason in sorted(reasons.items())]}}
