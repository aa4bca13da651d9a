"""Start an execution of a Step Functions state machine.

Idea. The execution's name is derived from the run id, so starting it again starts nothing new: while it runs, Step
Functions answers as it did the first time; afterwards, for 90 days, it says that the name is taken, which is as good,
provided that the input is the same. And an engine that died may ask by that name whether it had started the execution.

A run is done when its execution has started: how it ends is Step Functions' account. The exception are Express machines
called synchronously: their output is the run's value, and their error its failure. Express machines know no names, so
there a repeated attempt is another execution; `$$.Execution.Name` is the same for both.
"""

from __future__ import annotations

from typing import Any

import msgspec
from botocore.exceptions import ClientError

from rota.core.aws_names import region_of
from rota.core.errors import TargetError
from rota.core.ids import epoch_ms, iso
from rota.core.outcome import Result
from rota.core.run import Run
from rota.core.target import StepFunctionsTarget
from rota.targets.aws import ClientOf, check_size, code_of, derived_id, filled, kept_answer, telling

START = "states:StartExecution"
START_SYNC = "states:StartSyncExecution"
DESCRIBE = "states:DescribeExecution"
LIMIT = 256 * 1024
_UNKNOWN = ("ExecutionDoesNotExist", "InvalidArn", "StateMachineTypeNotSupported")


class StepFunctionsCall:
    """Starts the execution of a run's StepFunctionsTarget. Safe to share between threads.

    Answers with {"executionArn": ..., "started": "2026-11-21T02:30:00Z"}, or with the output of an Express execution
    that it waited for, up to 64 KiB. Raises TargetError.
    """

    def __init__(self, client: ClientOf) -> None:
        self._client = client

    def __call__(self, run: Run) -> bytes | None:
        target = run.spec.target
        assert isinstance(target, StepFunctionsTarget)
        event = filled(run)
        action = START_SYNC if target.synchronous else START
        check_size(run, len(event), LIMIT, action, target.machine)
        with telling(run, action, target.machine):
            client = self._client("stepfunctions", region_of(target.machine), once=run.spec.delivery == "at_most_once")
            asked = {"stateMachineArn": target.machine, "name": derived_id(run), "input": event.decode()}
            if target.synchronous:
                return _output(run, client.start_sync_execution(**asked))
            try:
                answer = client.start_execution(**asked)
            except ClientError as error:
                if code_of(error) != "ExecutionAlreadyExists":
                    raise
                answer = self._same(run, target, event)
        return _started(answer)

    def inquire(self, run: Run) -> Result | None:
        """That the execution was started, if it was; None if there is none of that name, or for an Express machine,
        which keeps no names. TargetError if the question is not answered."""
        target = run.spec.target
        assert isinstance(target, StepFunctionsTarget)
        if target.synchronous:
            return None
        with telling(run, DESCRIBE, target.machine):
            try:
                found = self._describe(run, target)
            except ClientError as error:
                if code_of(error) not in _UNKNOWN:
                    raise
                return None
        started = epoch_ms(found["startDate"])
        return Result(started, started, _started(found))

    def _same(self, run: Run, target: StepFunctionsTarget, event: bytes) -> dict[str, Any]:
        """The execution that has the name already; TargetError if its input is another one. Where nobody may look at
        it, its name vouches for it."""
        try:
            with telling(run, DESCRIBE, target.machine):
                found = self._describe(run, target)
        except TargetError as error:
            if error.transient:
                raise
            return {"executionArn": execution_arn(target.machine, derived_id(run))}
        if msgspec.json.decode(found.get("input", "null")) != msgspec.json.decode(event):
            raise TargetError(
                f"{START} on {target.machine}: there is an execution {derived_id(run)} with another input",
                transient=False,
                schedule=run.schedule_id,
                run=run.id,
            )
        return found

    def _describe(self, run: Run, target: StepFunctionsTarget) -> dict[str, Any]:
        client = self._client("stepfunctions", region_of(target.machine), once=True)
        found: dict[str, Any] = client.describe_execution(executionArn=execution_arn(target.machine, derived_id(run)))
        return found


def execution_arn(machine: str, name: str) -> str:
    """The ARN of the execution `name` of a machine; executions belong to no version or alias."""
    parts = machine.split(":")
    return ":".join((*parts[:5], "execution", parts[6], name))


def _started(answer: dict[str, Any]) -> bytes:
    value = {"executionArn": answer["executionArn"]}
    if "startDate" in answer:
        value["started"] = iso(epoch_ms(answer["startDate"]))
    return msgspec.json.encode(value)


def _output(run: Run, answer: dict[str, Any]) -> bytes | None:
    if answer["status"] == "SUCCEEDED":
        return kept_answer(answer.get("output", "").encode())
    raise TargetError(
        answer.get("cause") or f"the execution ended as {answer['status']} and says no more",
        types=(answer.get("error") or f"States.{answer['status'].title().replace('_', '')}",),
        schedule=run.schedule_id,
        run=run.id,
    )
