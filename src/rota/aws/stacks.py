"""A stack as CloudFormation sees it: its state, its events as they come, and why it failed.

An operation on a stack is over when its state says so; what happened on the way is read from its events, newest first,
back to the last one that was there before. The first failure is the reason; what comes behind it is cancelled because
of it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
from botocore.exceptions import ClientError

from rota.aws.sessions import translating
from rota.connectors.aws_errors import code_of
from rota.core.errors import ConflictError, RotaError

POLL = 1.0
APP_TAG = "rota:app"
_CANCELLED = re.compile(r"cancelled|The following resource\(s\) failed", re.IGNORECASE)
_UNAUTHORIZED = re.compile(r"not authorized to perform: ([\w-]+:\w+)")


class Event(NamedTuple):
    """One resource's step. status: such as CREATE_COMPLETE."""

    id: str
    resource: str
    kind: str
    status: str
    reason: str

    @property
    def failed(self) -> bool:
        return self.status.endswith("_FAILED")


class Stack(msgspec.Struct, frozen=True):
    """id: its ARN, which goes on meaning it when it is gone. A stack of rota's has a tag, or at least the outputs, if
    SAM's own tool deployed it."""

    name: str
    id: str
    status: str
    reason: str
    outputs: dict[str, str]
    parameters: frozenset[str]
    tags: dict[str, str]

    @property
    def app(self) -> str | None:
        """The app that it was made for; None if it is none of rota's."""
        return self.tags.get(APP_TAG) or self.outputs.get("AppName" if "DispatchQueueUrl" in self.outputs else "")

    @property
    def busy(self) -> bool:
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    @property
    def never_made(self) -> bool:
        """There is a name and no resource: a change set nobody executed, or a creation that was rolled back."""
        return self.status in ("REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE")


class Stacks:
    """cloudformation: a boto3 client."""

    def __init__(self, cloudformation: Any, *, sleep: Callable[[float], None] = time.sleep, poll: float = POLL) -> None:
        self.client: Any = cloudformation
        self._sleep = sleep
        self._poll = poll

    def find(self, name: str) -> Stack | None:
        """The stack of this name or ARN; None if there is none."""
        with translating("cloudformation", stack=name):
            try:
                (found,) = self.client.describe_stacks(StackName=name)["Stacks"]
            except ClientError as error:
                if code_of(error) == "ValidationError" and "does not exist" in str(error):
                    return None
                raise
        if found["StackStatus"] == "DELETE_COMPLETE":
            return None
        return Stack(
            found["StackName"],
            found["StackId"],
            found["StackStatus"],
            found.get("StackStatusReason", ""),
            {it["OutputKey"]: it["OutputValue"] for it in found.get("Outputs", ())},
            frozenset(it["ParameterKey"] for it in found.get("Parameters", ())),
            {it["Key"]: it["Value"] for it in found.get("Tags", ())},
        )

    def idle(self, name: str) -> Stack | None:
        """Like find; ConflictError while something is being done to the stack, or if it is beyond doing anything."""
        stack = self.find(name)
        if stack is not None and stack.busy:
            raise ConflictError(f"stack {name} is {stack.status}: wait until that is over, and try again", stack=name)
        return stack

    def last_event(self, stack: str) -> str:
        """The id of the newest event, "" if there is none."""
        return next((event.id for event in self._events(stack)), "")

    def follow(self, stack: str, after: str, told: Callable[[Event], None]) -> Event | None:
        """Tell the events that come behind `after` until nothing is being done to the stack any more; answers the one
        that is the reason, if something failed."""
        seen, reason = {after}, None
        while True:
            now = self.find(stack)
            fresh = self._since(stack, seen) if now is not None else []
            for event in fresh:
                told(event)
                if reason is None and event.failed and not _CANCELLED.search(event.reason):
                    reason = event
            if now is None or not now.busy:
                return reason
            self._sleep(self._poll)

    def pause(self) -> None:
        """Wait as long as between two looks."""
        self._sleep(self._poll)

    def _since(self, stack: str, seen: set[str]) -> list[Event]:
        fresh: list[Event] = []
        for event in self._events(stack):
            if event.id in seen:
                break
            fresh.append(event)
        seen |= {event.id for event in fresh}
        return fresh[::-1]

    def _events(self, stack: str) -> Iterator[Event]:
        """Newest first; the stack's own are left out, save those that tell why it could not even begin."""
        with translating("cloudformation", stack=stack):
            try:
                for page in self.client.get_paginator("describe_stack_events").paginate(StackName=stack):
                    for it in page["StackEvents"]:
                        yield Event(
                            it["EventId"],
                            it["LogicalResourceId"],
                            it["ResourceType"],
                            it.get("ResourceStatus", ""),
                            it.get("ResourceStatusReason", ""),
                        )
            except ClientError as error:
                if code_of(error) != "ValidationError" or "does not exist" not in str(error):
                    raise


def failure(stack: str, did: str, status: str, reason: Event | None) -> RotaError:
    """The error that says why something done to a stack failed. did: such as "be deployed"."""
    if reason is None:
        return RotaError(f"stack {stack} could not {did}: it is {status}", stack=stack)
    denied = _UNAUTHORIZED.search(reason.reason)
    lacks = f"the credentials in use lack the permission {denied[1]}: " if denied else ""
    said = f"{lacks}{reason.resource} ({reason.kind}): {reason.reason or reason.status}"
    return RotaError(f"stack {stack} could not {did}: {said}", stack=stack, resource=reason.resource)
