"""Deals with the messages that a function of batch runs is handed, one by one, and says which come again.

Each time that a message is hidden is a request (see `rota.aws.heartbeat`), which would cost a chunk of milliseconds
half as much again of SQS. Therefore a message is hidden at once unless the one before, in the same environment, was
short: what follows one that was, once it turns out to be long. Healthy short messages pay one request for each
environment, and longer ones less than a fiftieth of what the time of the function costs. Only the death of a warm
environment, behind a short message and within its first moments, waits for the visibility timeout; whatever kills
functions as they start, or a second time, does not.

Only what nobody can ever read is dropped. Whatever else goes wrong, an app that cannot be loaded or settings that are
missing as much as an outage, brings the message back, later and later, until it lies in a dead-letter queue, whose
consumer counts it in the ledger.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from rota.aws.batch.messages import UnreadableError
from rota.aws.batch.processor import Visit
from rota.aws.heartbeat import Heartbeat
from rota.aws.holding import PATIENCE, comes_again

log: logging.Logger = logging.getLogger("rota.batch")
Deal = Callable[[str, Visit], object]
"""Deals with the body of a message; False if it must come again."""
Hold = Callable[[str, int], None]
"""Hides the message of a receipt handle for so many seconds from now."""


class Deliveries:
    """What one environment of a function is handed. hold: hides messages. patience: seconds after which work on a
    message counts as long. clock: seconds that only grow."""

    def __init__(self, hold: Hold, patience: float = PATIENCE, clock: Callable[[], float] = time.monotonic) -> None:
        self._hold = hold
        self._patience = patience
        self._clock = clock
        self._was_short = False

    def deliver(self, records: Iterable[dict[str, Any]], left: Callable[[], int], deal: Deal) -> list[str]:
        """Deal with the records of an SQS event; answers the ids of those that must come again. left: milliseconds that
        the function may still take."""
        again = []
        for row in records:
            began = self._clock()
            if not self._is_done(row, left, deal):
                again.append(row["messageId"])
            self._was_short = self._clock() - began < self._patience
        return again

    def _is_done(self, row: dict[str, Any], left: Callable[[], int], deal: Deal) -> bool:
        received = int(row.get("attributes", {}).get("ApproximateReceiveCount", 1))

        def hold(seconds: int) -> None:
            self._hold(row.get("receiptHandle", ""), max(0, seconds))

        heart = Heartbeat(hold, self._patience if self._was_short and received < 2 else 0)
        try:
            with heart:
                return deal(row["body"], Visit(received, left, heart.hold, heart.put_back)) is not False
        except UnreadableError as error:
            # The log keeps what it was.
            log.error("a message is dropped: %s", error)  # noqa: TRY400 the error says all
            return True
        except Exception:
            log.exception("a message comes again: %s", row["body"])
            with suppress(ClientError, BotoCoreError):
                hold(comes_again(received))
            return False
