"""EventBridge in the emulator is on time, in the zone it was told, and its events are retried."""

from __future__ import annotations

import datetime as dt
import json
import time
from typing import Any
from zoneinfo import ZoneInfo

import boto3
import pytest
from ministack.services import eventbridge
from tests.aws import lambdas, queues

from rota.testing.emulator import Emulator
from rota.testing.emulator.patches.schedules import next_cron

pytestmark = pytest.mark.usefixtures("aws")
ROLE = "arn:aws:iam::000000000000:role/scheduler"


def schedule(expression: str, zone: str, url: str) -> None:
    boto3.client("scheduler").create_schedule(
        Name="s",
        ScheduleExpression=expression,
        ScheduleExpressionTimezone=zone,
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": queues.arn(url), "RoleArn": ROLE, "Input": '"fired"'},
    )


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_at_is_meant_in_its_zone(zone: str) -> None:
    url = queues.create("q")
    due = dt.datetime.now(ZoneInfo(zone)) + dt.timedelta(seconds=2)
    schedule(f"at({due:%Y-%m-%dT%H:%M:%S})", zone, url)
    assert [it["Body"] for it in queues.receive(url, 1)] == ['"fired"']
    assert time.time() >= due.timestamp() - 1


@pytest.mark.parametrize(
    ("zone", "after", "due"),
    [
        ("UTC", "2026-11-21T12:00+00:00", "2026-11-22T09:30+00:00"),
        ("America/New_York", "2026-11-21T12:00+00:00", "2026-11-21T14:30+00:00"),
        ("America/New_York", "2026-03-07T15:00+00:00", "2026-03-08T13:30+00:00"),
        ("Asia/Kolkata", "2026-11-21T03:00+00:00", "2026-11-21T04:00+00:00"),
    ],
)
def test_cron_is_meant_in_its_zone(zone: str, after: str, due: str) -> None:
    fields = eventbridge._parse_cron_fields("cron(30 9 * * ? *)")
    found = next_cron(fields, dt.datetime.fromisoformat(after), {"ScheduleExpressionTimezone": zone})
    assert found == dt.datetime.fromisoformat(due)


def test_a_rule_whose_function_fails_is_retried(aws: Emulator) -> None:
    bad = queues.create("bad")
    arn = lambdas.create("f", "def handler(event, context):\n    raise ValueError(event['source'])\n")
    boto3.client("lambda").put_function_event_invoke_config(
        FunctionName="f", MaximumRetryAttempts=1, DestinationConfig={"OnFailure": {"Destination": queues.arn(bad)}}
    )
    events = boto3.client("events")
    events.put_rule(Name="r", EventPattern=json.dumps({"source": ["shop"]}))
    events.put_targets(Rule="r", Targets=[{"Id": "f", "Arn": arn}])
    events.put_events(Entries=[{"Source": "shop", "DetailType": "sold", "Detail": "{}"}])
    [message] = queues.receive(bad, 1)
    record: dict[str, Any] = json.loads(message["Body"])
    assert record["requestPayload"]["source"] == "shop"
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert aws.counts()["internal.lambda.Execute:f"].requests == 2
