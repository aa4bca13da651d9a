"""Deploying to AWS on this machine, and destroying what was deployed."""

from __future__ import annotations

import json
from pathlib import Path

import boto3
import msgspec
import pytest
from tests.aws.deploy.named_targets import app

from rota.aws.deploy import Deployer, deployer
from rota.aws.stacks import Event
from rota.aws.synth import Synthesis, synthesize
from rota.core.errors import ConflictError, InvalidError, NotFoundError, RotaError
from rota.testing.emulator import Emulator, Fault

MODULE = str(Path(__file__).with_name("named_targets.py"))


class Log:
    """What a deployer told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.notes: list[str] = []

    def deployer(self, bucket: str | None = None) -> Deployer:
        return deployer(bucket, told=self.events.append, noted=self.notes.append, poll=0.01)


@pytest.fixture(scope="module")
def shop() -> Synthesis:
    return synthesize(app, MODULE, None)


@pytest.fixture
def log(aws: Emulator) -> Log:
    return Log()


def stacks() -> list[str]:
    found = boto3.client("cloudformation").describe_stacks()["Stacks"]
    return [it["StackName"] for it in found]


def test_a_stack_is_made_changed_left_alone_and_deleted(log: Log, shop: Synthesis) -> None:
    it = log.deployer()
    first = it.plan("shop", shop, {"Memory": "256", "DispatcherTimeout": "60"})
    assert first.creates
    assert {change.action for change in first.changes} == {"Add"}
    made = it.execute(first)
    assert made.status == "CREATE_COMPLETE"
    assert made.outputs["AppName"] == "shop"
    assert {event.resource for event in log.events if event.status == "CREATE_COMPLETE"} >= {
        "Table",
        "Feeder",
        "Bucket",
    }

    function = boto3.client("lambda").get_function_configuration(FunctionName=made.outputs["DispatcherName"])
    assert (function["MemorySize"], function["Timeout"]) == (256, 60)
    attributes = boto3.client("sqs").get_queue_attributes(
        QueueUrl=made.outputs["DispatchQueueUrl"], AttributeNames=["VisibilityTimeout"]
    )
    assert attributes["Attributes"]["VisibilityTimeout"] == "360"
    mappings = boto3.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    assert {it["ScalingConfig"]["MaximumConcurrency"] for it in mappings} == {2, 50}

    again = it.plan("shop", shop, {})
    assert again.changes == ()
    assert it.execute(again).outputs == made.outputs

    more = it.plan("shop", shop, {"Memory": "512"})
    assert {change.action for change in more.changes} == {"Modify"}
    it.execute(more)
    function = boto3.client("lambda").get_function_configuration(FunctionName=made.outputs["DispatcherName"])
    assert (function["MemorySize"], function["Timeout"]) == (512, 60), "what is not named keeps its value"

    boto3.client("s3").put_object(Bucket=made.outputs["BucketName"], Key="payloads/one", Body=b"1")
    assert it.destroy("shop")
    assert stacks() == []
    assert not it.destroy("shop"), "there is nothing left to delete, and that is no error"


def test_a_dry_run_leaves_nothing_behind(log: Log, shop: Synthesis) -> None:
    it = log.deployer()
    it.abandon(it.plan("shop", shop, {}))
    assert stacks() == []
    it.execute(it.plan("shop", shop, {}))
    it.abandon(it.plan("shop", shop, {"Memory": "256"}))
    (found,) = boto3.client("cloudformation").describe_stacks(StackName="shop")["Stacks"]
    assert {"ParameterKey": "Memory", "ParameterValue": "512"} in found["Parameters"]


def test_the_bucket_for_uploads_is_private_and_takes_a_bundle_once(log: Log, shop: Synthesis) -> None:
    it, s3 = log.deployer(), boto3.client("s3")
    it.plan("shop", shop, {})
    bucket = "rota-deploy-000000000000-us-east-1"
    assert any(bucket in note for note in log.notes)
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert "aws:SecureTransport" in s3.get_bucket_policy(Bucket=bucket)["Policy"]
    uploads = [note for note in log.notes if note.startswith("uploading")]
    assert len(uploads) == 2
    it.plan("shop", shop, {"Memory": "256"})
    assert len([note for note in log.notes if note.startswith("uploading")]) == 2


def test_a_bucket_that_is_named_must_be_there(log: Log, shop: Synthesis) -> None:
    with pytest.raises(NotFoundError, match="leave --bucket out"):
        log.deployer("no-such-bucket").plan("shop", shop, {})


def test_an_unknown_parameter_is_refused_before_anything_is_uploaded(log: Log, shop: Synthesis) -> None:
    with pytest.raises(InvalidError, match="one of Memory, WorkerMemory"):
        log.deployer().plan("shop", shop, {"Memories": "512"})
    assert boto3.client("s3").list_buckets()["Buckets"] == []


def test_a_resource_that_cannot_be_made_is_named_with_its_reason(log: Log, shop: Synthesis) -> None:
    it = log.deployer()
    nowhere = {"LogGroupName": "/no/such/group", "LogStreamName": "one"}
    impossible = {"Type": "AWS::Logs::LogStream", "DependsOn": "Table", "Properties": nowhere}
    resources = {**shop.template["Resources"], "Impossible": impossible}
    broken = msgspec.structs.replace(shop, template={**shop.template, "Resources": resources})
    with pytest.raises(RotaError, match=r"Impossible \(AWS::Logs::LogStream\): .*exist") as caught:
        it.execute(it.plan("shop", broken, {}))
    assert caught.value.ids == {"stack": "shop", "resource": "Impossible"}
    assert it.execute(it.plan("shop", shop, {})).status == "CREATE_COMPLETE", "what failed is cleared away"


def test_a_missing_permission_names_the_action(log: Log, aws: Emulator, shop: Synthesis) -> None:
    it = log.deployer()
    denied = Fault(p=1, status=403, code="AccessDenied")
    aws.faults({"cloudformation.CreateChangeSet": denied})
    with pytest.raises(RotaError, match="lack the permission cloudformation:CreateChangeSet"):
        it.plan("shop", shop, {})


def test_a_stack_of_somebody_elses_is_left_alone(log: Log, shop: Synthesis) -> None:
    template = '{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}, "Outputs": {"AppName": {"Value": "shop"}}}'
    boto3.client("cloudformation").create_stack(StackName="theirs", TemplateBody=template)
    with pytest.raises(ConflictError, match="none of rota's"):
        log.deployer().plan("theirs", shop, {})
    with pytest.raises(ConflictError, match="none of rota's"):
        log.deployer().destroy("theirs")
    assert stacks() == ["theirs"]


def test_the_stack_of_another_app_is_left_alone(log: Log, shop: Synthesis) -> None:
    it = log.deployer()
    it.execute(it.plan("shop", shop, {}))
    other = msgspec.structs.replace(shop, plan=msgspec.structs.replace(shop.plan, app="office"))
    with pytest.raises(ConflictError, match="holds the app 'shop'"):
        it.plan("shop", other, {})


def test_extra_state_machines_may_be_asked_about_their_executions(log: Log, aws: Emulator, shop: Synthesis) -> None:
    machines = [f"arn:aws:states:us-east-1:123456789012:stateMachine:{name}" for name in ("Refunds", "Bills")]
    it = log.deployer()
    it.execute(it.plan("shop", shop, {"ExtraStateMachineArns": ",".join(machines)}))
    asked = {"StackName": "shop", "LogicalResourceId": "ExtraStateMachineArnsPolicy"}
    found = boto3.client("cloudformation").describe_stack_resource(**asked)["StackResourceDetail"]
    iam = boto3.client("iam")
    arn = found["PhysicalResourceId"]
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    start, ask = (document if isinstance(document, dict) else json.loads(document))["Statement"]
    assert start["Resource"] == machines
    assert ask["Action"] == ["states:DescribeExecution"]
    assert ask["Resource"] == [it.replace(":stateMachine:", ":execution:") + ":*" for it in machines]
