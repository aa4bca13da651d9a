"""What pipelines add to a stack whose app declares some: a queue and its dead-letter queue, five functions, the
workflow, and a rule for each pipeline that starts it by the parameter PipelineSchedule."""

from __future__ import annotations

from typing import Any

from rota.aws.stack.function import Function, ref
from rota.aws.stack.parameters import only_if
from rota.aws.stack.permission import arn
from rota.aws.stack.pipe_states import PROCESS_SECONDS, WHOLE_SECONDS, WRITE_SECONDS, pipeline_states
from rota.aws.stack.plan import StackPlan
from rota.aws.stack.suppress import on_purpose

Json = dict[str, Any]
STARTER_SECONDS = WHOLE_SECONDS + 10
VISIBLE = STARTER_SECONDS + 30
"""Seconds: longer than a starter and its workflow may take. Each reader of the queue has its own concurrency, so no
batch is throttled and handed out again; what is in hand is hidden a little at a time, so a death shows."""
PIPELINE_QUEUES: tuple[tuple[str, str | None], ...] = (
    ("PipelineQueue", "PipelineDeadQueue"),
    ("PipelineDeadQueue", None),
)
"""FIFO queues, each with its dead-letter queue."""
SCHEDULED = "HasPipelineSchedule"
"""The condition that no stack without pipelines has."""

_FUNCTIONS: tuple[Function, ...] = (
    Function(
        role="PipeReader",
        module="pipe_reader",
        about="Starts pipelines, and reads what they are to work on",
        timeout=240,
        memory="WorkerMemory",
        concurrency=4,
        user_code=True,
        url=True,
    ),
    Function(
        role="PipeStarter",
        module="pipe_starter",
        about="Runs the workflow of each chunk of a pipeline",
        timeout=STARTER_SECONDS,
        concurrency=ref("BatchConcurrency"),
        queues=(("PipelineQueue", 1),),
    ),
    Function(
        role="PipeProcess",
        module="pipe_process",
        about="Attempts the items of a chunk of a pipeline",
        timeout=PROCESS_SECONDS,
        memory="WorkerMemory",
        concurrency=ref("BatchConcurrency"),
        user_code=True,
    ),
    Function(
        role="PipeWrite",
        module="pipe_write",
        about="Writes what came of a chunk of a pipeline",
        timeout=WRITE_SECONDS,
        memory="WorkerMemory",
        concurrency=ref("BatchConcurrency"),
        user_code=True,
    ),
    Function(
        role="PipeDead",
        module="pipe_dead",
        about="Counts what a pipeline could not do",
        timeout=PROCESS_SECONDS,
        memory="WorkerMemory",
        concurrency=2,
        queues=(("PipelineDeadQueue", 1),),
        user_code=True,
    ),
)


def pipe_functions(plan: StackPlan) -> tuple[Function, ...]:
    """The functions of pipelines; none without any."""
    return _FUNCTIONS if plan.pipelines else ()


def pipe_environment(plan: StackPlan, role: str) -> Json:
    """What functions that send chunks are told. role: of the function; the starter alone knows the workflow, whose
    functions must not know it."""
    if not plan.pipelines:
        return {}
    machine = {"ROTA_PIPELINE_MACHINE_ARN": ref("PipelineMachine")} if role == "PipeStarter" else {}
    return {"ROTA_PIPELINE_QUEUE_URL": ref("PipelineQueue"), **machine}


def pipe_outputs(plan: StackPlan) -> dict[str, tuple[str, Any]]:
    """What clients are told."""
    if not plan.pipelines:
        return {}
    return {
        "PipelineQueueUrl": ("Chunks of pipelines", ref("PipelineQueue")),
        "PipelineDeadQueueUrl": ("What workflows of pipelines gave up", ref("PipelineDeadQueue")),
        "PipelineMachineArn": ("The workflow of a chunk", ref("PipelineMachine")),
        "PipelineReaderName": ("The function that starts pipelines", ref("PipeReader")),
        "PipelineReaderUrl": (
            "Its URL, for requests signed with IAM",
            {"Fn::GetAtt": ["PipeReaderUrl", "FunctionUrl"]},
        ),
    }


def pipe_resources(plan: StackPlan, machine_statements: list[Json]) -> Json:
    """The workflow and the rules. machine_statements: what the workflow may do."""
    if not plan.pipelines:
        return {}
    return {
        "PipelineMachine": _machine(),
        "PipelineMachineRole": _machine_role(machine_statements),
        "PipelineMachineLogs": {
            "Type": "AWS::Logs::LogGroup",
            "DeletionPolicy": "Delete",
            "UpdateReplacePolicy": "Delete",
            "Metadata": on_purpose({"CKV_AWS_158": "encrypted by a key that AWS owns; logs hold ids and no items"}),
            "Properties": {
                # The name under which Step Functions may write without a policy of the log group's own.
                "LogGroupName": {"Fn::Sub": "/aws/vendedlogs/states/${AWS::StackName}-pipeline"},
                "RetentionInDays": ref("LogRetentionDays"),
            },
        },
        "PipelineRulePermission": {
            "Type": "AWS::Lambda::Permission",
            "Condition": SCHEDULED,
            "Properties": {
                "Action": "lambda:InvokeFunction",
                "FunctionName": ref("PipeReader"),
                "Principal": "events.amazonaws.com",
                "SourceAccount": ref("AWS::AccountId"),
            },
        },
        **{_rule_name(number): _rule(batch) for number, batch in enumerate(plan.pipelines)},
    }


def pipe_rules(plan: StackPlan) -> list[Any]:
    """The ARNs of the rules, which send to FailureQueue what does not get through."""
    return [only_if(SCHEDULED, arn(_rule_name(number))) for number in range(len(plan.pipelines))]


def _rule_name(number: int) -> str:
    return f"PipelineRule{number}"


def _machine() -> Json:
    names = {"Process": arn("PipeProcess"), "Write": arn("PipeWrite"), "DeadQueue": ref("PipelineDeadQueue")}
    return {
        "Type": "AWS::Serverless::StateMachine",
        "Properties": {
            "Type": "EXPRESS",
            "Role": arn("PipelineMachineRole"),
            "Definition": pipeline_states("${Process}", "${Write}", "${DeadQueue}"),
            "DefinitionSubstitutions": names,
            "Tracing": {"Enabled": True},
            "Logging": {
                "Level": "ERROR",
                "IncludeExecutionData": False,
                "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": arn("PipelineMachineLogs")}}],
            },
        },
    }


def _machine_role(statements: list[Json]) -> Json:
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "Description": "The workflow of a chunk of a pipeline",
            "AssumeRolePolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
                ],
            },
            "Policies": [{"PolicyName": "rota", "PolicyDocument": {"Version": "2012-10-17", "Statement": statements}}],
        },
    }


def _rule(batch: str) -> Json:
    return {
        "Type": "AWS::Events::Rule",
        "Condition": SCHEDULED,
        "Properties": {
            "Description": {"Fn::Sub": f"Starts the pipeline {batch} of ${{AWS::StackName}}"},
            "ScheduleExpression": ref("PipelineSchedule"),
            "State": "ENABLED",
            "Targets": [
                {
                    "Id": "Reader",
                    "Arn": arn("PipeReader"),
                    "InputTransformer": {
                        "InputPathsMap": {"time": "$.time"},
                        "InputTemplate": f'{{"batch": "{batch}", "scheduled": <time>}}',
                    },
                    "RetryPolicy": {"MaximumRetryAttempts": 10, "MaximumEventAgeInSeconds": 3600},
                    "DeadLetterConfig": {"Arn": arn("FailureQueue")},
                }
            ],
        },
    }
