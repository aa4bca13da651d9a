"""The workflow of a pipeline as data, what travels through it, and who starts and buries it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError
from tests.aws.batch.pipe_world import PipeWorld
from tests.aws.batch.test_engine import check, shop
from tests.aws.batch.world import PLAN, client_error

from rota.aws.batch.messages import ChunkMessage, FinishMessage, encode_batch_message
from rota.aws.batch.pipe_messages import LARGEST_STATE, Execution, buried_of, encode_execution, step_of
from rota.aws.batch.pipe_start import Starter
from rota.aws.batch.processor import Visit
from rota.aws.stack.pipe_states import PROCESS_SECONDS, WHOLE_SECONDS, WRITE_SECONDS, pipeline_states
from rota.core.chunk import Chunk, Origin
from rota.core.errors import InvalidError
from rota.core.isolation import Stretch
from rota.processing.jobs import Job, Redo

MACHINE = pipeline_states("process", "write", "dead")
STATES: dict[str, Any] = MACHINE["States"]
EXPRESS_SECONDS = 300
CHUNK = Chunk(7, Origin("s3://bucket/" + "k" * 1000, "e" * 60, 10**12), 10**11, 10**11 + 10**6)
MESSAGE = ChunkMessage("orders@2026-11-21T09:00:00Z", Job(0, "whole", CHUNK))


def test_every_state_is_reached_and_leads_somewhere() -> None:
    found, waiting = set[str](), [MACHINE["StartAt"]]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            state = STATES[name]
            following = [state.get("Next"), state.get("Default")]
            following += [it["Next"] for it in (*state.get("Choices", ()), *state.get("Catch", ()))]
            waiting += [it for it in following if it]
            assert any(following) or state["Type"] == "Succeed"
    assert found == set(STATES)


@pytest.mark.parametrize("name", ["Process", "Write", "Bury"])
def test_every_task_is_retried_with_backoff_jitter_and_an_end(name: str) -> None:
    retries = STATES[name]["Retry"]
    for one in retries:
        assert (one["BackoffRate"], one["JitterStrategy"]) == (2, "FULL")
        assert one["IntervalSeconds"] <= one["MaxDelaySeconds"] <= 20
    assert retries[-1]["ErrorEquals"] == ["States.ALL"]
    assert all("States.ALL" not in one["ErrorEquals"] for one in retries[:-1])
    if name != "Bury":
        assert "TransientError" in retries[1]["ErrorEquals"]
        [catch] = STATES[name]["Catch"]
        assert (catch["ErrorEquals"], catch["Next"]) == (["States.ALL"], "Bury")


def test_an_attempt_of_each_step_fits_into_an_express_workflow() -> None:
    assert STATES["Process"]["TimeoutSeconds"] == PROCESS_SECONDS
    assert PROCESS_SECONDS + WRITE_SECONDS < WHOLE_SECONDS < EXPRESS_SECONDS


def test_what_travels_is_small_whatever_a_chunk_holds() -> None:
    redo = Redo(3, tuple(f"{'x' * 200}|frame|{number}" for number in range(100)))
    stretches = tuple(Stretch(number, number + 1) for number in range(100))
    largest = msgspec.structs.replace(MESSAGE.job, redo=redo, stretches=stretches)
    text = encode_execution(Execution(msgspec.structs.replace(MESSAGE, job=largest), 10))
    assert len(text) < LARGEST_STATE / 4
    assert step_of({**msgspec.json.decode(text), "retries": 2}).message.job == largest
    too_large = msgspec.structs.replace(largest, redo=Redo(3, ("x" * LARGEST_STATE,)))
    with pytest.raises(InvalidError, match="description of a chunk of up to 262144 bytes"):
        encode_execution(Execution(msgspec.structs.replace(MESSAGE, job=too_large)))


def test_what_is_no_message_of_a_pipeline_is_refused() -> None:
    with pytest.raises(InvalidError, match="the event of a step"):
        step_of({"message": "hello"})
    with pytest.raises(InvalidError, match="a message about a chunk"):
        buried_of(encode_batch_message(FinishMessage("orders@2026-11-21T09:00:00Z")))
    assert buried_of(encode_batch_message(MESSAGE)).error.error == "rota.Undelivered"
    buried = {"message": MESSAGE, "error": {"Error": "Sandbox.Timedout", "Cause": "{}"}, "execution": "e"}
    assert buried_of(msgspec.json.encode(buried).decode()).error.error == "Sandbox.Timedout"


class States:
    """Step Functions that answers what it is told to."""

    def __init__(self, *answers: str | ClientError) -> None:
        self._answers = list(answers)
        self.started: list[Any] = []

    def start_sync_execution(self, **asked: Any) -> dict[str, str]:
        self.started.append(asked)
        answer = self._answers.pop(0)
        if isinstance(answer, ClientError):
            raise answer
        return {"status": answer}


def test_a_message_is_done_when_its_workflow_has_succeeded_and_comes_again_otherwise() -> None:
    throttled = client_error("ThrottlingException", "slow down", 400, "StartSyncExecution")
    states, holds = States(throttled, "TIMED_OUT", "SUCCEEDED"), list[int]()
    starter = Starter(states, "machine")
    body = encode_batch_message(MESSAGE)
    done = [starter.handle(body, Visit(received, lambda: 1000, lambda _: None, holds.append)) for received in (1, 2, 3)]
    assert (done, holds) == ([False, False, True], [2, 4])
    assert [msgspec.json.decode(it["input"])["received"] for it in states.started] == [1, 2, 3]


def test_a_chunk_whose_workflow_never_ends_is_counted_and_kept(tmp_path: Path) -> None:
    world = PipeWorld(shop(tmp_path, 60), tmp_path)
    key = world.start("double")
    world.step()
    held = next(it for it in world.sqs.held[world.chunks] if '"number":2,' in it.body)
    held.received = 10
    run = world.until_ended(key)
    assert (run.counts.items, run.counts.failed) == (60, 12)
    [kept] = world.kept
    assert (kept["batch_run"], kept["chunk"]["number"]) == (key.id, 2)
    assert kept["error"].startswith("rota.Undelivered")
    [group, _] = world.ledger.failures(key)
    assert (group.count, group.message) == (10, kept["error"])


def test_items_that_wait_are_not_lost_when_nobody_can_send_them_on(tmp_path: Path) -> None:
    world = PipeWorld(shop(tmp_path, 60), tmp_path)
    key = world.start("double", topology="pipeline")
    while not (late := [it for it in world.sqs.held[PLAN] if '"kind":"later"' in it.body]):
        world.step()
    for held in late:
        held.received = 10
    check(world, world.until_ended(key), 60)
