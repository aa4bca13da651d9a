"""What the functions of batch runs call is what their roles allow, both ways, read from the source.

All of them import the module that puts the parts of batch runs together, so imports alone would not tell them apart:
of that module, only the members that a handler asks for count, and what those name in turn.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

import pytest
from tests.aws.deploy.test_calls import ALL, BY_LAMBDA, allowed, calls, file_of, imports, tree_of

from rota.aws.stack.function import Function
from rota.aws.stack.functions import FUNCTIONS
from rota.aws.stack.statements import PERMISSIONS

ASSEMBLY = "rota.aws.batch.assembly"
SHARED = "rota.aws.handlers.batching"
CALLING = ("rota.aws.", "rota.targets.", "rota.connectors.")
"""Packages that call AWS."""
ACTIONS = {
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:UploadPart": "s3:PutObject",
    "s3:UploadPartCopy": "s3:PutObject",
}
"""IAM's words for calls, where they are others."""
BOTH = {"s3:GetObject": "s3:GetObjectVersion"}
"""Calls that need another permission too, since sources are read by version where the bucket keeps versions."""
UNUSED = {
    "dynamodb:Scan": "a word of CSV's",
    "states:StartSyncExecution": "of the target for Step Functions, maps take what names an execution alone",
}
_SOURCES = {"s3:GetObjectVersion"}
_SINKS = {"dynamodb:DescribeTable", "s3:AbortMultipartUpload", "s3:ListBucketMultipartUploads"}
_MAPS = {"states:DescribeExecution", "states:StartExecution"}
_STORES = {
    "dynamodb:BatchGetItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:TransactWriteItems",
    "dynamodb:UpdateItem",
}
_FILES = {"s3:DeleteObject", "s3:GetObject", "s3:ListBucket", "s3:PutObject"}
_SENDING = {"sqs:SendMessage", "sqs:SendMessageBatch"}
BESIDE: dict[str, tuple[set[str], str]] = {
    "Finalizer": (_SOURCES, "it opens sinks, and no source"),
    "Sweeper": (_SOURCES | _SINKS, "it opens the folder of a batch run alone"),
    "PipeReader": (_MAPS, "the planner in it has no maps to follow: it starts pipelines"),
    "Mapper": (_MAPS, "it is called by an execution, and starts none"),
    "PipeStarter": (_STORES | _SOURCES | _SINKS | _FILES | _SENDING, "of a stack's parts it has the settings alone"),
}
"""What a function's modules can do and it never does, and why."""


@cache
def members() -> dict[str, set[str]]:
    """What each member of the assembly names."""
    [parts] = [node for node in tree_of(ASSEMBLY).body if isinstance(node, ast.ClassDef)]
    found: dict[str, set[str]] = {}
    for node in parts.body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = names(node)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = names(node.annotation)
    return found


def names(node: ast.AST) -> set[str]:
    """Names, and members of `self`."""
    found = set()
    for it in ast.walk(node):
        if isinstance(it, ast.Name):
            found.add(it.id)
        elif isinstance(it, ast.Attribute) and isinstance(it.value, ast.Name) and it.value.id == "self":
            found.add(it.attr)
    return found


@cache
def imported() -> dict[str, str]:
    """Where the assembly has names from."""
    nodes = (node for node in ast.walk(tree_of(ASSEMBLY)) if isinstance(node, ast.ImportFrom) and node.module)
    return {alias.name: str(node.module) for node in nodes for alias in node.names}


def assembled(module: str) -> set[str]:
    """Modules of what a handler asks of the assembly."""
    asked = {node.attr for node in ast.walk(tree_of(module)) if isinstance(node, ast.Attribute)}
    waiting, seen, found = asked & members().keys(), set(), set()
    while waiting:
        member = waiting.pop()
        seen.add(member)
        waiting |= (members()[member] & members().keys()) - seen
        found |= {imported()[name] for name in members()[member] & imported().keys()}
    return found


def named(module: str) -> Iterator[str]:
    """Connectors that are imported by their names."""
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("rota.connectors."):
            yield node.value


def reached(module: str) -> set[str]:
    found: set[str] = set()
    waiting = [module, *assembled(module)]
    while waiting:
        it = waiting.pop()
        if it not in found and it not in (ASSEMBLY, SHARED) and it.startswith("rota.") and file_of(it):
            found.add(it)
            waiting += [*imports(it), *named(it)]
    return found


def called(function: Function) -> set[str]:
    """In IAM's words."""
    found: set[str] = set()
    for it in reached(f"rota.aws.handlers.{function.module}"):
        for node in ast.walk(tree_of(it)) if it.startswith(CALLING) else ():
            name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "value", None)
            if isinstance(name, str):
                found |= {ACTIONS.get(call, call) for call in calls().get(name, ())}
    return found | {BOTH[call] for call in found & BOTH.keys()}


BATCHES = [it for it in ALL if it not in FUNCTIONS]


def test_all_of_them_are_looked_at() -> None:
    machines = {"MapMachine", "PipelineMachine", "Client"}
    assert {it.role for it in BATCHES} == PERMISSIONS.keys() - {it.role for it in FUNCTIONS} - machines
    assert BESIDE.keys() <= {it.role for it in BATCHES}


@pytest.mark.parametrize("function", BATCHES, ids=lambda it: it.role)
def test_what_a_function_calls_it_may(function: Function) -> None:
    beside, _ = BESIDE.get(function.role, (set(), ""))
    more = called(function) - allowed(function) - UNUSED.keys()
    assert more == beside


@pytest.mark.parametrize("function", BATCHES, ids=lambda it: it.role)
def test_what_a_function_may_it_or_lambda_calls(function: Function) -> None:
    assert allowed(function) - called(function) - BY_LAMBDA == set()


def test_what_the_engine_does_not_call_is_not_excused() -> None:
    found = set().union(*(called(function) for function in BATCHES))
    assert found >= UNUSED.keys()
