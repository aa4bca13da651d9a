"""Starts executions of the state machine for maps.

An execution is named after its batch run, revision and turn, so starting it again starts nothing new. The turn is a
note among the files of the batch run: an execution that ends because the batch run is paused leaves the number of the
next one there before it ends, and whoever resumes it starts that.

An execution may end where no state of it can see to its batch run: somebody stops it, it takes too long, or an error
comes that States.ALL does not catch (States.Runtime, States.DataLimitExceeded). EventBridge tells the planner of every
execution that ended and did not succeed. Revision and turn tell those of the past, whose batch run has ended, was
redriven, or goes on in another turn.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from botocore.exceptions import ClientError

from rota.aws.batch.benches import places_of
from rota.aws.batch.map_machine import TOLD
from rota.aws.sessions import translating
from rota.connectors.aws_errors import code_of
from rota.connectors.folder import Folder
from rota.core.batch import BatchRun
from rota.targets.stepfunctions import execution_arn

_LONGEST = 80
_LONGEST_CAUSE = 1000
_GONE = ("ExecutionDoesNotExist",)
_GOING = ("RUNNING", "PENDING_REDRIVE")


class _Given(msgspec.Struct, frozen=True):
    """The input of an execution."""

    run: str
    revision: int
    turn: int


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


class Execution(NamedTuple):
    """An execution that does not go on. status: as Step Functions calls it. cause: of the end, as far as it is
    known."""

    run: str
    revision: int
    turn: int
    status: str
    error: str = ""
    cause: str = ""

    @property
    def is_told(self) -> bool:
        """Whether it has told the queue for failures."""
        return self.error == TOLD

    def __str__(self) -> str:
        why = ": ".join(it for it in (self.error, self.cause) if it)
        return f"its execution ended as {self.status} and left it unfinished" + (f": {why}" if why else "")


class MapStarter:
    """client: of Step Functions. machine: the ARN of the state machine. folder: where files of a batch run are."""

    def __init__(self, client: Any, machine: str, folder: Callable[[BatchRun], Folder] = _folder) -> None:
        self._client = client
        self._machine = machine
        self._folder = folder

    def follow(self, run: BatchRun) -> Execution | None:
        """Have an open batch run carried out as it wishes; its execution, if that has ended and left it unfinished. A
        pause and a cancel are honoured by the children, and by the end of the map."""
        folder = self._folder(run)
        while True:
            turn = read_turn(folder, run)
            ended = self._state(run, turn) if run.wish == "cancel" else self._start(run, turn)
            # It may have ended because of a pause a moment ago.
            if ended is None or read_turn(folder, run) == turn:
                return ended

    def look(self, arn: str) -> Execution | None:
        """An execution of the state machine; None if it goes on, is gone, or is of no batch run."""
        found = self._described(arn)
        if found is None or found["status"] in _GOING:
            return None
        try:
            given = msgspec.json.decode(found.get("input") or "", type=_Given)
        except msgspec.DecodeError:
            # Somebody tried the state machine with an input of their own.
            return None
        return _execution(found, given)

    def is_current(self, run: BatchRun, execution: Execution) -> bool:
        """Whether the batch run is carried out by this execution: by none before a redrive or a pause."""
        return execution.revision == run.revision and execution.turn == read_turn(self._folder(run), run)

    def turn_over(self, run: BatchRun, execution: Execution) -> None:
        """Have the next who follows the batch run start another execution."""
        write_turn(self._folder(run), run, execution.turn + 1)

    def conclude(self, run: BatchRun, execution: Execution) -> None:
        """Start an execution for a batch run whose end is decided: it does nothing but finish that, and tell the queue
        for failures."""
        self._start(run, execution.turn + 1)

    def _start(self, run: BatchRun, turn: int) -> Execution | None:
        given = msgspec.json.encode(_Given(run.id, run.revision, turn)).decode()
        with translating("states", batch_run=run.id):
            try:
                self._client.start_execution(stateMachineArn=self._machine, name=execution_name(run, turn), input=given)
            except ClientError as error:
                if code_of(error) != "ExecutionAlreadyExists":
                    raise
                return self._state(run, turn)
        return None

    def _state(self, run: BatchRun, turn: int) -> Execution | None:
        """How an execution ended; None while it goes on."""
        found = self._described(execution_arn(self._machine, execution_name(run, turn)), batch_run=run.id)
        if found is None:
            return Execution(run.id, run.revision, turn, "never begun")
        return None if found["status"] in _GOING else _execution(found, _Given(run.id, run.revision, turn))

    def _described(self, arn: str, **ids: str) -> dict[str, Any] | None:
        """What Step Functions says of an execution; None if it is gone."""
        with translating("states", **ids):
            try:
                found: dict[str, Any] = self._client.describe_execution(executionArn=arn)
            except ClientError as error:
                if code_of(error) not in _GONE:
                    raise
                return None
        return found


def _execution(found: dict[str, Any], given: _Given) -> Execution:
    error, cause = str(found.get("error") or ""), str(found.get("cause") or "")
    return Execution(given.run, given.revision, given.turn, str(found["status"]), error, cause[:_LONGEST_CAUSE])
