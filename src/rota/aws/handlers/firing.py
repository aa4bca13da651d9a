"""How the dispatcher and the worker take the messages of an event: hidden while they work on them."""

from __future__ import annotations

from typing import Any

from rota.aws.dispatcher import Dispatcher
from rota.aws.handlers.receiving import answer, delivered
from rota.aws.handlers.setting import Context, began, figures, parts
from rota.aws.heartbeat import Heartbeat
from rota.aws.receipts import Receipts


def dealt(event: dict[str, Any], context: Context, queue: str, dispatcher: Dispatcher) -> dict[str, Any]:
    """Have `dispatcher` deal with the messages of an SQS event from `queue` (a URL), which are hidden meanwhile;
    answers those that must come again."""
    began(context)
    messages, left = delivered(event), context.get_remaining_time_in_millis
    receipts = Receipts(parts().sqs, queue, messages, left() // 1000)
    with Heartbeat(lambda _: receipts.hide(), first=0):
        again = dispatcher.handle(messages, left)
    receipts.put_back(again)
    figures().flush()
    return answer(again)
