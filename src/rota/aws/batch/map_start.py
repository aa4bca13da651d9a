"""Starts executions of the state machine for maps.

An execution is named after its batch run, revision and turn, so starting it again starts nothing new. The turn is a
note among the files of the batch run: an execution that ends because the batch run is paused leaves the number of the
next one there before it ends, and whoever resumes it starts that.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from rota.aws.batch.benches import places_of
from rota.aws.sessions import code_of, translating
from rota.connectors.folder import Folder
from rota.core.batch import BatchRun
from rota.targets.stepfunctions import execution_arn

_LONGEST = 80
_GONE = ("ExecutionDoesNotExist",)
_GOING = ("RUNNING", "PENDING_REDRIVE")


def execution_name(run: BatchRun, turn: int) -> str:
    """At most 80 letters, digits, - and _: readable as far as there is room, and told apart by a hash."""
    digest = hashlib.blake2b(run.id.encode(), digest_size=8).hexdigest()
    tail = f"-{run.created}-{digest}-r{run.revision}" + (f"-t{turn}" if turn else "")
    return re.sub(r"[^A-Za-z0-9_-]", "-", run.name)[: _LONGEST - len(tail)] + tail


def read_turn(folder: Folder, run: BatchRun) -> int:
    """Which execution of this revision is to go on with the batch run."""
    text = folder.read(_turn(run))
    return 0 if text is None else int(text)


def write_turn(folder: Folder, run: BatchRun, turn: int) -> None:
    folder.write(_turn(run), [str(turn).encode()])


def _turn(run: BatchRun) -> str:
    return f"map/turn.r{run.revision}"


def _folder(run: BatchRun) -> Folder:
    return places_of(run).folder


class MapStarter:
    """client: of Step Functions. machine: the ARN of the state machine. folder: where files of a batch run are."""

    def __init__(self, client: Any, machine: str, folder: Callable[[BatchRun], Folder] = _folder) -> None:
        self._client = client
        self._machine = machine
        self._folder = folder

    def follow(self, run: BatchRun) -> str:
        """Have an open batch run carried out as it wishes; how its execution has ended, if that left it unfinished. A
        pause and a cancel are honoured by the children, and by the end of the map."""
        folder = self._folder(run)
        while True:
            turn = read_turn(folder, run)
            ended = self._status(run, turn) if run.wish == "cancel" else self._start(run, turn)
            # It may have ended because of a pause a moment ago.
            if not ended or read_turn(folder, run) == turn:
                return ended

    def _start(self, run: BatchRun, turn: int) -> str:
        given = msgspec.json.encode({"run": run.id, "revision": run.revision, "turn": turn}).decode()
        with translating("states", batch_run=run.id):
            try:
                self._client.start_execution(stateMachineArn=self._machine, name=execution_name(run, turn), input=given)
            except ClientError as error:
                if code_of(error) != "ExecutionAlreadyExists":
                    raise
                return self._status(run, turn)
        return ""

    def _status(self, run: BatchRun, turn: int) -> str:
        """How an execution ended; "" while it goes on."""
        arn = execution_arn(self._machine, execution_name(run, turn))
        with translating("states", batch_run=run.id):
            try:
                status = str(self._client.describe_execution(executionArn=arn)["status"])
            except ClientError as error:
                if code_of(error) not in _GONE:
                    raise
                return "never begun"
        return "" if status in _GOING else status
