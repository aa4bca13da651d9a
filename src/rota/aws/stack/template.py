"""The SAM template of a stack, put together from its parts.

It is written as JSON, which every tool that reads a template takes, and nothing in it depends on when or where it was
made: the same app and the same rota give the same bytes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rota.aws.stack.alarms import alarms
from rota.aws.stack.batches import batch_outputs
from rota.aws.stack.functions import functions, queue_prefix
from rota.aws.stack.map import map_outputs, map_resources
from rota.aws.stack.parameters import conditions, declared_parameters, looked_up, mappings
from rota.aws.stack.pipe import SCHEDULED, pipe_outputs, pipe_resources
from rota.aws.stack.plan import DATA, StackPlan, listed
from rota.aws.stack.statements import check_length, queue_resource, statements
from rota.aws.stack.storage import storage

Json = dict[str, Any]
LARGEST = 1024 * 1024
"""Bytes that CloudFormation takes as a template, from a bucket."""


def build_template(plan: StackPlan) -> Json:
    """The template as data."""
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Transform": "AWS::Serverless-2016-10-31",
        "Description": f"rota {plan.version}: schedules of {plan.app}",
        "Metadata": {"AWS::ServerlessRepo::Application": _repository_entry(plan)},
        "Parameters": declared_parameters(),
        "Mappings": mappings(),
        "Conditions": {name: it for name, it in conditions().items() if plan.pipelines or name != SCHEDULED},
        "Resources": {
            **storage(plan),
            **functions(plan),
            **pipe_resources(plan, statements("PipelineMachine", plan)),
            **map_resources(plan, statements("MapMachine", plan)),
            "ClientPolicy": _client_policy(plan),
            **alarms(plan),
        },
        "Outputs": _outputs(plan),
    }


def encode_template(template: Json) -> bytes:
    """The template as the text of a file."""
    return msgspec.json.format(msgspec.json.encode(template), indent=2) + b"\n"


def _repository_entry(plan: StackPlan) -> Json:
    """What `sam publish` tells the Serverless Application Repository; the readme lies beside the template."""
    return {
        "Name": _repository_name(plan.app),
        "Description": f"Schedules of {plan.app}, run by rota",
        "Author": "rota",
        "ReadmeUrl": "README.md",
        "Labels": ["scheduler", "cron", "sqs", "dynamodb"],
        "SemanticVersion": plan.version,
    }


def _repository_name(app: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in app)[:140]


def _client_policy(plan: StackPlan) -> Json:
    check_length("Client", plan)
    return {
        "Type": "AWS::IAM::ManagedPolicy",
        "Properties": {
            "Description": "For people and programs that use rota's client and command on this stack",
            "PolicyDocument": {"Version": "2012-10-17", "Statement": statements("Client", plan)},
        },
    }


def _outputs(plan: StackPlan) -> Json:
    values: dict[str, tuple[str, Any]] = {
        "AppName": ("The app", plan.app),
        "Version": ("The version of rota in the bundles", plan.version),
        "Region": ("Where the stack is", {"Ref": "AWS::Region"}),
        "Table": ("The table", {"Ref": "Table"}),
        "BucketName": ("The bucket", {"Ref": "Bucket"}),
        "DispatchQueueUrl": ("What the dispatcher reads", {"Ref": "DispatchQueue"}),
        "WorkerQueueUrl": ("What the worker reads", {"Ref": "WorkerQueue"}),
        "DeadQueueUrl": ("Copies of dead letters, for whoever wants them", {"Ref": "DeadQueue"}),
        "DataQueueUrl": ("Where the data of ad-hoc schedules appears", {"Ref": queue_resource(DATA)}),
        "FailureQueueUrl": ("Passes and asynchronous calls that failed", {"Ref": "FailureQueue"}),
        "UnreadQueueUrl": ("What consumers of the app's queues did not take", {"Ref": "UnreadQueue"}),
        "QueuePrefix": ("The URL of an embedded queue, but for its name", queue_prefix()),
        "Horizon": ("Seconds that the feeder looks ahead", looked_up("Period", "FeederPeriod", "Horizon")),
        "FeederPeriod": ("Seconds between its passes", looked_up("Period", "FeederPeriod", "Seconds")),
        "RetentionDays": ("Days that runs, ticks and dead letters are kept", {"Ref": "RetentionDays"}),
        "LargePayloads": (
            "1 if data over the limit of SQS goes to the bucket",
            {"Fn::If": ["LargePayloads", "1", "0"]},
        ),
        "FeederName": ("The feeder", {"Ref": "Feeder"}),
        "DispatcherName": ("The dispatcher", {"Ref": "Dispatcher"}),
        "WorkerName": ("The worker", {"Ref": "Worker"}),
        "AdHocName": ("The function that takes ad-hoc schedules", {"Ref": "AdHoc"}),
        "AdHocUrl": ("Its URL, for requests signed with IAM", {"Fn::GetAtt": ["AdHocUrl", "FunctionUrl"]}),
        "ClientPolicyArn": ("Attach it to whoever uses rota's client on this stack", {"Ref": "ClientPolicy"}),
    }
    named = {
        "QueueNames": ("The app's queues", listed(plan.queues)),
        "TaskNames": ("The app's tasks", listed(plan.tasks)),
        "BatchNames": ("The app's batches", listed(plan.batches)),
    }
    values |= {name: (about, names) for name, (about, names) in named.items() if names is not None}
    values |= batch_outputs(plan) | pipe_outputs(plan) | map_outputs(plan)
    return {name: {"Description": about, "Value": value} for name, (about, value) in values.items()}
