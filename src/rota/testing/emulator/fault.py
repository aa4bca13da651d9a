"""Faults that the emulator injects on request, so that a test sees what AWS does on a bad day."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from typing import Any

import msgspec

RECEIVE = "internal.sqs.ReceiveMessage"
"""The name under which what event source mappings receive is counted, and under which a queue may be given a fault."""
EXECUTE = "internal.lambda.Execute"
"""The name under which each execution of a function is counted, and may be given a fault; `match` is its name."""


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to an action.

    p           probability, 0 to 1
    times       so often at most; None: as long as it is set
    match       only requests whose body or path holds this text (an execution: functions whose name holds it)
    latency_ms  the answer takes so much longer; alone, the request is carried out
    code        the request is refused with this error, and this HTTP status
    lost        the request is carried out, and refused all the same: the answer got lost
    unprocessed BatchWriteItem, BatchGetItem: some are handed back as UnprocessedItems, UnprocessedKeys
    partial     SendMessageBatch, DeleteMessageBatch: some come back under Failed
    twice       the request, or the execution, is carried out twice; the second answer counts
    shuffle     "internal.sqs.ReceiveMessage" alone: a queue's messages come in any order; `match`: in the queue's ARN
    kill        executions alone: the function's process is killed, at a random time within `within_ms`
    """

    p: float = 1.0
    times: int | None = None
    match: str = ""
    latency_ms: float = 0
    code: str | None = None
    status: int = 400
    lost: bool = False
    unprocessed: bool = False
    partial: bool = False
    twice: bool = False
    shuffle: bool = False
    kill: bool = False
    within_ms: float = 200

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise ValueError(f"p is {self.p}, not from 0 to 1")
        if self.latency_ms < 0 or self.within_ms < 0:
            raise ValueError("latency_ms and within_ms are 0 or more")
        if not 400 <= self.status <= 599:
            raise ValueError(f"status is {self.status}, not from 400 to 599")

    @property
    def refuses(self) -> bool:
        """Whether the caller gets an error."""
        others = (self.latency_ms, self.unprocessed, self.partial, self.twice, self.shuffle, self.kill)
        return self.lost or self.code is not None or not any(others)


def faults_of(given: Mapping[str, Any]) -> dict[str, Fault]:
    """Faults by name from JSON. msgspec.ValidationError names what is wrong."""
    return msgspec.convert(given, dict[str, Fault])


class Faults:
    """The faults that are set: of an action ("sqs.SendMessage"), of a service ("sqs.*"), or of all ("*"). One befalls a
    request, the narrowest whose dice fall so."""

    def __init__(self, seed: int = 0) -> None:
        self._lock: threading.Lock = threading.Lock()
        self._dice: random.Random = random.Random(seed)
        self._faults: dict[str, Fault] = {}
        self._left: dict[str, int] = {}

    def replace(self, faults: Mapping[str, Fault]) -> None:
        """Replace all faults; the dice begin anew, so that a run can be repeated."""
        with self._lock:
            self._dice = random.Random(0)
            self._faults = dict(faults)
            self._left = {name: it.times for name, it in faults.items() if it.times is not None}

    @property
    def any(self) -> bool:
        """Whether a fault is set."""
        return bool(self._faults)

    def pick(self, action: str, text: str = "") -> Fault | None:
        """The fault that befalls this request, if any. text: what `match` is looked for in."""
        if not self._faults:
            return None
        with self._lock:
            for name in (action, f"{action.rpartition('.')[0]}.*", "*"):
                fault = self._faults.get(name)
                if fault is None or fault.match not in text or self._left.get(name, 1) < 1:
                    continue
                if self._dice.random() >= fault.p:
                    continue
                if name in self._left:
                    self._left[name] -= 1
                return fault
        return None

    def some(self, count: int) -> set[int]:
        """One or more of `count` positions."""
        with self._lock:
            return set(self._dice.sample(range(count), self._dice.randint(1, count)))

    def shuffle(self, values: list[Any]) -> None:
        """Bring values into any order, in place."""
        with self._lock:
            self._dice.shuffle(values)

    def share(self) -> float:
        """A number from 0 to 1."""
        with self._lock:
            return self._dice.random()
