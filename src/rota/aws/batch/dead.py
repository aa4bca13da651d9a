"""What planner, processors and finalizer could not deal with, however often it was received: it counts all the same, so
that a batch run always ends.

The items of a chunk become dead letters, which a redrive brings back; a batch run that cannot be planned, or a chunk
that cannot even be counted, has failed; results that cannot be finished stay as parts.
"""

from __future__ import annotations

import logging

from rota.aws.batch.finalizer import Finalizer
from rota.aws.batch.ledger import Ledger, find
from rota.aws.batch.messages import ChunkMessage, EndedMessage, FinishMessage, LaterMessage, decode_batch_message
from rota.aws.batch.post import Post
from rota.aws.batch.processor import Processor, Visit
from rota.aws.batch.verdicts import decide_failed

log: logging.Logger = logging.getLogger("rota.batch")
UNPLANNED = "it could not be planned: the planner failed each time; its log tells why"


class BatchDead:
    """processor, finalizer: with what they need to end things."""

    def __init__(self, ledger: Ledger, post: Post, processor: Processor, finalizer: Finalizer) -> None:
        self._ledger = ledger
        self._post = post
        self._processor = processor
        self._finalizer = finalizer

    def handle(self, body: str, visit: Visit) -> bool:
        """Deal with a message; False if it must come again. StoreError likewise."""
        message = decode_batch_message(body)
        log.error("a message was received too often: %s", body)
        if isinstance(message, ChunkMessage):
            return self._processor.give_up(message, visit)
        if isinstance(message, LaterMessage):
            return self._late(message.message, visit)
        if isinstance(message, FinishMessage):
            self._finalizer.give_up(message)
            return True
        if isinstance(message, EndedMessage):
            # If it has left its batch run open, the sweeper sees that.
            return True
        run = find(self._ledger, message.key)
        if run is not None and run.state in ("pending", "running"):
            decide_failed(self._ledger, self._post, run, UNPLANNED)
        return True

    def _late(self, message: ChunkMessage, visit: Visit) -> bool:
        """A pipeline keeps results where its own functions alone find them, so it has to end the chunk itself."""
        run = find(self._ledger, message.key)
        if run is None or run.spec.topology != "pipeline":
            return self._processor.give_up(message, visit)
        self._post.chunks(run, [message])
        return True
