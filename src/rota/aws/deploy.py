"""Deploying and destroying stacks: upload, plan as a change set, show it, then carry it out.

A deployment is a change set first, so that what will happen is known before it does; `execute` is a second step which
a dry run leaves out. Deploying the same again finds no changes and does nothing. A first deployment that failed leaves
a name without resources, which the next one clears away.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
from botocore.exceptions import ClientError

from rota.aws.sessions import client, translating
from rota.aws.stack.parameters import check_parameters
from rota.aws.stacks import APP_TAG, POLL, Event, Stack, Stacks, failure
from rota.aws.synth import TEMPLATE, Synthesis
from rota.aws.uploads import Uploads, empty
from rota.connectors.aws_errors import code_of
from rota.core.errors import ConflictError, RotaError

CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND")
"""Roles without names of their own, and the SAM transform."""
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed", "no changes")
_USABLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE")
_DONE = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
_TRIES = 3


class Change(NamedTuple):
    """What a deployment would do to one resource. action: Add, Modify or Remove. replaces: the old one goes, with what
    is in it: True, False or Conditional."""

    action: str
    resource: str
    kind: str
    replaces: str


class Planned(msgspec.Struct, frozen=True):
    """A change set. creates: there is no stack yet."""

    stack: str
    id: str
    creates: bool
    changes: tuple[Change, ...]


class Deployer:
    """Deploys to one account and region. s3, functions: boto3 clients, the latter of Lambda. told: is handed each event
    of a resource. noted: is handed what else is worth a line."""

    def __init__(
        self,
        stacks: Stacks,
        s3: Any,
        functions: Any,
        uploads: Uploads,
        *,
        told: Callable[[Event], None],
        noted: Callable[[str], None],
    ) -> None:
        self._stacks = stacks
        self._cloudformation = stacks.client
        self._s3 = s3
        self._lambda = functions
        self._uploads = uploads
        self._told = told
        self._noted = noted

    def plan(self, stack: str, synthesis: Synthesis, parameters: Mapping[str, str]) -> Planned:
        """Upload, and have CloudFormation work out what a deployment would change. Nothing of the stack is touched.

        InvalidError for a parameter that there is not, ConflictError for a stack in a state that forbids it."""
        check_parameters(parameters)
        found = self._ready(stack, synthesis.plan.app)
        if self._uploads.prepare():
            self._noted(f"made the bucket {self._uploads.bucket}")
        template = self._upload(stack, synthesis)
        given: list[dict[str, Any]] = [
            {"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()
        ]
        if found is not None:
            kept = sorted((found.parameters & synthesis.template["Parameters"].keys()) - parameters.keys())
            given += [{"ParameterKey": name, "UsePreviousValue": True} for name in kept]
        with translating("cloudformation", stack=stack):
            made = self._cloudformation.create_change_set(
                StackName=stack,
                ChangeSetName=f"rota-{secrets.token_hex(8)}",
                ChangeSetType="CREATE" if found is None else "UPDATE",
                TemplateURL=template,
                Parameters=given,
                Capabilities=list(CAPABILITIES),
                Tags=[{"Key": APP_TAG, "Value": synthesis.plan.app}],
            )
        return Planned(stack, made["Id"], found is None, self._changes(stack, made["Id"]))

    def execute(self, planned: Planned) -> Stack:
        """Carry a plan out, and answer the stack as it is then. RotaError says why it failed; the stack is then as it
        was before, or not there."""
        if planned.changes:
            last = self._stacks.last_event(planned.stack)
            with translating("cloudformation", stack=planned.stack):
                self._cloudformation.execute_change_set(ChangeSetName=planned.id, StackName=planned.stack)
            reason = self._followed(planned.stack, last)
        else:
            self.abandon(planned)
            reason = None
        stack = self._stacks.find(planned.stack)
        status = "gone" if stack is None else stack.status
        if stack is None or reason is not None or (planned.changes and stack.status not in _DONE):
            raise failure(planned.stack, "be deployed", status, reason)
        return stack

    def feed(self, stack: Stack) -> None:
        """Have the feeder make a pass now: the next one by itself is up to a period away, and what was just stored may
        be due before. Who deploys and may not invoke it loses nothing but that time."""
        try:
            with translating("lambda", stack=stack.name):
                self._lambda.invoke(FunctionName=stack.outputs["FeederName"], InvocationType="Event")
        except RotaError as error:
            self._noted(f"the first firings may be late by a period of the feeder: {error}")

    def abandon(self, planned: Planned) -> None:
        """Take a plan back, and with it the empty stack that holds the plan of a first deployment, and what was
        uploaded for it. Who may not delete from the bucket is told that it stays there."""
        with translating("cloudformation", stack=planned.stack):
            self._cloudformation.delete_change_set(ChangeSetName=planned.id, StackName=planned.stack)
            if planned.creates:
                self._cloudformation.delete_stack(StackName=planned.stack)
        try:
            self._uploads.take_back()
        except RotaError as error:
            self._noted(f"what was uploaded stays in the bucket {self._uploads.bucket}: {error}")

    def destroy(self, stack: str) -> bool:
        """Delete a stack, what its bucket holds and what was uploaded for it; False if there is none (any more)."""
        found = self._stacks.idle(stack)
        if found is None:
            self._uploads.forget(stack)
            return False
        if found.app is None and not found.never_made:
            raise ConflictError(f"stack {stack} is none of rota's, so it is not deleted", stack=stack)
        for attempt in range(_TRIES):
            self._empty_bucket(found)
            last = self._stacks.last_event(found.id)
            with translating("cloudformation", stack=stack):
                self._cloudformation.delete_stack(StackName=found.id)
            reason = self._followed(found.id, last)
            left = self._stacks.find(found.id)
            if left is None:
                break
            # A function that was still running may have put something into the bucket behind our back.
            if attempt == _TRIES - 1 or reason is None or "not empty" not in reason.reason:
                raise failure(stack, "be deleted", left.status, reason)
        self._uploads.forget(stack)
        return True

    def _ready(self, name: str, app: str) -> Stack | None:
        stack = self._stacks.idle(name)
        if stack is None:
            return None
        if stack.status == "REVIEW_IN_PROGRESS" or (stack.never_made and stack.app == app):
            self._noted(f"clearing away stack {name}, which was never made ({stack.status})")
            with translating("cloudformation", stack=name):
                self._cloudformation.delete_stack(StackName=stack.id)
            self._stacks.follow(stack.id, self._stacks.last_event(stack.id), self._told)
            return None
        if stack.app is None:
            raise ConflictError(f"stack {name} is none of rota's: choose another name", stack=name)
        if stack.status not in _USABLE:
            hint = "see its events in the console" if "FAILED" in stack.status else "wait, and try again"
            raise ConflictError(f"stack {name} is {stack.status} and cannot be deployed to; {hint}", stack=name)
        if stack.app != app:
            raise ConflictError(
                f"stack {name} holds the app {stack.app!r}, whose tasks {app!r} would replace: choose another name",
                stack=name,
            )
        return stack

    def _upload(self, stack: str, synthesis: Synthesis) -> str:
        def say(name: str, size: int) -> None:
            self._noted(f"uploading {name}, {size / 1024 / 1024:.2f} MB, to {self._uploads.bucket}")

        places = {
            name: f"s3://{self._uploads.bucket}/{self._uploads.put(stack, name, bundle.data, say)}"
            for name, bundle in synthesis.bundles.items()
        }
        template = dict(synthesis.template)
        template["Resources"] = {
            name: _placed(resource, places) for name, resource in synthesis.template["Resources"].items()
        }
        # The readme is for the Serverless Application Repository, which this is not.
        template.pop("Metadata", None)
        return self._uploads.url(self._uploads.put(stack, TEMPLATE, msgspec.json.encode(template)))

    def _changes(self, stack: str, id: str) -> tuple[Change, ...]:
        found: list[Change] = []
        token: dict[str, str] = {}
        while True:
            with translating("cloudformation", stack=stack):
                said = self._cloudformation.describe_change_set(ChangeSetName=id, StackName=stack, **token)
            if said["Status"] in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
                self._stacks.pause()
                continue
            if said["Status"] == "FAILED":
                reason = said.get("StatusReason", "")
                if any(phrase in reason for phrase in _NO_CHANGES):
                    return ()
                self._drop(stack, id)
                raise RotaError(f"stack {stack} cannot be deployed: {reason or 'no reason given'}", stack=stack)
            found += [_change(it["ResourceChange"]) for it in said.get("Changes", ()) if "ResourceChange" in it]
            if not said.get("NextToken"):
                return tuple(found)
            token = {"NextToken": said["NextToken"]}

    def _drop(self, stack: str, id: str) -> None:
        with translating("cloudformation", stack=stack):
            self._cloudformation.delete_change_set(ChangeSetName=id, StackName=stack)
            left = self._stacks.find(stack)
            if left is not None and left.status == "REVIEW_IN_PROGRESS":
                self._cloudformation.delete_stack(StackName=stack)

    def _followed(self, stack: str, last: str) -> Event | None:
        return self._stacks.follow(stack, last, self._told)

    def _empty_bucket(self, stack: Stack) -> None:
        """Of the stack's own bucket, which CloudFormation deletes only when nothing is in it."""
        bucket = stack.outputs.get("BucketName")
        if bucket is None:
            return
        with translating("s3", stack=stack.name, bucket=bucket):
            try:
                self._s3.head_bucket(Bucket=bucket)
            except ClientError as error:
                if code_of(error) in ("404", "NoSuchBucket", "NotFound"):
                    return
                raise
        deleted = empty(self._s3, bucket)
        if deleted:
            self._noted(f"deleted {deleted} objects from {bucket}")


def deployer(
    bucket: str | None = None,
    *,
    told: Callable[[Event], None],
    noted: Callable[[str], None],
    poll: float = POLL,
) -> Deployer:
    """What deploys to the account and region of the environment. bucket: for uploads. poll: seconds between looks."""
    cloudformation, s3 = client("cloudformation"), client("s3")
    with translating("sts"):
        account = client("sts").get_caller_identity()["Account"]
    uploads = Uploads(s3, account, cloudformation.meta.region_name, bucket)
    return Deployer(Stacks(cloudformation, poll=poll), s3, client("lambda"), uploads, told=told, noted=noted)


def _placed(resource: dict[str, Any], places: Mapping[str, str]) -> dict[str, Any]:
    code = resource.get("Properties", {}).get("CodeUri")
    if code is None:
        return resource
    return {**resource, "Properties": {**resource["Properties"], "CodeUri": places[code]}}


def _change(it: Mapping[str, Any]) -> Change:
    return Change(it["Action"], it["LogicalResourceId"], it["ResourceType"], str(it.get("Replacement") or "False"))
