"""CloudFormation in the emulator applies what rota's template says."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError

pytestmark = pytest.mark.usefixtures("aws")
CODE = "def handler(event, context):\n    return 'done'\n"


def function(**properties: Any) -> dict[str, Any]:
    code = {"Handler": "index.handler", "Runtime": "python3.12", "Role": "arn:aws:iam::000000000000:role/f"}
    return {"Type": "AWS::Lambda::Function", "Properties": {**code, "Code": {"ZipFile": CODE}, **properties}}


def table(**properties: Any) -> dict[str, Any]:
    keys = {
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    return {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "items", **keys, **properties}}


def deploy(call: str, **resources: Any) -> None:
    """create or update the stack, and wait until it is."""
    client = boto3.client("cloudformation")
    getattr(client, f"{call}_stack")(StackName="shop", TemplateBody=json.dumps({"Resources": resources}))
    waiter = client.get_waiter(f"stack_{call}_complete")
    waiter.wait(StackName="shop", WaiterConfig={"Delay": 0.1, "MaxAttempts": 200})


def reserved() -> int | None:
    answer = boto3.client("lambda").get_function_concurrency(FunctionName="f")
    found: int | None = answer.get("ReservedConcurrentExecutions")
    return found


def test_reserved_concurrency_is_set_changed_and_lifted() -> None:
    deploy("create", F=function(FunctionName="f", ReservedConcurrentExecutions=0))
    client = boto3.client("lambda", config=Config(retries={"total_max_attempts": 1}))
    assert reserved() == 0
    with pytest.raises(client.exceptions.TooManyRequestsException):
        client.invoke(FunctionName="f")
    deploy("update", F=function(FunctionName="f", ReservedConcurrentExecutions=3))
    assert reserved() == 3
    deploy("update", F=function(FunctionName="f"))
    assert reserved() is None
    assert json.loads(client.invoke(FunctionName="f")["Payload"].read()) == "done"


def test_the_dead_letter_queue_of_a_function_is_set() -> None:
    dead = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "dead"}}
    config = {"TargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}}
    deploy("create", Dead=dead, F=function(FunctionName="f", DeadLetterConfig=config))
    found = boto3.client("lambda").get_function_configuration(FunctionName="f")
    assert found["DeadLetterConfig"] == {"TargetArn": "arn:aws:sqs:us-east-1:000000000000:dead"}
    deploy("update", Dead=dead, F=function(FunctionName="f"))
    assert "DeadLetterConfig" not in boto3.client("lambda").get_function_configuration(FunctionName="f")


def test_time_to_live_of_a_table_is_set_on_creation_and_later() -> None:
    deploy("create", T=table())
    client = boto3.client("dynamodb")
    assert client.describe_time_to_live(TableName="items")["TimeToLiveDescription"]["TimeToLiveStatus"] == "DISABLED"
    deploy("update", T=table(TimeToLiveSpecification={"AttributeName": "expires", "Enabled": True}))
    found = client.describe_time_to_live(TableName="items")["TimeToLiveDescription"]
    assert found == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}


@pytest.mark.parametrize(
    "properties",
    [{"Timeout": 901}, {"Environment": {"Variables": {"LONG": "x" * 4096}}}],
    ids=["timeout", "environment"],
)
def test_what_lambda_refuses_fails_the_stack(properties: dict[str, Any]) -> None:
    with pytest.raises((ClientError, WaiterError)):
        deploy("create", F=function(FunctionName="f", **properties))
    assert not boto3.client("lambda").list_functions()["Functions"]
