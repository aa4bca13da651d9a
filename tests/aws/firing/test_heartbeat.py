"""A message is hidden as long as somebody works on it, and no longer."""

from __future__ import annotations

import threading

from rota.aws.heartbeat import Heartbeat
from rota.aws.holding import HELD


def test_it_beats_while_the_work_goes_on_and_stops_with_it() -> None:
    held: list[int] = []
    thrice = threading.Event()

    def hold(seconds: int) -> None:
        held.append(seconds)
        if len(held) >= 3:
            thrice.set()

    with Heartbeat(hold, first=0, every=0.001):
        assert thrice.wait(60)
    beaten = len(held)
    assert set(held) == {HELD}
    assert not any(thread.name == "rota-heartbeat" for thread in threading.enumerate())
    assert len(held) == beaten


def test_short_work_costs_no_request_and_a_failed_one_ends_nothing() -> None:
    held: list[int] = []
    with Heartbeat(held.append, first=60):
        pass
    assert held == []
    failed = threading.Event()

    def hold(_seconds: int) -> None:
        failed.set()
        raise ConnectionError("not now")

    with Heartbeat(hold, first=0, every=0.001):
        assert failed.wait(60)


def test_nobody_hides_a_message_for_longer_than_it_can_be_kept_hidden() -> None:
    held: list[int] = []
    with Heartbeat(held.append, first=60) as heart:
        heart.hold(300)
        heart.hold(4)
    assert held == [HELD, 4]
