"""The functions of a pipeline in this process: the queue of chunks starts workflows that retry, catch and bury."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
from tests.aws.batch.world import CHUNKS, SETTINGS, Killed, World

from rota.aws.batch.benches import Benches
from rota.aws.batch.dead import BatchDead
from rota.aws.batch.messages import ChunkMessage, decode_batch_message
from rota.aws.batch.pipe_dead import PipeDead
from rota.aws.batch.pipe_messages import Buried, Execution, Step, StepError, encode_execution, step_of
from rota.aws.batch.pipe_sink import PassingBenches
from rota.aws.batch.pipe_steps import PipeProcessor, PipeWriter, TransientError
from rota.aws.batch.post import Post
from rota.aws.batch.processor import Visit
from rota.aws.batch_cost import LARGEST_INLINE
from rota.aws.near import NearTier
from rota.aws.stack.pipe_states import pipeline_states
from rota.core.errors import StoreError
from rota.testing import Crash
from rota.testing.sqs import Held

STATES = pipeline_states("process", "write", "dead")["States"]


@dataclass
class PipeWorld(World):
    """inline: bytes that may travel in a state. buried: what workflows gave up. kept: copies for whoever looks into it.
    states: how long those before `Write` were."""

    inline: int = LARGEST_INLINE
    buried: list[Buried] = field(default_factory=list)
    kept: list[dict[str, Any]] = field(default_factory=list)
    states: list[int] = field(default_factory=list)
    attempts: int = 0
    chunks: str = CHUNKS

    def restart(self) -> None:
        super().restart()
        ledger = self.wrap(self.ledger)
        post = Post(NearTier(self.wrap(self.sqs), self.clock, threads=1, sleep=lambda _: None), SETTINGS)
        passing = PassingBenches(self.app.tasks, self.app.batches, self.patience)
        benches = Benches(self.app.tasks, self.app.batches, self.patience)
        self.processor = PipeProcessor(ledger, post, self.clock, passing, inline=self.inline)
        self.writer = PipeWriter(ledger, post, self.clock, benches)
        self.pipe_dead = PipeDead(ledger, post, self.processor, self.writer, self.kept.append)
        self.bury = _Bury(self, self.bury)  # type: ignore[assignment]

    def token(self) -> str:
        self.attempts += 1
        return f"attempt-{self.attempts}"

    def _handle(self, queue: str, held: Held) -> bool:
        if queue != CHUNKS:
            return super()._handle(queue, held)
        message = decode_batch_message(held.body)
        assert isinstance(message, ChunkMessage)
        event = msgspec.json.decode(encode_execution(Execution(message, held.received)))
        passed = self._state("Process", event)
        if passed:
            self.states.append(len(msgspec.json.encode({**event, "result": {"passed": passed}})))
            self._state("Write", {**event, "passed": passed})
        return True

    def _state(self, name: str, event: dict[str, Any]) -> str:
        """Enter a state of the workflow; answers what it passes on."""
        counts: dict[int, int] = {}
        while True:
            try:
                return self._invoke_step(name, step_of({**event, "retries": sum(counts.values())}))
            except (Crash, Killed):
                self.deaths += 1
                self.restart()
                error, cause = "Runtime.ExitError", "killed"
            except (TransientError, StoreError) as raised:
                error, cause = type(raised).__name__, str(raised)
            at = next(at for at, it in enumerate(STATES[name]["Retry"]) if {error, "States.ALL"} & {*it["ErrorEquals"]})
            counts[at] = counts.get(at, 0) + 1
            if counts[at] > STATES[name]["Retry"][at]["MaxAttempts"]:
                step = step_of(event)
                self.buried.append(Buried(step.message, StepError(error, cause), "execution"))
                self._until_dealt_with(self.buried[-1])
                return ""

    def _until_dealt_with(self, buried: Buried) -> None:
        body = msgspec.json.encode(buried).decode()
        for received in range(1, 100):
            try:
                self.pipe_dead.handle(body, self.token(), self._free(received))
                return
            except (TransientError, StoreError):
                continue
            except (Crash, Killed):
                self.restart()
        raise AssertionError("it comes again and again")

    def _free(self, received: int) -> Visit:
        return Visit(received, self._left, lambda _: None, lambda _: None)

    def _invoke_step(self, name: str, step: Step) -> str:
        if name == "Process":
            visit = self._free(step.received + step.retries)
            return self.processor.process(step.message, self.token(), visit) or ""  # type: ignore[attr-defined]
        self.writer.write(step.message, step.passed)
        return ""


class _Bury:
    """Deals with what was received too often."""

    def __init__(self, world: PipeWorld, others: BatchDead) -> None:
        self._world = world
        self._others = others

    def handle(self, body: str, visit: Visit) -> bool:
        if isinstance(decode_batch_message(body), ChunkMessage):
            self._world.pipe_dead.handle(body, self._world.token(), visit)
            return True
        return self._others.handle(body, visit)
