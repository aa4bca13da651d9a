"""SQS: limits that stock does not enforce: how long a message may be delayed, how many attributes it may have, and how
large it may be with them."""

from __future__ import annotations

from typing import Any

from ministack.services import sqs

from rota.testing.emulator.guard import replace

_LONGEST_DELAY = 900
_MOST_ATTRIBUTES = 10
_BATCH_BYTES = 1024 * 1024


def mend() -> None:
    """Patch what sends. A bad entry of a batch comes back under Failed, as on AWS."""
    replace(sqs, "_act_send_message", "3abd766508c8", _limited)
    replace(sqs, "_act_send_message_batch", "2cab381a76df", _limited_batch)


def _limited(send: Any) -> Any:
    def limited(data: dict[str, Any], url: str) -> Any:
        delay = int(data.get("DelaySeconds") or 0)
        if not 0 <= delay <= _LONGEST_DELAY:
            raise sqs._Err(
                "InvalidParameterValue",
                f"Value {delay} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.",
            )
        attributes = data.get("MessageAttributes") or {}
        if len(attributes) > _MOST_ATTRIBUTES:
            raise sqs._Err(
                "InvalidParameterValue",
                f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [{_MOST_ATTRIBUTES}].",
            )
        queue = sqs._get_q(data.get("QueueUrl", url), "sqs:SendMessage")
        longest = int(queue["attributes"].get("MaximumMessageSize", _BATCH_BYTES))
        if _size(data) > longest:
            reason = f"Message must be shorter than {longest} bytes."
            raise sqs._Err("InvalidParameterValue", f"One or more parameters are invalid. Reason: {reason}")
        return send(data, url)

    return limited


def _limited_batch(send: Any) -> Any:
    def limited(data: dict[str, Any], url: str) -> Any:
        total = sum(map(_size, data.get("Entries") or []))
        if total > _BATCH_BYTES:
            raise sqs._Err(
                "BatchRequestTooLong",
                f"Batch requests cannot be longer than {_BATCH_BYTES} bytes. You have sent {total} bytes.",
            )
        return send(data, url)

    return limited


def _size(message: dict[str, Any]) -> int:
    """Body and attributes: names, types and values."""
    total = len((message.get("MessageBody") or "").encode())
    for name, value in (message.get("MessageAttributes") or {}).items():
        content = value.get("StringValue") or value.get("BinaryValue") or ""
        total += len(name.encode()) + len(value.get("DataType", "")) + len(str(content).encode())
    return total
