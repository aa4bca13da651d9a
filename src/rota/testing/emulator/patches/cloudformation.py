"""CloudFormation: properties that stock ignores (reserved concurrency, dead-letter queue of a function, TTL of a
table), numbers that come from parameters, and limits of functions that it does not enforce."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from ministack.services import dynamodb, lambda_svc
from ministack.services.cloudformation import provisioners

from rota.testing.emulator.guard import expect

_LONGEST = 900
_ENVIRONMENT_BYTES = 4096

Properties = dict[str, Any]
After = Callable[[str, Properties], None]


def mend() -> None:
    """Patch what creates and updates functions and tables of a stack."""
    expect(provisioners._lambda_create, "_lambda_create", "8b2cf80e961d")
    expect(provisioners._lambda_update, "_lambda_update", "4855410e37d7")
    expect(provisioners._lambda_esm_create, "_lambda_esm_create", "f053a4e8c30c")
    expect(provisioners._lambda_esm_update, "_lambda_esm_update", "aa8165621335")
    expect(provisioners._ddb_create, "_ddb_create", "277586e016c6")
    expect(provisioners._ddb_update, "_ddb_update", "0665980ffdd0")
    expect(dynamodb._update_ttl, "_update_ttl", "e8243a4fbbb8")
    handlers = provisioners._RESOURCE_HANDLERS
    _complete(handlers["AWS::Lambda::Function"], _check_function, _complete_function)
    _complete(handlers["AWS::DynamoDB::Table"], lambda _: None, _complete_table)
    _complete(handlers["AWS::Lambda::EventSourceMapping"], _number_concurrency, lambda _name, _properties: None)


def _complete(handler: dict[str, Any], check: Callable[[Properties], None], after: After) -> None:
    for operation, position in (("create", 1), ("update", 2)):
        handler[operation] = _completed(handler[operation], position, check, after)


def _completed(run: Any, position: int, check: Callable[[Properties], None], after: After) -> Any:
    """position: of the new properties among the arguments."""

    @functools.wraps(run)
    def provision(*arguments: Any, **named: Any) -> Any:
        properties: Properties = arguments[position]
        check(properties)
        answer = run(*arguments, **named)
        after(answer[0], properties)
        return answer

    return provision


def _check_function(properties: Properties) -> None:
    if int(properties.get("Timeout", 3)) > _LONGEST:
        raise ValueError(f"Timeout: Member must have value less than or equal to {_LONGEST}")
    variables = (properties.get("Environment") or {}).get("Variables") or {}
    if len(json.dumps(variables)) > _ENVIRONMENT_BYTES:
        raise ValueError(f"Lambda was unable to configure your environment variables: over {_ENVIRONMENT_BYTES} bytes")


def _number_concurrency(properties: Properties) -> None:
    """A parameter's value is text. Stock compares it to a number for every batch, which fails."""
    scaling = properties.get("ScalingConfig") or {}
    if "MaximumConcurrency" in scaling:
        properties["ScalingConfig"] = {**scaling, "MaximumConcurrency": int(scaling["MaximumConcurrency"])}


def _complete_function(name: str, properties: Properties) -> None:
    function = lambda_svc._functions[name]
    reserved = properties.get("ReservedConcurrentExecutions")
    if reserved is None:
        function.pop("concurrency", None)
    else:
        function["concurrency"] = int(reserved)
    if properties.get("DeadLetterConfig"):
        function["config"]["DeadLetterConfig"] = properties["DeadLetterConfig"]
    else:
        function["config"].pop("DeadLetterConfig", None)


def _complete_table(name: str, properties: Properties) -> None:
    given = properties.get("TimeToLiveSpecification")
    if given:
        enabled = str(given.get("Enabled", False)).lower() == "true"
        wanted = {"AttributeName": given.get("AttributeName", ""), "Enabled": enabled}
        status, _, body = dynamodb._update_ttl({"TableName": name, "TimeToLiveSpecification": wanted})
        if status >= 400:
            raise ValueError(f"AWS::DynamoDB::Table time to live failed: {body!r}")
