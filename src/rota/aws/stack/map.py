"""What maps add to a stack whose app declares some: a state machine, two functions, and a queue that is told of batch
runs that failed."""

from __future__ import annotations

import json
from typing import Any

from rota.aws.batch.map_machine import machine
from rota.aws.batch.messages import VERSION
from rota.aws.stack.function import Function, ref
from rota.aws.stack.map_statements import NAME
from rota.aws.stack.permission import arn
from rota.aws.stack.plan import MAP_FAILURES, StackPlan
from rota.aws.stack.statements import queue_resource
from rota.aws.stack.suppress import on_purpose

Json = dict[str, Any]
MAP_RULE = "MapEndedRule"
_STARTERS = ("Planner", "Worker")
"""Functions that start maps, or check whether the stack has them. Those of maps themselves cannot be told."""
_FUNCTIONS: tuple[Function, ...] = (
    Function(
        role="Mapper",
        module="mapper",
        about="Prepares map runs and finishes them",
        timeout=ref("PlannerTimeout"),
        concurrency=4,
    ),
    Function(
        role="MapWorker",
        module="mapworker",
        about="Runs the app's tasks on the items of map runs",
        timeout=ref("BatchTimeout"),
        memory="WorkerMemory",
        concurrency=ref("BatchConcurrency"),
        user_code=True,
    ),
)


def map_functions(plan: StackPlan) -> tuple[Function, ...]:
    """The functions of maps; none without any."""
    return _FUNCTIONS if plan.maps else ()


def map_environment(plan: StackPlan, role: str) -> Json:
    """What functions of maps, and those that start them, are told. role: of the function."""
    if not plan.maps:
        return {}
    if role == "Mapper":
        return {"ROTA_BATCH_SECONDS": ref("BatchTimeout")}
    return {"ROTA_MAP_MACHINE_ARN": ref("MapMachine")} if role in _STARTERS else {}


def map_outputs(plan: StackPlan) -> dict[str, tuple[str, Any]]:
    """What clients are told."""
    if not plan.maps:
        return {}
    return {
        "MapMachineArn": ("The state machine of maps", ref("MapMachine")),
        "MapFailureQueueUrl": ("Batch runs of maps that failed, with the cause", ref(queue_resource(MAP_FAILURES))),
    }


def map_resources(plan: StackPlan, machine_statements: list[Json]) -> Json:
    """The state machine. machine_statements: what it may do."""
    if not plan.maps:
        return {}
    return {
        "MapMachine": _machine(),
        "MapMachineRole": _machine_role(machine_statements),
        MAP_RULE: _rule(),
        "MapMachineLogs": {
            "Type": "AWS::Logs::LogGroup",
            "DeletionPolicy": "Delete",
            "UpdateReplacePolicy": "Delete",
            "Metadata": on_purpose({"CKV_AWS_158": "encrypted by a key that AWS owns; logs hold ids and no items"}),
            "Properties": {
                # The name under which Step Functions may write without a policy of the log group's own.
                "LogGroupName": {"Fn::Sub": "/aws/vendedlogs/states/${AWS::StackName}-map"},
                "RetentionInDays": ref("LogRetentionDays"),
            },
        },
    }


def map_rules(plan: StackPlan) -> list[Any]:
    """The ARNs of the rules, which send to FailureQueue what does not get through."""
    return [arn(MAP_RULE)] if plan.maps else []


def _rule() -> Json:
    """Tells the planner of executions that did not succeed: some end where none of their own states can tell of it."""
    told = {"kind": "ended", "execution": "<execution>", "v": VERSION}
    return {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "Description": "Executions of maps that ended and did not succeed",
            "State": "ENABLED",
            "EventPattern": {
                "source": ["aws.states"],
                "detail-type": ["Step Functions Execution Status Change"],
                "detail": {"status": ["FAILED", "TIMED_OUT", "ABORTED"], "stateMachineArn": [ref("MapMachine")]},
            },
            "Targets": [
                {
                    "Id": "Planner",
                    "Arn": arn("PlanQueue"),
                    "InputTransformer": {
                        "InputPathsMap": {"execution": "$.detail.executionArn"},
                        "InputTemplate": json.dumps(told),
                    },
                    "RetryPolicy": {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86_400},
                    "DeadLetterConfig": {"Arn": arn("FailureQueue")},
                }
            ],
        },
    }


def _machine() -> Json:
    names = {"Mapper": arn("Mapper"), "MapWorker": arn("MapWorker"), "Failures": ref(queue_resource(MAP_FAILURES))}
    return {
        "Type": "AWS::Serverless::StateMachine",
        "Properties": {
            "Name": {"Fn::Sub": NAME},
            "Type": "STANDARD",
            "Role": arn("MapMachineRole"),
            "Definition": machine("${Mapper}", "${MapWorker}", "${Failures}"),
            "DefinitionSubstitutions": names,
            "Tracing": {"Enabled": True},
            "Logging": {
                "Level": "ERROR",
                "IncludeExecutionData": False,
                "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": arn("MapMachineLogs")}}],
            },
        },
    }


def _machine_role(statements: list[Json]) -> Json:
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "Description": "The state machine of maps",
            "AssumeRolePolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
                ],
            },
            "Policies": [{"PolicyName": "rota", "PolicyDocument": {"Version": "2012-10-17", "Statement": statements}}],
        },
    }
