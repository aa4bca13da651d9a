"""The functions of a stack, each with a role and a log group of its own, and what calls them: five that every stack
has, and those of batches, maps and pipelines."""

from __future__ import annotations

from typing import Any

from rota.aws.stack.batches import batch_environment, batch_functions
from rota.aws.stack.function import Function, ref
from rota.aws.stack.map import map_environment, map_functions
from rota.aws.stack.parameters import looked_up, only_if
from rota.aws.stack.permission import arn
from rota.aws.stack.pipe import pipe_environment, pipe_functions
from rota.aws.stack.plan import StackPlan, listed
from rota.aws.stack.statements import check_length, statements
from rota.aws.stack.suppress import on_purpose

Json = dict[str, Any]
METRICS = "rota"
"""The namespace of the functions' own metrics."""

_NOT_HERE = {
    "CKV_AWS_117": "calls AWS and public endpoints alone; a VPC would take away the way to both",
    "CKV_AWS_158": "encrypted by a key that AWS owns; logs hold ids and no payloads",
    "CKV_AWS_173": "the environment holds names of resources and no secrets",
}
_MACHINES = "ExtraStateMachineArns"
_BY_QUEUE = "called by a queue, which has a dead-letter queue of its own"
_BY_EVENT = "calls that failed go to FailureQueue, with their error, by the event invoke configuration"


FUNCTIONS: tuple[Function, ...] = (
    Function(
        role="Feeder",
        module="feeder",
        about="Moves what is due soon from the far tier to SQS",
        timeout=ref("FeederTimeout"),
        # Eight feed the most shards that there may be, 32 each; one more pass may begin meanwhile.
        concurrency=10,
    ),
    Function(
        role="Dispatcher",
        module="dispatcher",
        about="Decides ticks and fires targets",
        timeout=ref("DispatcherTimeout"),
        concurrency=ref("DispatcherConcurrency"),
        queues=(("DispatchQueue", 10),),
    ),
    Function(
        role="Worker",
        module="worker",
        about="Runs the app's tasks and chunks",
        timeout=ref("WorkerTimeout"),
        memory="WorkerMemory",
        concurrency=ref("WorkerConcurrency"),
        # A task may take all of the timeout, so it is alone in its batch.
        queues=(("WorkerQueue", 1),),
        user_code=True,
    ),
    Function(
        role="AdHoc",
        module="adhoc",
        about="Takes ad-hoc schedules from invocations and its URL",
        timeout=60,
        concurrency=ref("AdHocConcurrency"),
        url=True,
    ),
    Function(
        role="DeadLetters",
        module="dead",
        about="Records what dispatcher and worker could not handle",
        timeout=ref("DispatcherTimeout"),
        concurrency=4,
        queues=(("DispatchDeadQueue", 10), ("WorkerDeadQueue", 10)),
    ),
)


def functions_of(plan: StackPlan) -> tuple[Function, ...]:
    """Every function of a stack."""
    return FUNCTIONS + batch_functions(plan) + pipe_functions(plan) + map_functions(plan)


def functions(plan: StackPlan) -> Json:
    """Functions, roles and log groups."""
    found: Json = {}
    for function in functions_of(plan):
        name = function.role
        found[f"{name}Logs"] = _logs(name)
        found[f"{name}Role"] = _role(function, plan)
        found[name] = _function(function, plan)
    return found | {"FeederAgainPolicy": _again_policy(plan)} | _extras()


def _again_policy(plan: StackPlan) -> Json:
    return {
        "Type": "AWS::IAM::ManagedPolicy",
        "Properties": {
            "Description": "Lets the feeder pass shards to another of its kind",
            "Roles": [ref("FeederRole")],
            "PolicyDocument": {"Version": "2012-10-17", "Statement": statements("Feeder", plan, apart=True)},
        },
    }


def _logs(name: str) -> Json:
    return {
        "Type": "AWS::Logs::LogGroup",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Metadata": on_purpose({"CKV_AWS_158": _NOT_HERE["CKV_AWS_158"]}),
        "Properties": {
            "LogGroupName": {"Fn::Sub": f"/rota/${{AWS::StackName}}/{name}"},
            "RetentionInDays": ref("LogRetentionDays"),
        },
    }


def _role(function: Function, plan: StackPlan) -> Json:
    check_length(function.role, plan)
    document = {"Version": "2012-10-17", "Statement": statements(function.role, plan, f"{function.role}Logs")}
    properties: Json = {
        "Description": function.about,
        "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
            ],
        },
        "Policies": [{"PolicyName": "rota", "PolicyDocument": document}],
    }
    if function.user_code:
        properties["ManagedPolicyArns"] = only_if("HasWorkerPolicyArns", ref("WorkerPolicyArns"))
    return {"Type": "AWS::IAM::Role", "Properties": properties}


def _function(function: Function, plan: StackPlan) -> Json:
    name = function.role
    reserved = only_if("ReserveConcurrency", function.concurrency)
    properties: Json = {
        "Description": function.about,
        "CodeUri": plan.worker_code if function.user_code else plan.engine_code,
        "Handler": f"rota.aws.handlers.{function.module}.handler",
        "Runtime": plan.platform.runtime,
        "Architectures": [plan.platform.architecture],
        "MemorySize": ref(function.memory),
        "Timeout": function.timeout,
        "Role": arn(f"{name}Role"),
        "Tracing": "Active",
        "ReservedConcurrentExecutions": reserved,
        "LoggingConfig": {"LogGroup": ref(f"{name}Logs")},
        "Environment": {"Variables": _environment(function, plan)},
    }
    if function.disk > 512:
        properties["EphemeralStorage"] = {"Size": function.disk}
    if function.queues:
        properties["Events"] = {
            queue: {"Type": "SQS", "Properties": _mapping(queue, size, function)} for queue, size in function.queues
        }
    if name == "Feeder":
        properties["Events"] = {"Periodic": {"Type": "Schedule", "Properties": _periodic()}}
        # The next pass does what this one did not, so a pass is not tried again, but what is wrong with it is kept.
        properties["EventInvokeConfig"] = _failures_kept(attempts=0, age=60)
    if function.hourly:
        properties["Events"] = {"Hourly": {"Type": "Schedule", "Properties": _hourly()}}
        properties["EventInvokeConfig"] = _failures_kept(attempts=1, age=3600)
    if function.url:
        properties["FunctionUrlConfig"] = {"AuthType": "AWS_IAM", "InvokeMode": "BUFFERED"}
    if not function.queues and "EventInvokeConfig" not in properties:
        properties["EventInvokeConfig"] = _failures_kept(attempts=2, age=21_600)
    reasons = {"CKV_AWS_117": _NOT_HERE["CKV_AWS_117"], "CKV_AWS_173": _NOT_HERE["CKV_AWS_173"]}
    reasons["CKV_AWS_116"] = _BY_QUEUE if function.queues else _BY_EVENT
    return {
        "Type": "AWS::Serverless::Function",
        # The bundle is whole; `sam build` has nothing to add to it.
        "Metadata": {"SkipBuild": True, **on_purpose(reasons)},
        "Properties": properties,
    }


def _environment(function: Function, plan: StackPlan) -> Json:
    found: Json = {
        "ROTA_STACK": ref("AWS::StackName"),
        "ROTA_TABLE": ref("Table"),
        "ROTA_DISPATCH_QUEUE_URL": ref("DispatchQueue"),
        "ROTA_WORKER_QUEUE_URL": ref("WorkerQueue"),
        "ROTA_DEAD_QUEUE_URL": ref("DeadQueue"),
        "ROTA_BUCKET": ref("Bucket"),
        "ROTA_HORIZON": looked_up("Period", "FeederPeriod", "Horizon"),
        "ROTA_FEEDER_PERIOD": looked_up("Period", "FeederPeriod", "Seconds"),
        "ROTA_RETENTION_DAYS": ref("RetentionDays"),
        "ROTA_QUEUE_PREFIX": queue_prefix(),
        "ROTA_LARGE_PAYLOADS": {"Fn::If": ["LargePayloads", "1", "0"]},
        "ROTA_SHARDS": ref("Shards"),
        "ROTA_TRACING": {"Fn::If": ["TraceCalls", "1", "0"]},
        "POWERTOOLS_SERVICE_NAME": ref("AWS::StackName"),
        "POWERTOOLS_METRICS_NAMESPACE": METRICS,
        "POWERTOOLS_LOG_LEVEL": ref("LogLevel"),
    }
    if function.user_code:
        found["ROTA_APP"] = plan.module
    if function in batch_functions(plan) + map_functions(plan) + pipe_functions(plan) or function.user_code:
        found |= batch_environment(plan) | pipe_environment(plan, function.role)
    elif function.role == "AdHoc":
        # It refuses what the stack could not fire.
        found |= batch_environment(plan)
        told = {"ROTA_TASKS": listed(plan.tasks), "ROTA_BATCHES": listed(plan.batches)}
        found |= {variable: names for variable, names in told.items() if names is not None}
    found |= map_environment(plan, function.role)
    return found


def queue_prefix() -> Json:
    """What the URLs of embedded queues begin with; their names follow."""
    return {"Fn::Sub": "https://sqs.${AWS::Region}.${AWS::URLSuffix}/${AWS::AccountId}/${AWS::StackName}-"}


def _mapping(queue: str, size: int, function: Function) -> Json:
    return {
        "Queue": arn(queue),
        "BatchSize": size,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": 2 if isinstance(function.concurrency, int) else function.concurrency},
    }


def _periodic() -> Json:
    return {
        "Schedule": looked_up("Period", "FeederPeriod", "Rate"),
        "Description": "Passes of the feeder",
        "Enabled": True,
        "RetryPolicy": {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 60},
        "DeadLetterConfig": {"Arn": arn("FailureQueue")},
    }


def _hourly() -> Json:
    return {
        "Schedule": "rate(1 hour)",
        "Description": "Rounds of the sweeper",
        "Enabled": True,
        "RetryPolicy": {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 3600},
        "DeadLetterConfig": {"Arn": arn("FailureQueue")},
    }


def _failures_kept(attempts: int, age: int) -> Json:
    return {
        "MaximumRetryAttempts": attempts,
        "MaximumEventAgeInSeconds": age,
        "DestinationConfig": {"OnFailure": {"Type": "SQS", "Destination": arn("FailureQueue")}},
    }


def _extras() -> Json:
    """Permissions for targets that no schedule of the app names, as the parameters list them."""
    given: tuple[tuple[str, list[str], tuple[str, ...]], ...] = (
        ("ExtraFunctionArns", ["lambda:InvokeFunction"], ("Dispatcher",)),
        ("ExtraQueueArns", ["sqs:SendMessage"], ("AdHoc", "DeadLetters", "Dispatcher", "Feeder", "Worker")),
        (_MACHINES, ["states:StartExecution", "states:StartSyncExecution"], ("Dispatcher",)),
        ("ExtraEventBusArns", ["events:DescribeEventBus", "events:PutEvents"], ("Dispatcher",)),
    )
    ask = {"Effect": "Allow", "Action": ["states:DescribeExecution"], "Resource": _executions_of(_MACHINES)}
    return {
        f"{parameter}Policy": {
            "Type": "AWS::IAM::ManagedPolicy",
            "Condition": f"Has{parameter}",
            "Properties": {
                "Description": f"What the parameter {parameter} adds",
                "Roles": [ref(f"{role}Role") for role in roles],
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {"Effect": "Allow", "Action": actions, "Resource": ref(parameter)},
                        *([ask] if parameter == _MACHINES else []),
                    ],
                },
            },
        }
        for parameter, actions, roles in given
    }


def _executions_of(parameter: str) -> Json:
    """The executions of the state machines that a parameter lists. CloudFormation has no loop, but it can take a text
    apart and put it together."""
    machines = {"Fn::Join": ["", [{"Fn::Join": [":*,", ref(parameter)]}, ":*"]]}
    executions = {"Fn::Join": [":execution:", {"Fn::Split": [":stateMachine:", machines]}]}
    return {"Fn::Split": [",", executions]}
