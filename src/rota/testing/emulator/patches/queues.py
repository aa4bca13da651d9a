"""SQS: queues that stay fast and whole with many messages in them.

In stock a receive looks at every message three times, and a delete builds the list of messages anew, per message. That
is slow with a backlog, and it loses messages: what another thread appends between the building and the exchange of the
list is gone. Here lists are changed in place, under a lock that may be taken twice, and a receive stops looking once it
has enough; messages that were received too often move to the dead-letter queue when a receive comes by. A receive that
found nothing notes until when nothing can be found, so that looking again costs nothing; and so who waits for messages
looks every 20 ms, where stock looks every 100 ms, and every second for event source mappings.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from ministack.core.responses import new_uuid
from ministack.services import lambda_svc, sqs

from rota.testing.emulator.fault import RECEIVE, Faults
from rota.testing.emulator.guard import replace, rewrite

Message = dict[str, Any]
Queue = dict[str, Any]

_LOCK = threading.RLock()
_QUIET = "_rota_quiet"
"""Where a queue keeps until when there is nothing to receive, and how its messages looked then."""


def mend(faults: Faults) -> None:
    """Patch what receives and deletes."""
    sqs._queues_lock = _LOCK
    replace(sqs, "_act_delete_message", "8d700665e3d6", lambda _: _delete)
    replace(sqs, "_act_delete_message_batch", "877517c32f0f", lambda _: _delete_batch)
    replace(sqs, "_act_change_visibility", "387eac7e8e12", _no_longer_quiet)
    replace(sqs, "_act_change_visibility_batch", "bd08e3c7b0ab", _no_longer_quiet)
    replace(sqs, "_collect_msgs", "308a6eb1b3d4", lambda collect: _collecting(collect, faults))
    replace(sqs, "_expire_retained", "c0da3361632b", lambda _: _expire)
    replace(sqs, "_dlq_sweep", "6a77691e1671", lambda _: _sweep_fifo)
    replace(sqs, "_delete_messages_for_esm", "c1686f29b48b", lambda _: _delete_received)
    pause = {"min(0.1, max(0.01, deadline": "min(0.02, max(0.005, deadline"}
    rewrite(sqs, "_act_receive_message", "abc94f693de1", pause)
    rewrite(lambda_svc, "_poll_loop", "6a443090919a", {"_esm_wake.wait(1 if": "_esm_wake.wait(0.02 if"})


def _no_longer_quiet(change: Any) -> Any:
    def changed(data: dict[str, Any], url: str) -> Any:
        with _LOCK:
            sqs._get_q(data.get("QueueUrl", url)).pop(_QUIET, None)
            return change(data, url)

    return changed


def _remove(messages: list[Message], doomed: Callable[[Message], bool], most: int) -> list[Message]:
    """Takes up to `most` messages out, in place: another thread may append meanwhile."""
    removed: list[Message] = []
    position = 0
    while position < len(messages) and len(removed) < most:
        if doomed(messages[position]):
            removed.append(messages.pop(position))
        else:
            position += 1
    return removed


def _delete_received(url: str, handles: set[str]) -> list[Message]:
    with _LOCK:
        queue = sqs._get_q(url)
        return _remove(queue["messages"], lambda it: it.get("receipt_handle") in handles, len(handles))


def _delete(data: dict[str, Any], url: str) -> dict[str, Any]:
    handle = data.get("ReceiptHandle")
    if not handle:
        raise sqs._Err("MissingParameter", "The request must contain the parameter ReceiptHandle.")
    address = data.get("QueueUrl", url)
    sqs._get_q(address, "sqs:DeleteMessage")
    if not _delete_received(address, {handle}):
        raise sqs._Err("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
    return {}


def _delete_batch(data: dict[str, Any], url: str) -> dict[str, Any]:
    address = data.get("QueueUrl", url)
    sqs._get_q(address, "sqs:DeleteMessage")
    entries = data.get("Entries", [])
    sqs._validate_batch_entries(entries, "DeleteMessageBatchRequestEntry")
    handles = {it["ReceiptHandle"] for it in entries if it.get("ReceiptHandle")}
    gone = {it["receipt_handle"] for it in _delete_received(address, handles)}
    invalid = {"Code": "ReceiptHandleIsInvalid", "Message": "The input receipt handle is invalid.", "SenderFault": True}
    return {
        "Successful": [{"Id": it.get("Id", "")} for it in entries if it.get("ReceiptHandle") in gone],
        "Failed": [{"Id": it.get("Id", ""), **invalid} for it in entries if it.get("ReceiptHandle") not in gone],
    }


def _expire(queue: Queue) -> None:
    """Drops what is older than the queue keeps. Messages stand in the order in which they came."""
    oldest = time.time() - int(queue["attributes"].get("MessageRetentionPeriod", "345600"))
    messages = queue["messages"]
    with _LOCK:
        while messages and messages[0].get("enqueued_at", messages[0].get("sent_at", oldest + 1)) <= oldest:
            messages.pop(0)


def _dead_letters(queue: Queue) -> tuple[Queue | None, int]:
    """Where messages go that were received as often as the number says."""
    policy = json.loads(queue["attributes"].get("RedrivePolicy") or "{}")
    most = int(policy.get("maxReceiveCount") or 0)
    return (sqs._queue_by_arn(policy["deadLetterTargetArn"]) if most else None), most


def _move(message: Message, queue: Queue, dead: Queue, now: float) -> None:
    attributes = {**message.get("sys", {})}
    attributes.setdefault("DeadLetterQueueSourceArn", queue["attributes"].get("QueueArn", ""))
    moved = {**message, "receipt_handle": None, "visible_at": now, "sys": attributes}
    if dead.get("is_fifo"):
        moved["enqueued_at"] = now
    dead["messages"].append(moved)
    sqs.esm_wake.set()


def _collecting(collect: Any, faults: Faults) -> Any:
    def collected(queue: Queue, most: int, invisible: int) -> list[Message]:
        with _LOCK:
            if queue["is_fifo"]:
                found: list[Message] = collect(queue, most, invisible)
                return found
            _shuffle(queue, faults)
            return _collect_standard(queue, most, invisible)

    return collected


def _shuffle(queue: Queue, faults: Faults) -> None:
    messages, now = queue["messages"], time.time()
    if not messages or now < _quiet_until(queue):
        return
    fault = faults.pick(RECEIVE, queue["attributes"].get("QueueArn", ""))
    if fault is not None and fault.shuffle:
        faults.shuffle(messages)


def _collect_standard(queue: Queue, most: int, invisible: int) -> list[Message]:
    now = time.time()
    messages, position = queue["messages"], 0
    if not messages or now < _quiet_until(queue):
        return []
    dead, limit = _dead_letters(queue)
    found: list[Message] = []
    soonest = float("inf")
    while position < len(messages) and len(found) < most:
        message = messages[position]
        visible_at = message.get("visible_at", 0)
        if visible_at > now:
            soonest = min(soonest, visible_at)
            position += 1
        elif dead is not None and message.get("receive_count", 0) >= limit:
            _move(messages.pop(position), queue, dead, now)
        else:
            found.append(_received(message, now, invisible))
            position += 1
    if position and not found:
        # Of what was looked at: another thread may have appended since.
        queue[_QUIET] = (soonest, position, messages[position - 1])
    return found


def _quiet_until(queue: Queue) -> float:
    """Nothing is visible before; 0 if messages came or went since that was found out."""
    until, length, last = queue.get(_QUIET, (0.0, 0, None))
    messages = queue["messages"]
    same = length == len(messages) and last is messages[-1]
    return float(until) if same else 0.0


def _received(message: Message, now: float, invisible: int) -> Message:
    sqs._ensure_msg_fields(message)
    message["receipt_handle"] = new_uuid()
    message["visible_at"] = now + invisible
    message["receive_count"] += 1
    if message["first_receive_at"] is None:
        message["first_receive_at"] = now
    return message


def _sweep_fifo(queue: Queue) -> None:
    """Moves what was received too often; a standard queue does so as it is received from."""
    if not queue["is_fifo"]:
        return
    now = time.time()
    with _LOCK:
        dead, limit = _dead_letters(queue)
        if dead is not None:
            messages = queue["messages"]
            for it in _remove(
                messages, lambda it: it["receive_count"] >= limit and it["visible_at"] <= now, len(messages)
            ):
                _move(it, queue, dead, now)
