"""Asynchronous invocations: in stock a throttled event is dropped, a success has no destination, a dead-letter queue
gets what a destination gets, and EventBridge invokes once without retries."""

from __future__ import annotations

import contextvars
import json
import threading
import time
from typing import Any

from ministack.services import eventbridge, lambda_svc, sqs

from rota.testing.emulator.guard import expect, replace, rewrite

_RETRIES = 2
_OLDEST = 6 * 60 * 60
_THROTTLED_PAUSE = 0.5


def mend() -> None:
    """Patch what invokes asynchronously."""
    expect(lambda_svc._route_async_failure, "lambda_svc._route_async_failure", "c023331e333f")
    replace(lambda_svc, "invoke_async_with_retry", "289fe4d3cbd4", lambda _: invoke)
    rewrite(
        eventbridge,
        "_dispatch_to_lambda",
        "1f95adbaed3a",
        {
            """    threading.Thread(
        target=lambda_svc._execute_function_with_config_scope, args=(exec_record, event), daemon=True
    ).start()""": "    lambda_svc.invoke_async_with_retry(exec_record, event)"
        },
    )


def invoke(function: dict[str, Any], event: Any) -> None:
    """Start an asynchronous invocation, as lambda_svc.invoke_async_with_retry does."""
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(_carry_out, function, event), daemon=True).start()


def _carry_out(function: dict[str, Any], event: Any) -> None:
    config = function.get("config") or function
    account, region = lambda_svc._account_region_from_function_config(config)
    lambda_svc._request_account_id.set(account)
    lambda_svc._request_region.set(region)
    rules = function.get("event_invoke_config") or (function.get("event_invoke_configs") or {}).get("$LATEST") or {}
    answer, tries = _tried(function, config, event, rules)
    if answer is None:
        return
    destinations = rules.get("DestinationConfig") or {}
    if not answer.get("error") and not answer.get("throttle"):
        target = (destinations.get("OnSuccess") or {}).get("Destination")
        if target:
            _deliver(target, _record(config, event, answer, "Success", tries))
        return
    target = (destinations.get("OnFailure") or {}).get("Destination")
    if target and ":sqs:" in target:
        _deliver(target, _record(config, event, answer, "RetriesExhausted", tries))
    elif target:
        lambda_svc._route_async_failure(target, config.get("FunctionName", ""), event, answer)
    dead_letters = (config.get("DeadLetterConfig") or {}).get("TargetArn")
    if dead_letters:
        _deliver(dead_letters, event, _why(answer))


def _tried(
    function: dict[str, Any], config: dict[str, Any], event: Any, rules: dict[str, Any]
) -> tuple[dict[str, Any] | None, int]:
    """The last answer and the number of tries; None if the function is gone (deleted, or all was reset)."""
    allowed = rules.get("MaximumRetryAttempts")
    retries = _RETRIES if allowed is None else int(allowed)
    until = time.monotonic() + int(rules.get("MaximumEventAgeInSeconds", _OLDEST))
    tries = 0
    while config.get("FunctionName", "") in lambda_svc._functions:
        answer: dict[str, Any] = lambda_svc._execute_function(function, event)
        if answer.get("throttle"):
            pause = _THROTTLED_PAUSE
        else:
            tries += 1
            if not answer.get("error") or tries > retries:
                return answer, tries
            pause = min(
                lambda_svc._LAMBDA_ASYNC_RETRY_BASE_SECONDS * 2 ** (tries - 1),
                lambda_svc._LAMBDA_ASYNC_RETRY_MAX_SECONDS,
            )
        if time.monotonic() + pause > until:
            return answer, tries
        time.sleep(pause)
    return None, tries


def _record(config: dict[str, Any], event: Any, answer: dict[str, Any], condition: str, tries: int) -> dict[str, Any]:
    context: dict[str, Any] = {"statusCode": 200, "executedVersion": "$LATEST"}
    if condition != "Success":
        context["functionError"] = answer.get("function_error") or "Unhandled"
    return {
        "version": "1.0",
        "requestContext": {
            "functionArn": config.get("FunctionArn", ""),
            "condition": condition,
            "approximateInvokeCount": tries,
        },
        "requestPayload": event,
        "responseContext": context,
        "responsePayload": answer.get("body"),
    }


def _why(answer: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a message in a dead-letter queue."""
    body = answer.get("body")
    message = body.get("errorMessage") or body.get("message") if isinstance(body, dict) else None
    return {
        "ErrorCode": {"DataType": "Number", "StringValue": "429" if answer.get("throttle") else "200"},
        "ErrorMessage": {"DataType": "String", "StringValue": str(message or "unknown")[:1024]},
    }


def _deliver(target: str, value: Any, attributes: dict[str, Any] | None = None) -> None:
    """To a queue, as a message; to anything else that a function may name, as MiniStack does."""
    if ":sqs:" in target:
        queue = sqs._queue_by_arn(target)
        if queue is not None:
            message = {"MessageBody": json.dumps(value), "MessageAttributes": attributes}
            sqs._act_send_message({**message, "QueueUrl": target.rpartition(":")[2]}, "")
    elif ":lambda:" in target:
        function, config, _ = lambda_svc._get_func_record_for_ref(target)
        if function is not None and config is not None:
            invoke(lambda_svc._execution_record_for_config(function, config), value)
