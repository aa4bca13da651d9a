"""Sends the messages of batch runs.

A chunk's message belongs to a lane, its number modulo the batch run's concurrency. SQS hands out one message of a lane
at a time, so that many chunks are worked on at once and no more, exactly, whatever else the stack does.
"""

from __future__ import annotations

from collections.abc import Sequence

from rota.aws.batch.map_plan import reader_of
from rota.aws.batch.messages import ChunkMessage, FinishMessage, LaterMessage, PlanMessage, encode_batch_message
from rota.aws.batch.settings import BatchSettings
from rota.aws.near import NearTier, Outgoing
from rota.core.batch import BatchRun
from rota.core.errors import InvalidError, StoreError


class Post:
    """near: any; what is sent here is due by its own delay."""

    def __init__(self, near: NearTier, settings: BatchSettings) -> None:
        self._near = near
        self._settings = settings

    def check(self, run: BatchRun) -> None:
        """InvalidError if the stack has not what the topology of `run` needs."""
        if run.spec.topology == "pipeline" and not self._settings.pipeline:
            allowed = "the stack has no pipeline; it gets one when a batch of the app names it and is deployed"
            raise InvalidError("topology", run.spec.topology, allowed)
        if run.spec.topology == "map":
            if not self._settings.machine:
                allowed = "the stack has no state machine; it gets one when a batch of the app names it and is deployed"
                raise InvalidError("topology", run.spec.topology, allowed)
            reader_of(run.spec)

    def chunks(self, run: BatchRun, messages: Sequence[ChunkMessage]) -> None:
        """Have these jobs done, each in its lane."""
        queue = self._settings.pipeline if run.spec.topology == "pipeline" else self._settings.chunks
        self._send([self._chunk(queue, run.spec.concurrency, message) for message in messages])

    def _chunk(self, queue: str, lanes: int, message: ChunkMessage) -> Outgoing:
        group = f"{message.run}#{message.job.chunk.number % lanes}"
        return Outgoing(queue, encode_batch_message(message), group=group, dedup=message.identity)

    def later(self, message: ChunkMessage, due: int) -> None:
        """Have this job done at `due` (epoch ms)."""
        self._send([Outgoing(self._settings.plan, encode_batch_message(LaterMessage(message, due)), due)])

    def plan(self, message: PlanMessage, due: int = 0) -> None:
        """Have a batch run planned, or planned on."""
        self._send([Outgoing(self._settings.plan, encode_batch_message(message), due)])

    def finish(self, run: str, due: int = 0) -> None:
        """Have it seen whether a batch run has come to its end, at `due` (epoch ms)."""
        self._send([Outgoing(self._settings.finalize, encode_batch_message(FinishMessage(run, due)), due)])

    def _send(self, messages: Sequence[Outgoing]) -> None:
        for refused in self._near.send(messages):
            queue = refused.message.queue
            raise StoreError(f"SQS refuses a message for {queue}: {refused.why}", queue=queue)
