"""Every target, fired by the deployed functions; retries, dead letters and what brings them back."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.aws import clouds, lambdas
from tests.aws.stack.site import Endpoint, Site

import rota
from rota.core.target import EventTarget, LambdaTarget, SqsTarget, StepFunctionsTarget

pytestmark = pytest.mark.xdist_group("stack")
ECHO = "def handler(event, context):\n    return event\n"
BROKEN = "def handler(event, context):\n    raise ValueError('no')\n"


def soon(seconds: float = 0.5) -> float:
    return time.time() + seconds


def command(site: Site, *arguments: str) -> Any:
    """What a command of rota's prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "rota", *arguments, "--json", "--url", f"aws://{site.name}"],
        check=True,
        capture_output=True,
    )
    return json.loads(done.stdout) if done.stdout.strip() else None


def test_a_standard_queue_and_a_fifo_queue(site: Site) -> None:
    plain, fifo = clouds.make_queue("plain"), clouds.make_queue("in-order.fifo")
    direct = site.client.at(soon(), SqsTarget(plain), {"n": 1})
    recorded = site.client.at(soon(), SqsTarget(plain), {"n": 2}, retry=rota.Retry(attempts=2))
    ordered = site.client.at(soon(), SqsTarget(fifo, "till-7"), {"n": 3})
    found = {
        it["MessageAttributes"]["rota-run-id"]["StringValue"]: json.loads(it["Body"]) for it in site.received(plain, 2)
    }
    assert found == {direct: {"n": 1}, recorded: {"n": 2}}
    [message] = site.received(fifo)
    assert message["MessageAttributes"]["rota-run-id"]["StringValue"] == ordered
    assert "rota-scheduled" in message["MessageAttributes"]
    assert {site.ended(run).state for run in (direct, recorded, ordered)} == {"succeeded"}


def test_a_lambda_function_and_its_answer(site: Site) -> None:
    lambdas.create("echo", ECHO)
    asked = site.client.at(soon(), LambdaTarget("echo"), {"n": 1, "run": "<rota-run-id>"})
    told = site.client.at(soon(), LambdaTarget("echo", asynchronous=True), {"n": 2})
    assert json.loads(site.ended(asked).value or b"") == {"n": 1, "run": asked}
    assert site.ended(told).state == "succeeded"


def test_a_function_that_fails_is_told_from_one_that_is_not_there(site: Site) -> None:
    lambdas.create("broken", BROKEN)
    twice = rota.Retry(attempts=2, initial=0.1)
    failing = site.client.at(soon(), LambdaTarget("broken"), retry=twice)
    missing = site.client.at(soon(), LambdaTarget("nowhere"), retry=twice)
    failed, absent = site.ended(failing), site.ended(missing)
    assert failed.failure is not None
    assert absent.failure is not None
    assert (failed.attempt, failed.failure.type) == (2, "ValueError")
    assert absent.attempt == 1, "what is not there is not there the next time either"
    assert "nowhere" in absent.failure.message
    site.client.dead_letters.purge([failing, missing])


def test_a_state_machine_is_started_once_under_a_name_of_the_run(site: Site) -> None:
    machine = clouds.make_machine("pass")
    run = site.client.at(soon(), StepFunctionsTarget(machine), {"n": 1})
    assert "execution" in str(site.ended(run).value)
    assert len(clouds.executions(machine)) == 1


def test_an_event_comes_by_the_rule_of_its_bus(site: Site) -> None:
    url = clouds.make_queue("heard")
    clouds.make_bus("orders", url, {"source": ["shop"]})
    unheard = site.client.at(soon(), EventTarget("orders"), {"n": 1})
    run = site.client.at(soon(), EventTarget("orders", "shop"), {"n": 2})
    missing = site.client.at(soon(), EventTarget("nowhere"), retry=rota.Retry(attempts=2, initial=0.1))
    [message] = site.received(url)
    event = json.loads(message["Body"])
    assert (event["detail"], event["resources"]) == ({"n": 2}, [run])
    assert json.loads(site.ended(run).value or b"") == {"eventId": event["id"]}
    assert site.ended(unheard).state == "succeeded"
    assert (site.ended(missing).state, site.ended(missing).attempt) == ("failed", 1)
    site.client.dead_letters.purge(missing)


def test_an_http_endpoint_is_tried_again(site: Site, endpoint: Endpoint) -> None:
    endpoint.failing = 2
    run = site.client.at(soon(), endpoint.target, {"n": 1}, retry=rota.Retry(attempts=4, initial=0.1))
    assert (site.ended(run).state, site.ended(run).attempt) == ("succeeded", 3)
    assert [call.run for call in endpoint.calls] == [run] * 3
    assert [call.headers["rota-attempt"] for call in endpoint.calls] == ["1", "2", "3"]
    assert {call.body for call in endpoint.calls} == {b'{"n":1}'}


def test_a_private_address_is_refused_unless_it_is_allowed(site: Site, endpoint: Endpoint) -> None:
    run = site.client.at(soon(), endpoint.target.url.replace("127.0.0.1", "127.1"))
    failure = site.ended(run).failure
    assert failure is not None
    assert "allow_private" in failure.message
    assert endpoint.calls == []
    site.client.dead_letters.purge(run)


def test_a_task_runs_in_the_worker_and_is_tried_again(site: Site, tmp_path: Path) -> None:
    done = tmp_path / "done"
    run = site.client.at(soon(), "task:flaky", {"to": str(done)})
    record = site.ended(run)
    assert (record.state, record.attempt, record.value) == ("succeeded", 3, b"3")
    assert [json.loads(line)[:2] for line in done.read_text().splitlines()] == [[run, 1], [run, 2], [run, 3]]


def test_a_dead_letter_is_listed_is_on_the_dead_queue_and_comes_back(site: Site, tmp_path: Path) -> None:
    done, mended = tmp_path / "done", tmp_path / "mended"
    run = site.client.at(soon(), "task:once_mended", {"to": str(done), "mended": str(mended)})
    assert site.ended(run).state == "failed"
    assert [it["id"] for it in command(site, "dead", "list")] == [run]
    site.until(lambda: any(run in it["Body"] for it in site.received(site.outputs["DeadQueueUrl"], wait=1)), "its copy")
    assert "it is broken" in json.dumps(command(site, "dead", "show", run))
    mended.touch()
    command(site, "dead", "redrive", run)
    site.until(done.exists, "the run that was redriven")
    assert site.ended(run).state == "succeeded"
    assert command(site, "dead", "list") == []
    schedule, _, at = run.partition("@")
    assert run in site.client.schedules.why(schedule, at) or "succeeded" in site.client.schedules.why(schedule, at)
