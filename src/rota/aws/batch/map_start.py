"""Starts and stops executions of the state machine for maps.

An execution is named after its batch run and revision, so starting it again starts nothing new.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from rota.aws.sessions import code_of, translating
from rota.core.batch import BatchRun
from rota.targets.stepfunctions import execution_arn

_LONGEST = 80
_GONE = ("ExecutionDoesNotExist",)
_GOING = ("RUNNING", "PENDING_REDRIVE")


def execution_name(run: BatchRun) -> str:
    """At most 80 letters, digits, - and _: readable as far as there is room, and told apart by a hash."""
    digest = hashlib.blake2b(run.id.encode(), digest_size=8).hexdigest()
    tail = f"-{run.created}-{digest}-r{run.revision}"
    return re.sub(r"[^A-Za-z0-9_-]", "-", run.name)[: _LONGEST - len(tail)] + tail


class MapStarter:
    """client: of Step Functions. machine: the ARN of the state machine."""

    def __init__(self, client: Any, machine: str) -> None:
        self._client = client
        self._machine = machine

    def follow(self, run: BatchRun) -> str:
        """Do what the state of the batch run asks for; how its execution has ended, if it has. A pause is honoured by
        the children."""
        if not run.is_open or run.wish == "cancel":
            self.stop(run)
        elif run.state != "finishing" and run.wish == "run":
            return self.start(run)
        return ""

    def start(self, run: BatchRun) -> str:
        """Have the batch run carried out at its present revision; answers how the execution ended if it has already."""
        name = execution_name(run)
        given = msgspec.json.encode({"run": run.id, "revision": run.revision}).decode()
        with translating("states", batch_run=run.id):
            try:
                self._client.start_execution(stateMachineArn=self._machine, name=name, input=given)
            except ClientError as error:
                if code_of(error) != "ExecutionAlreadyExists":
                    raise
            else:
                return ""
            found = self._client.describe_execution(executionArn=execution_arn(self._machine, name))
        return "" if found["status"] in _GOING else str(found["status"])

    def stop(self, run: BatchRun) -> None:
        """Begin no further child, and end those in hand. Nothing happens if the execution is over."""
        arn = execution_arn(self._machine, execution_name(run))
        with translating("states", batch_run=run.id):
            try:
                self._client.stop_execution(executionArn=arn, error="rota.Cancelled", cause="cancelled by request")
            except ClientError as error:
                if code_of(error) not in _GONE:
                    raise
