"""EventBridge buses: in stock the time of an event is when it came, whatever it says, and no bus has an ARN."""

from __future__ import annotations

from ministack.services import eventbridge

from rota.testing.emulator.guard import rewrite


def mend() -> None:
    """Patch what takes events and describes buses."""
    rewrite(
        eventbridge,
        "_put_events",
        "ebcda0f38061",
        {"event_time = int(_now_ts())": 'event_time = int(entry.get("Time", _now_ts()))'},
    )
    rewrite(
        eventbridge,
        "_describe_event_bus",
        "831b0ac1b2ef",
        {'data.get("Name", "default")': 'data.get("Name", "default").rpartition("/")[2]'},
    )
