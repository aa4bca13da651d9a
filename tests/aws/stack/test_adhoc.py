"""Ad-hoc schedules by invocation, Function URL and client, through the functions that are deployed."""

from __future__ import annotations

import json
import time
from typing import Any

import boto3
import pytest
from tests.aws.stack.site import Site, deployed

from rota.core.errors import ConflictError
from rota.testing.emulator import Emulator

pytestmark = pytest.mark.xdist_group("stack")
LEAD = 10.0
"""Seconds, enough for some calls before what they are about is due, however busy the machine."""


def run_of(message: dict[str, Any]) -> str:
    return str(message["MessageAttributes"]["rota-run-id"]["StringValue"])


def test_an_invocation_has_data_appear_at_its_time(site: Site) -> None:
    when = time.time() + 2
    made = site.adhoc({"timestamp": when, "data": "This is the data"})
    [message] = site.data()
    assert time.time() >= when
    assert (message["Body"], run_of(message)) == ("This is the data", made["id"])
    assert site.client.runs.get(made["id"]).state == "succeeded"


def test_the_function_url_does_the_same_and_answers_with_status_codes(site: Site) -> None:
    made = site.post({"timestamp": time.time() + 1, "data": {"order": 7}})
    assert made.status_code == 201
    [message] = site.data()
    assert (json.loads(message["Body"]), run_of(message)) == ({"order": 7}, made.json()["id"])
    assert site.post({"timestamp": 1, "data": 1}, signed=False).status_code == 403
    refused = site.post({"timestamp": 1564378340000, "data": 1})
    assert refused.status_code == 400
    assert "divide by 1000" in refused.json()["error"]


def test_the_client_does_the_same(site: Site) -> None:
    run = site.client.at(time.time() + 1, "queue:data", ["a", "b"])
    [message] = site.data()
    assert (json.loads(message["Body"]), run_of(message)) == (["a", "b"], run)


def test_what_is_past_fires_at_once_and_says_how_late_it_is(site: Site) -> None:
    made = site.adhoc({"timestamp": 1564378340, "data": "late"})
    assert [it["Body"] for it in site.data()] == ["late"]
    record = site.ended(made["id"])
    assert record.lateness is not None
    assert record.lateness > 7 * 365 * 86_400_000


def test_many_in_one_call_and_some_of_them_far_away(site: Site) -> None:
    now = time.time()
    near = [{"timestamp": now + 1 + n / 50, "data": {"n": n}} for n in range(50)]
    far = [{"timestamp": now + 3600 + n, "data": {"n": n}} for n in range(50)]
    ids = site.adhoc({"schedules": near + far})["ids"]
    assert sorted(map(run_of, site.data(50))) == sorted(ids[:50])
    assert {site.client.runs.get(run).state for run in ids[50:]} == {"pending"}
    for run in ids[50:]:
        site.client.runs.cancel(run)


def test_what_is_beyond_the_horizon_waits_in_the_table_for_the_feeder(ground: Emulator) -> None:
    """Nobody fed this stack, so all is beyond what a feeder has seen."""
    with deployed(ground, "far") as site:
        site.resting()
        site.adhoc({"cancel": site.client.at(time.time() + 3600, "queue:data")})  # the function is warm from here on
        first = time.time() + LEAD
        runs = site.client.at_many([(first + n / 100, n) for n in range(120)], "queue:data")
        gone = runs[::40]
        for run in gone:
            site.adhoc({"cancel": run})
        moved = site.adhoc({"update": {"id": runs[1], "timestamp": first + 2, "data": "moved"}})["id"]
        expected = {*runs, moved} - {*gone, runs[1]}
        assert site.data(1, wait=1) == []
        assert site.feed()["runs"] == len(expected)
        arrived = site.data(len(expected))
        assert time.time() >= first
        assert sorted(map(run_of, arrived)) == sorted(expected)
        assert '"moved"' in [it["Body"] for it in arrived]
        with pytest.raises(ConflictError, match="handed to SQS"):
            site.client.runs.cancel(site.client.at(time.time() + 60, "queue:data"))


def test_a_named_one_can_be_changed_and_cancelled_up_to_its_time(site: Site) -> None:
    now = time.time()
    for name in ("moved", "gone"):
        site.adhoc({"timestamp": now + LEAD, "data": name, "id": name})
    assert site.adhoc({"cancel": "gone"})["cancelled"]
    site.adhoc({"update": {"id": "moved", "timestamp": now + LEAD + 1, "data": "as updated"}})
    [message] = site.data()
    assert time.time() >= now + LEAD + 1
    assert message["Body"] == "as updated"
    assert site.data(1, wait=2) == []
    refused = site.post({"cancel": "moved"})
    assert refused.status_code == 409
    assert "fired already" in refused.json()["error"]


def test_large_data_goes_to_the_bucket_and_a_pointer_to_the_queue(site: Site) -> None:
    site.adhoc({"timestamp": time.time() + 1, "data": "x" * 400_000})
    [message] = site.data()
    bucket, _, key = json.loads(message["Body"])["rota:s3"].removeprefix("s3://").partition("/")
    assert boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read() == b'"' + b"x" * 400_000 + b'"'


def test_a_precise_one_waits_for_its_millisecond(site: Site) -> None:
    when = time.time() + 2.345
    made = site.adhoc({"timestamp": when, "data": "now", "precise": True})
    assert [it["Body"] for it in site.data()] == ["now"]
    record = site.ended(made["id"])
    assert record.started is not None
    assert record.started >= record.due
