"""aws://STACK, on the emulator: from a name to a client, and what to say where that is not possible."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace
from tests.aws.firing import shop
from tests.aws.firing.functions import Functions
from tests.aws.firing.world import SETTINGS

from rota.aws.handlers.setting import parts
from rota.aws.sessions import client as boto_client
from rota.aws.stack_client import KnownTargets, client_of
from rota.core.errors import InvalidError, NotFoundError, RotaError, StoreError
from rota.core.run import RunSpec
from rota.core.target import parse_target
from rota.testing.emulator import Emulator, Fault
from rota.wiring import connect

OUTPUTS = {
    "Table": "shop",
    "DispatchQueueUrl": "DispatchQueue",
    "WorkerQueueUrl": "WorkerQueue",
    "DeadQueueUrl": "DeadQueue",
    "BucketName": "shop-bucket",
    "QueuePrefix": "data",
}


def stack(name: str, outputs: dict[str, str]) -> None:
    template = {
        "Resources": {"Any": {"Type": "AWS::SQS::Queue"}},
        "Outputs": {key: {"Value": value} for key, value in outputs.items()},
    }
    boto_client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template))
    boto_client("cloudformation").get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})


def test_a_stack_is_found_by_its_name(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    functions = Functions(monkeypatch)
    urls = {key: functions.queues.get(value, value) for key, value in OUTPUTS.items()}
    urls["QueuePrefix"] = urls["QueuePrefix"].removesuffix("data")
    stack("shop", urls)
    with connect("aws://shop?region=us-east-1") as found:
        run = found.at(4_000_000_000, "queue:data", {"n": 1})
        assert found.runs.get(run).state == "pending"
        with pytest.raises(NotFoundError, match="none of this name"):
            found.at(4_000_000_000, "queue:nowhere")
    with pytest.raises(NotFoundError, match="none in region"):
        connect("aws://shoe")


def test_a_stack_of_somebody_else_is_refused(aws: Emulator) -> None:
    stack("other", {"Bucket": "b"})
    with pytest.raises(InvalidError, match="`rota deploy` made"):
        connect("aws://other")


@pytest.mark.parametrize("url", ["aws://", "aws://a/b", "aws://shop?zone=1"])
def test_a_url_that_names_no_stack_is_refused(url: str) -> None:
    with pytest.raises(InvalidError, match="aws://STACK"):
        connect(url)


def test_a_permission_that_is_missing_is_named(aws: Emulator) -> None:
    aws.faults({"cloudformation.DescribeStacks": Fault(p=1, status=403, code="AccessDenied")})
    with pytest.raises(RotaError, match="cloudformation:DescribeStacks"):
        connect("aws://shop")
    aws.faults({})


def test_a_denied_look_at_a_queue_names_the_permission_too(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    Functions(monkeypatch)
    client = client_of(parts())
    aws.faults({"sqs.*": Fault(status=403, code="AccessDenied")})
    with pytest.raises(NotFoundError, match=r"none of this name, or .* lack the permission sqs:GetQueueAttributes"):
        client.at(4_000_000_000, "queue:data")
    aws.faults({})
    assert client.runs.list() == []


def test_a_denied_message_names_the_permission_and_leaves_nothing(
    aws: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    functions = Functions(monkeypatch, "tests.aws.firing.shop")
    client = client_of(parts(), shop.app)
    functions.feed()
    aws.faults({"sqs.SendMessageBatch": Fault(status=403, code="AccessDenied")})
    with pytest.raises(StoreError, match="lack the permission sqs:SendMessage "):
        client.at(0, "task:note")
    with pytest.raises(StoreError, match="lack the permission sqs:SendMessage "):
        client.queues.send("data", 1)
    aws.faults({})
    assert [run.state for run in client.runs.list()] == ["cancelled"]
    assert functions.deliver("WorkerQueue") == 0


def test_tasks_and_batches_are_those_that_the_stack_tells() -> None:
    settings = replace(SETTINGS, tasks=("note",), batches=("nightly",))
    check = KnownTargets(None, settings, batches=True)
    for known in ("task:note", "batch:nightly", "lambda:any"):
        check(RunSpec(parse_target(known)))
    for unknown in ("task:nosuch", "batch:nosuch"):
        with pytest.raises(NotFoundError, match="declare it there and deploy"):
            check(RunSpec(parse_target(unknown)))
    # A stack that does not tell finds out when it is due.
    KnownTargets(None, SETTINGS, batches=True)(RunSpec(parse_target("batch:nosuch")))
