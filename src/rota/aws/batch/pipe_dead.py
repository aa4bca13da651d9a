"""What a pipeline could not do, however often: messages whose workflow never came to an end, and what the workflow
itself gave up. It is kept for who wants to look into it, and counted, so that a batch run always ends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from rota.aws.batch.ledger import Ledger, find
from rota.aws.batch.pipe_messages import Buried, buried_of
from rota.aws.batch.pipe_steps import PipeProcessor, PipeWriter, TransientError
from rota.aws.batch.post import Post
from rota.aws.batch.processor import Visit
from rota.aws.batch.verdicts import decide_failed
from rota.core.errors import StoreError
from rota.processing.marks import ATTEMPTS

log: logging.Logger = logging.getLogger("rota.batch")
_CAUSE = 1000


class PipeDead:
    """keep: puts a copy where dead letters are kept for consumers."""

    def __init__(
        self,
        ledger: Ledger,
        post: Post,
        processor: PipeProcessor,
        writer: PipeWriter,
        keep: Callable[[dict[str, Any]], None],
    ) -> None:
        self._ledger = ledger
        self._post = post
        self._processor = processor
        self._writer = writer
        self._keep = keep

    def handle(self, body: str, token: str, visit: Visit) -> None:
        """Count the items of a message as dead. Raises TransientError and StoreError if it must come again."""
        buried = buried_of(body)
        message = buried.message
        why = _why(buried)
        log.error("%s: chunk %d is given up: %s", message.run, message.job.chunk.number, why)
        if visit.received == 1:
            self._keep({"batch_run": message.run, "chunk": msgspec.to_builtins(message.job.chunk), "error": why})
        try:
            passed = self._processor.bury(message, token, visit, why)
            if passed is not None:
                self._writer.write(message, passed)
        except (TransientError, StoreError):
            run = find(self._ledger, message.key)
            if run is None or visit.received < ATTEMPTS:
                raise
            decide_failed(self._ledger, self._post, run, f"chunk {message.job.chunk.number} cannot be written: {why}")


def _why(buried: Buried) -> str:
    """The error and what it says, as far as a function says it in the form of Lambda's."""
    error = buried.error
    try:
        said = msgspec.json.decode(error.cause).get("errorMessage", "")
    except (msgspec.DecodeError, AttributeError):
        said = error.cause
    return f"{error.error}: {said}"[:_CAUSE]
