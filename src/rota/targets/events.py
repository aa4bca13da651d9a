"""Put an event on an EventBridge event bus.

Idea. The payload is the event's detail, so rules match what is in it. A detail must be a JSON object: any other payload
is the `payload` of one, and no payload is an empty one. The event's one resource is the run's id, by which consumers
tell an event that comes twice; its time, to the second, is the run's nominal time.

Failures. PutEvents answers 200 though it refused the event; the entry then has a code, which means what it means in any
other answer. It takes an event for a bus that is not there, too, and drops it. So each process asks for a bus before it
first sends there; where nobody may ask, or the answer is anything but that there is no such bus, the event is put.

Cut off. EventBridge does not tell what was put, so a run that was cut off puts its event again, with the same resource.
"""

from __future__ import annotations

from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from rota.core.aws_names import region_of
from rota.core.ids import moment
from rota.core.outcome import Result
from rota.core.run import Run
from rota.core.target import EventTarget
from rota.targets.aws import ClientOf, check_size, code_of, filled, telling

ACTION = "events:PutEvents"
DESCRIBE = "events:DescribeEventBus"
LIMIT = 1024 * 1024
"""Bytes of an entry, as EventBridge adds them up: time, source, type, detail and resources."""
_TIME_SIZE = 14
_ITS_OWN_FAULT = ("InternalFailure", "InternalException")


class EventCall:
    """Puts the event of a run's EventTarget. Safe to share between threads. Answers with {"eventId": ...}. Raises
    TargetError."""

    def __init__(self, client: ClientOf) -> None:
        self._client = client
        self._asked_for = {"default"}

    def __call__(self, run: Run) -> bytes | None:
        target = run.spec.target
        assert isinstance(target, EventTarget)
        entry = event(run)
        with telling(run, DESCRIBE, target.bus):
            self._ask_for(target.bus)
        with telling(run, ACTION, target.bus):
            client = self._client("events", region_of(target.bus), once=run.spec.delivery == "at_most_once")
            [answer] = client.put_events(Entries=[entry])["Entries"]
            if "EventId" not in answer:
                raise _refused(answer)
        return msgspec.json.encode({"eventId": answer["EventId"]})

    def inquire(self, run: Run) -> Result | None:
        """None: a bus tells nothing of what was put on it."""
        return None

    def _ask_for(self, bus: str) -> None:
        """ClientError if there is no such bus."""
        if bus in self._asked_for:
            return
        try:
            self._client("events", region_of(bus), once=True).describe_event_bus(Name=bus)
        except ClientError as error:
            if code_of(error) == "ResourceNotFoundException":
                raise
        except BotoCoreError:
            return  # whatever is wrong on the way there, the call that matters meets it, too, and tells it
        self._asked_for.add(bus)


def event(run: Run) -> dict[str, Any]:
    """The event for a run with an EventTarget, as an entry of `PutEvents`. TargetError if it is too large."""
    target = run.spec.target
    assert isinstance(target, EventTarget)
    detail = _detail(filled(run))
    texts = (target.source, target.detail_type, detail, run.id)
    check_size(run, _TIME_SIZE + sum(len(text.encode()) for text in texts), LIMIT, ACTION, target.bus)
    return {
        "EventBusName": target.bus,
        "Source": target.source,
        "DetailType": target.detail_type,
        "Detail": detail,
        "Resources": [run.id],
        "Time": moment(run.scheduled),
    }


def _detail(payload: bytes) -> str:
    if payload.startswith(b"{"):
        return payload.decode()
    return "{}" if payload == b"null" else f'{{"payload":{payload.decode()}}}'


def _refused(answer: dict[str, str]) -> ClientError:
    """The error that an entry's answer amounts to, as if it were the answer to the whole request."""
    code = answer.get("ErrorCode", "")
    said = {"Code": code, "Message": answer.get("ErrorMessage", "")}
    status = 500 if code in _ITS_OWN_FAULT else 400
    return ClientError({"Error": said, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutEvents")
