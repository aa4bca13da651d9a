"""Events of SQS, as an event source mapping hands them to a function, and the answer it wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rota.aws.dispatcher import Delivered


def delivered(event: dict[str, Any]) -> list[Delivered]:
    """The messages of an event."""
    return [
        Delivered(
            row["messageId"],
            row["body"],
            int(row.get("attributes", {}).get("ApproximateReceiveCount", 1)),
            row.get("receiptHandle", ""),
        )
        for row in event.get("Records", ())
    ]


def answer(again: Sequence[str]) -> dict[str, Any]:
    """The partial batch response: these come again, the others are deleted."""
    return {"batchItemFailures": [{"itemIdentifier": one} for one in again]}
