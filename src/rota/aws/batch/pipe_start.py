"""Starts the workflow of a chunk, and waits for it: only then is the message acknowledged.

So a workflow that is lost, by whatever cause, is started again; the lanes of the queue hold, since a lane stands still
while its workflow runs; and it is the same for a workflow as for a function that an item kills.
"""

from __future__ import annotations

import logging
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from rota.aws.batch.pipe_messages import Execution, chunk_message, encode_execution
from rota.aws.batch.processor import Visit

log: logging.Logger = logging.getLogger("rota.batch")
_LONGEST_WAIT = 120


class Starter:
    """states: a boto3 client that repeats nothing. machine: ARN of the workflow."""

    def __init__(self, states: Any, machine: str) -> None:
        self._states = states
        self._machine = machine

    def handle(self, body: str, visit: Visit) -> bool:
        """Run the workflow of a message; False if it must come again, which it does later and later. InvalidError for
        what is no chunk's message."""
        if self._run(encode_execution(Execution(chunk_message(body), visit.received))):
            return True
        visit.put_back(min(_LONGEST_WAIT, 2**visit.received))
        return False

    def _run(self, execution: str) -> bool:
        try:
            answer = self._states.start_sync_execution(stateMachineArn=self._machine, input=execution)
        except (BotoCoreError, ClientError) as error:
            log.warning("a workflow could not be started: %s", error)
            return False
        if answer["status"] != "SUCCEEDED":
            said = answer.get("error") or answer["status"]
            log.warning("a workflow ended as %s: %s", said, answer.get("cause", ""))
            return False
        return True
