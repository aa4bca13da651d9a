"""Event source mappings of queues: batches over 10, batching windows and groups of FIFO queues at the same time, all of
which stock ignores, and a count of the requests that AWS would bill for the polling.

AWS receives up to 10 messages a request and gathers batches from them. A batch goes to the function when it is full, or
when the window is over that began with its first message. Here messages stay in the queue until then.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from ministack.services import lambda_svc, sqs

from rota.testing.emulator.billed import queue_requests
from rota.testing.emulator.count import Counts
from rota.testing.emulator.fault import RECEIVE
from rota.testing.emulator.guard import expect, replace

_PER_REQUEST = 10
_MOST = 10_000


def mend(counts: Counts) -> None:
    """Patch what receives for functions, and what deletes after them."""
    expect(lambda_svc._poll_sqs, "lambda_svc._poll_sqs", "e438a6a1e094")
    expect(lambda_svc._run_sqs_batch, "lambda_svc._run_sqs_batch", "f9bf630aabf3")
    window = _Windows(counts)
    replace(sqs, "_receive_messages_for_esm", "f230dbcd4974", lambda _: window.receive)
    replace(lambda_svc, "_sqs_esm_concurrency", "d3e9d1e865aa", _by_groups)
    delete = sqs._delete_messages_for_esm

    def deleted(url: str, handles: set[str]) -> None:
        requests = _requests(len(handles))
        counts.bill(queue_requests(requests, fifo=url.endswith(".fifo")))
        counts.add("internal.sqs.DeleteMessageBatch", requests=requests, items=len(handles))
        delete(url, handles)

    sqs._delete_messages_for_esm = deleted


def _by_groups(allowed: Any) -> Any:
    """AWS works on as many groups of a FIFO queue at the same time as the mapping allows; stock works on one, since a
    batch of it may span groups, which a batch of one message cannot."""

    def concurrency(mapping: dict[str, Any], function: Any, config: Any, queue: Any = None) -> int:
        found: int = allowed(mapping, function, config, None if mapping.get("BatchSize") == 1 else queue)
        return found

    return concurrency


def _requests(messages: int) -> int:
    return -(-messages // _PER_REQUEST)


class _Windows:
    """Which queue is filling a batch, and since when."""

    def __init__(self, counts: Counts) -> None:
        self._counts: Counts = counts
        self._since: dict[str, float] = {}

    def receive(self, url: str, most: int) -> list[dict[str, Any]]:
        """A batch of up to `most` messages; empty while its window is open and it is not full."""
        most = min(int(most or 1), _MOST)
        with sqs._queues_lock:
            queue = sqs._get_q(url)
            sqs._expire_retained(queue)
            sqs._dlq_sweep(queue)
            if not self._ready(queue, most):
                return []
            invisible = int(queue["attributes"].get("VisibilityTimeout", "30"))
            messages: list[dict[str, Any]] = sqs._collect_msgs(queue, most, invisible)
        if messages:
            requests = _requests(len(messages))
            self._counts.add(RECEIVE, requests=requests, items=len(messages))
            self._counts.bill(queue_requests(requests, fifo=url.endswith(".fifo")))
        return messages

    def _ready(self, queue: dict[str, Any], most: int) -> bool:
        arn = queue["attributes"]["QueueArn"]
        window = _window(arn)
        if not window:
            return True
        now = time.time()
        waiting = sum(it.get("visible_at", 0) <= now for it in queue["messages"])
        if not waiting:
            self._since.pop(arn, None)
            return False
        since = self._since.get(arn)
        if since is None:
            since = self._since[arn] = now
            timer = threading.Timer(window + 0.01, lambda_svc._esm_wake.set)
            timer.daemon = True
            timer.start()
        if waiting < most and now - since < window:
            return False
        self._since.pop(arn, None)
        return True


def _window(arn: str) -> float:
    """The batching window of the mapping from this queue, in seconds."""
    return max(
        (
            float(mapping.get("MaximumBatchingWindowInSeconds") or 0)
            for _, _, mapping in lambda_svc._iter_all_esms()
            if mapping.get("EventSourceArn") == arn
        ),
        default=0.0,
    )
