"""The messages of one event, which the dispatcher or the worker has in hand: hidden while it works, and put back if
they must come again.

All of an event are hidden by one request, as soon as they are there, and again every ten seconds. So a batch of
messages costs three requests of SQS instead of two, for which what a dead function had in hand is back within half a
minute rather than after the visibility timeout. Unlike chunks, they are never left without: most firings are short, so
that the gap would be the rule. What a function answers that must come again does so later and later, so that an
outage of minutes does not use up its deliveries.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from rota.aws.dispatcher import Delivered
from rota.aws.holding import HELD, comes_again

log: logging.Logger = logging.getLogger("rota.receipts")


class Receipts:
    """sqs: a boto3 client. queue: the URL where the messages come from, at most ten. most: seconds that the function
    may take; nothing is hidden for longer at a time while it works, since it would be dead by then."""

    def __init__(self, sqs: Any, queue: str, messages: Sequence[Delivered], most: int) -> None:
        self._sqs = sqs
        self._queue = queue
        self._messages = [message for message in messages if message.receipt]
        self._held = max(1, min(HELD, most))

    def hide(self) -> None:
        """Hide all of them for half a minute from now. Raises what botocore raises."""
        self._change(dict.fromkeys(self._messages, self._held))

    def put_back(self, ids: Collection[str]) -> None:
        """Have these come again. Should that fail, they come when their visibility is over."""
        again = {it: comes_again(it.received, self._held) for it in self._messages if it.id in ids}
        try:
            self._change(again)
        except (ClientError, BotoCoreError) as error:
            log.warning("%d messages could not be put back: %s", len(again), error)

    def _change(self, hidden: Mapping[Delivered, int]) -> None:
        """Hide messages for so many seconds from now."""
        if not hidden:
            return
        entries = [
            {"Id": str(number), "ReceiptHandle": message.receipt, "VisibilityTimeout": seconds}
            for number, (message, seconds) in enumerate(hidden.items())
        ]
        answer = self._sqs.change_message_visibility_batch(QueueUrl=self._queue, Entries=entries)
        for failed in answer.get("Failed", ()):
            log.warning("a message could not be hidden: %s", failed.get("Message") or failed.get("Code"))
