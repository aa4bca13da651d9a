"""A dispatcher that fell behind catches up: what it does about late ticks does not add to what is late."""

from __future__ import annotations

from tests.aws.firing.world import DISPATCH, HOOK, SECOND, Stack

from rota.aws.dispatcher import Delivered
from rota.core.triggers import Every


def test_late_ticks_do_not_send_all_open_runs_again_and_again() -> None:
    stack = Stack()
    stack.client.schedules.create("often", Every("1s"), HOOK, overlap="allow", misfire="all")
    stack.feed()
    stack.clock.advance(100 * SECOND)
    late = stack.sqs.due(DISPATCH, visibility=3600)
    assert len(late) >= 100
    dispatcher = stack.dispatcher()
    for held in late:
        assert dispatcher.handle([Delivered(held.id, held.body)], lambda: 60_000) == []
        stack.sqs.delete(DISPATCH, held)
    assert len(stack.sqs.held[DISPATCH]) < 500, "messages for the runs of a hundred ticks"
