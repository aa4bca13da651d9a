"""What the functions call is what their roles allow: read from the source, from each handler through its imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name
from tests.aws.deploy.named_targets import app
from tests.aws.deploy.planning import plan_of

from rota.aws.stack.function import Function
from rota.aws.stack.functions import FUNCTIONS, functions_of
from rota.aws.stack.statements import PERMISSIONS, actions_of

SOURCE = Path(__file__).resolve().parents[3] / "src"
SERVICES = {
    "dynamodb": "dynamodb",
    "sqs": "sqs",
    "lambda": "lambda",
    "s3": "s3",
    "states": "stepfunctions",
    "events": "events",
}
CALLING = ("rota.aws.", "rota.targets.")
"""Packages that call AWS."""
UNUSED = {
    "sqs:ListQueues": "of SqsQueues the functions use `send` alone; the command lists queues",
    "sqs:DeleteMessageBatch": "likewise",
    "sqs:ReceiveMessage": "likewise",
    "sqs:GetQueueAttributes": "likewise",
}
BY_LAMBDA = {
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}
"""What Lambda does in the function's name: logs, traces, event source mappings."""


@cache
def calls() -> dict[str, list[str]]:
    """IAM's `service:Call` by the name of the method in boto3."""
    found: dict[str, list[str]] = {}
    for prefix, service in SERVICES.items():
        for name in botocore.session.get_session().get_service_model(service).operation_names:
            found.setdefault(xform_name(name), []).append(f"{prefix}:{name}")
    return found


def file_of(module: str) -> Path | None:
    path = SOURCE / module.replace(".", "/")
    return next((it for it in (path.with_suffix(".py"), path / "__init__.py") if it.is_file()), None)


@cache
def tree_of(module: str) -> ast.Module:
    path = file_of(module)
    assert path is not None
    return ast.parse(path.read_text())


def imports(module: str) -> Iterator[str]:
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def reached(module: str) -> set[str]:
    found: set[str] = set()
    waiting = [module]
    while waiting:
        it = waiting.pop()
        if it not in found and it.startswith("rota.") and file_of(it):
            found.add(it)
            waiting += imports(it)
    return found


def called(module: str) -> set[str]:
    """Calls by the names of methods, also where those stand as text."""
    found: set[str] = set()
    for it in reached(module):
        if it.startswith(CALLING):
            for node in ast.walk(tree_of(it)):
                name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "value", None)
                found |= set(calls().get(name, ())) if isinstance(name, str) else set()
    return found


def allowed(function: Function) -> set[str]:
    return {f"{row.service}:{call}" for row in PERMISSIONS[function.role] for call in row.calls}


ALL = functions_of(plan_of(app))
# Functions of batch runs share the module that puts their parts together: see `test_batch_calls`.
HANDLERS = [it for it in FUNCTIONS if file_of(f"rota.aws.handlers.{it.module}")]


@pytest.mark.parametrize("function", HANDLERS, ids=lambda it: it.role)
def test_what_a_function_calls_it_may(function: Function) -> None:
    found = called(f"rota.aws.handlers.{function.module}")
    assert found - allowed(function) - UNUSED.keys() == set()


@pytest.mark.parametrize("function", HANDLERS, ids=lambda it: it.role)
def test_what_a_function_may_it_or_lambda_calls(function: Function) -> None:
    assert allowed(function) - called(f"rota.aws.handlers.{function.module}") - BY_LAMBDA == set()


def test_what_lambda_does_is_allowed_to_every_function() -> None:
    for function in ALL:
        actions = {action for row in PERMISSIONS[function.role] for action in actions_of(row)}
        assert (actions >= BY_LAMBDA) == bool(function.queues), function.role


@pytest.mark.parametrize("function", HANDLERS, ids=lambda it: it.role)
def test_who_hands_over_may_send_wherever_that_leads(function: Function) -> None:
    hands_over = "rota.aws.handover" in reached(f"rota.aws.handlers.{function.module}")
    sends = {row.on for row in PERMISSIONS[function.role] if "SendMessageBatch" in row.calls}
    assert hands_over == ({"dispatch", "work", "queues", "targets.sqs"} <= sends)


@pytest.mark.parametrize("function", HANDLERS, ids=lambda it: it.role)
def test_who_copies_dead_letters_may_send_there(function: Function) -> None:
    copies = "rota.aws.dead_copies" in reached(f"rota.aws.handlers.{function.module}")
    assert copies == any(row.on == "dead" for row in PERMISSIONS[function.role])
