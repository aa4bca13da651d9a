"""Step Functions in the emulator: batches of items, written results, and the delays of retriers."""

from __future__ import annotations

import json
import time
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from tests.aws import lambdas

from rota.testing.emulator import Emulator
from rota.testing.emulator.patches.stepfunctions import with_its_delay

pytestmark = pytest.mark.usefixtures("aws")
ROLE = "arn:aws:iam::000000000000:role/states"


def run(definition: dict[str, Any], given: object, kind: str = "STANDARD", seconds: float = 120) -> dict[str, Any]:
    """Start an execution; answers its description once it has ended."""
    client = boto3.client("stepfunctions")
    made = client.create_state_machine(name="machine", definition=json.dumps(definition), roleArn=ROLE, type=kind)
    started = client.start_execution(stateMachineArn=made["stateMachineArn"], input=json.dumps(given))
    until = time.monotonic() + seconds
    while True:
        found: dict[str, Any] = client.describe_execution(executionArn=started["executionArn"])
        if found["status"] != "RUNNING":
            return found
        assert time.monotonic() < until, "it did not end"
        time.sleep(0.05)


def distributed(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "One",
        "States": {"One": {"End": True, **state}},
    }
    return {"StartAt": "Map", "States": {"Map": {"Type": "Map", "End": True, "ItemProcessor": processor, **more}}}


def batched(given: list[object], batcher: dict[str, Any], **more: Any) -> list[Any]:
    definition = distributed({"Type": "Pass"}, ItemsPath="$.items", ItemBatcher=batcher, **more)
    found = run(definition, {"items": given, "shop": 7})
    assert found["status"] == "SUCCEEDED", found
    output: list[Any] = json.loads(found["output"])
    return output


def test_items_are_batched_by_count_with_what_they_share() -> None:
    batcher = {"MaxItemsPerBatch": 2, "BatchInput": {"shop.$": "$.shop"}}
    assert batched([1, 2, 3], batcher) == [
        {"Items": [1, 2], "BatchInput": {"shop": 7}},
        {"Items": [3], "BatchInput": {"shop": 7}},
    ]


def test_items_are_batched_by_size() -> None:
    sizes = [len(it["Items"]) for it in batched(["x" * 50] * 5, {"MaxInputBytesPerBatch": 120})]
    assert sizes == [2, 2, 1]


def test_numbers_of_a_map_are_taken_from_its_input() -> None:
    definition = distributed(
        {"Type": "Fail"},
        ItemsPath="$.items",
        ItemBatcher={"MaxItemsPerBatchPath": "$.size"},
        MaxConcurrencyPath="$.size",
        ToleratedFailureCountPath="$.count",
        ToleratedFailurePercentagePath="$.percent",
    )
    given = {"items": [1, 2, 3], "size": 2, "count": 2, "percent": 100}
    assert run(definition, given)["status"] == "SUCCEEDED"
    [map_run] = _map_runs()
    assert (map_run["maxConcurrency"], map_run["toleratedFailureCount"]) == (2, 2)
    assert map_run["itemCounts"]["failed"] == 2, "batches, here"


def _map_runs() -> list[dict[str, Any]]:
    client = boto3.client("stepfunctions")
    [machine] = client.list_state_machines()["stateMachines"]
    [execution] = client.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
    found = client.list_map_runs(executionArn=execution["executionArn"])["mapRuns"]
    return [client.describe_map_run(mapRunArn=it["mapRunArn"]) for it in found]


def test_items_are_selected_before_they_are_batched() -> None:
    selector = {"value.$": "$$.Map.Item.Value", "index.$": "$$.Map.Item.Index"}
    [batch] = batched(["a", "b"], {"MaxItemsPerBatch": 5}, ItemSelector=selector)
    assert batch["Items"] == [{"value": "a", "index": 0}, {"value": "b", "index": 1}]


@pytest.mark.parametrize("body", [b'[{"id": 1}, {"id": 2', b"[1, \xff]"])
def test_a_file_that_cannot_be_read_is_an_error_of_the_reader_that_can_be_caught(body: bytes) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="files")
    s3.put_object(Bucket="files", Key="broken.json", Body=body)
    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSON"},
        "Parameters": {"Bucket": "files", "Key": "broken.json"},
    }
    caught = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.problem", "Next": "Told"}]
    definition = distributed({"Type": "Pass"}, ItemReader=reader, ItemBatcher={"MaxItemsPerBatch": 2}, Catch=caught)
    definition["States"]["Told"] = {"Type": "Succeed"}
    found = run(definition, {})
    assert (found["status"], json.loads(found["output"])["problem"]["Error"]) == (
        "SUCCEEDED",
        "States.ItemReaderFailed",
    )


def test_results_are_written_with_a_manifest() -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="results")
    writer = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "results", "Prefix": "out"}}
    choice = {"Type": "Choice", "Choices": [{"Variable": "$", "NumericEquals": 2, "Next": "Bad"}], "Default": "Good"}
    definition = distributed({}, ItemsPath="$", ResultWriter=writer, ToleratedFailurePercentage=50, ResultPath="$")
    states = definition["States"]["Map"]["ItemProcessor"]["States"]
    states |= {"One": choice, "Bad": {"Type": "Fail", "Error": "Odd", "Cause": "why"}, "Good": {"Type": "Succeed"}}
    found = run(definition, [1, 2, 3])
    assert found["status"] == "SUCCEEDED", found
    details = json.loads(found["output"])["ResultWriterDetails"]

    def read(key: str) -> Any:
        return json.loads(s3.get_object(Bucket=details["Bucket"], Key=key)["Body"].read())

    files = read(details["Key"])["ResultFiles"]
    assert details["Key"].startswith("out/")
    assert files["PENDING"] == []
    assert sorted(row["Output"] for row in read(files["SUCCEEDED"][0]["Key"])) == ["1", "3"]
    assert [(row["Input"], row["Error"]) for row in read(files["FAILED"][0]["Key"])] == [("2", "Odd")]


def delays(**retrier: Any) -> list[float]:
    """What comes between four attempts."""
    rule = {"IntervalSeconds": 2, "BackoffRate": 3, **retrier}
    find = with_its_delay(lambda retriers, error, counts: (rule, 0))
    found = [find([rule], "States.ALL", {0: retries})[0] for retries in range(3)]
    assert [it["BackoffRate"] for it in found] == [1.0] * 3
    return [it["IntervalSeconds"] for it in found]


def test_the_longest_delay_of_a_retrier_holds() -> None:
    assert delays() == [2, 6, 18]
    assert delays(MaxDelaySeconds=10) == [2, 6, 10]
    assert delays(MaxDelaySeconds=1) == [1, 1, 1]


def test_jitter_makes_retries_come_sooner() -> None:
    some = [delays(JitterStrategy="FULL", MaxDelaySeconds=10) for _ in range(50)]
    assert all(0 <= delay <= longest for found in some for delay, longest in zip(found, (2, 6, 10), strict=True))
    assert len({tuple(found) for found in some}) == 50


def test_a_task_is_retried_as_often_as_its_retrier_says(aws: Emulator) -> None:
    lambdas.create("f", "def handler(event, context):\n    raise ValueError\n")
    rule = {"ErrorEquals": ["ValueError"], "MaxAttempts": 2, "IntervalSeconds": 60, "MaxDelaySeconds": 1}
    arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
    task = {"Type": "Task", "Resource": arn, "End": True, "Retry": [rule]}
    found = run({"StartAt": "T", "States": {"T": task}}, {})
    assert (found["status"], found["error"]) == ("FAILED", "ValueError")
    assert aws.counts()["internal.lambda.Execute:f"].requests == 3


TWO = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "End": True}}}


def test_a_standard_workflow_is_billed_by_transitions(aws: Emulator) -> None:
    run(TWO, {})
    assert aws.billed() == {"transitions": 2}


def test_retries_are_transitions(aws: Emulator) -> None:
    rule = {"ErrorEquals": ["States.ALL"], "MaxAttempts": 2, "IntervalSeconds": 60, "MaxDelaySeconds": 0}
    arn = "arn:aws:lambda:us-east-1:000000000000:function:none"
    run({"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": arn, "End": True, "Retry": [rule]}}}, {})
    assert aws.billed()["transitions"] == 3


def test_an_express_workflow_is_billed_by_time(aws: Emulator) -> None:
    boto3.client("stepfunctions").create_state_machine(
        name="express", definition=json.dumps(TWO), roleArn=ROLE, type="EXPRESS"
    )
    arn = "arn:aws:states:us-east-1:000000000000:stateMachine:express"
    boto3.client("stepfunctions").start_sync_execution(stateMachineArn=arn, input="{}")
    found = aws.billed()
    assert found["express_requests"] == 1
    assert found["express_gb_seconds"] >= 0.1 * 64 / 1024
    assert "transitions" not in found


@pytest.mark.parametrize(("kind", "billed"), [("STANDARD", {"transitions": 7}), ("EXPRESS", {"transitions": 4})])
def test_the_children_of_a_map_are_billed_as_their_kind_is(aws: Emulator, kind: str, billed: dict[str, int]) -> None:
    definition = distributed({"Type": "Pass"}, ItemsPath="$")
    definition["States"]["Map"]["ItemProcessor"]["ProcessorConfig"]["ExecutionType"] = kind
    run(definition, [1, 2, 3])
    found = aws.billed()
    assert found.pop("express_requests", 0) == (3 if kind == "EXPRESS" else 0)
    found.pop("express_gb_seconds", None)
    assert found == billed


def test_an_input_that_is_too_long_is_refused() -> None:
    with pytest.raises(ClientError) as refused:
        run({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}, "x" * 256 * 1024)
    assert refused.value.response["Error"]["Code"] == "InvalidExecutionInput"
