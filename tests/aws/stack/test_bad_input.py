"""What is not allowed gets one clear error from the deployed functions, and nothing of it is stored."""

from __future__ import annotations

import time

import pytest
from tests.aws.stack.shop import app
from tests.aws.stack.site import Site, deployed

from rota.aws.connect import connect_stack
from rota.core.errors import NotFoundError, RotaError
from rota.core.triggers import Every
from rota.testing.emulator import Emulator, Fault

pytestmark = pytest.mark.xdist_group("stack")
BAD = [
    ({"timestamp": 1564378340000, "data": 1}, 400, "divide by 1000"),
    ({"timestamp": "tomorrow", "data": 1}, 400, "ISO 8601"),
    ({"timestamp": 4e9, "data": 1, "target": "queue:nowhere"}, 404, "none of this name"),
    ({"timestamp": 4e9, "data": 1, "target": "pigeon:7"}, 400, "target"),
    ({"timestamp": 4e9, "data": 1, "target": "batch:b"}, 400, "batch"),
    ({"timestamp": 4e9, "data": 1, "target": "task:nosuch"}, 404, "the app of the stack has: die_once"),
    ({"timestamp": 4e9, "data": 1, "target": "task:nosuch", "id": "a"}, 404, "declare it there and deploy"),
    ({"schedules": [{"timestamp": 4e9, "data": 1, "target": "task:nosuch"}]}, 404, "task"),
    ({"timestamp": 4e9, "data": 1, "when": 2}, 400, "one of timestamp, data"),
    ({"schedules": [{"timestamp": 4e9, "data": 1}, {"timestamp": 1e13, "data": 1}]}, 400, "schedules[1].timestamp"),
    ({"schedules": [{"timestamp": 4e9}, {"timestamp": 4e9, "target": "queue:nowhere"}]}, 404, "none of this name"),
    ({"cancel": "nothing@2030-01-01T00:00:00Z"}, 404, "run"),
    ({"update": {"id": "nothing", "data": 1}}, 404, "schedule"),
    ([1], 400, "object"),
]


@pytest.mark.parametrize(("asked", "status", "said"), BAD)
def test_the_function_refuses_it(site: Site, asked: object, status: int, said: str) -> None:
    before = len(site.client.runs.list(limit=1000)), len(site.client.schedules.list())
    answer = site.post(asked)
    assert (answer.status_code, said in answer.json()["error"]) == (status, True), answer.text
    assert (len(site.client.runs.list(limit=1000)), len(site.client.schedules.list())) == before


def test_data_over_the_limit_is_refused_where_the_bucket_is_not_used(ground: Emulator) -> None:
    with deployed(ground, "small") as site:
        answer = site.post({"timestamp": time.time(), "data": "x" * 300_000})
        assert answer.status_code == 400
        assert "at most 262144 bytes" in answer.json()["error"]
        assert "LargePayloads" in answer.json()["error"]
        assert site.client.runs.list() == []


def test_a_stack_that_is_not_there_and_a_region_that_it_is_not_in(site: Site) -> None:
    with pytest.raises(NotFoundError, match=r"no stack 'shopp'.*there is none in region us-east-1"):
        connect_stack("shopp", app)
    with pytest.raises(NotFoundError, match="eu-west-1"):
        connect_stack(site.name, app, region="eu-west-1")


def test_the_client_refuses_a_task_that_the_app_does_not_have(site: Site) -> None:
    with connect_stack(site.name) as client:
        with pytest.raises(NotFoundError, match="no task 'nosuch'; the app of the stack has: die_once"):
            client.at(4e9, "task:nosuch")
        with pytest.raises(NotFoundError, match="no task 'nosuch'"):
            client.schedules.create("nosuch", Every("1h"), "task:nosuch")
        assert client.schedules.list() == site.client.schedules.list()


def test_a_queue_that_is_not_there_takes_its_one_off_back(site: Site) -> None:
    missing = site.outputs["QueuePrefix"] + "nowhere"
    before = {it.id for it in site.client.runs.list(limit=1000)}
    with pytest.raises(NotFoundError, match=r"no queue .*nothing was scheduled"):
        site.client.at(time.time() + 5, f"sqs:{missing}")
    made = [it for it in site.client.runs.list(limit=1000) if it.id not in before]
    assert [it.state for it in made] == ["cancelled"]


def test_queues_of_the_functions_are_none_of_the_apps(site: Site) -> None:
    own = site.outputs["DispatchQueueUrl"].rpartition("/")[2].removeprefix(f"{site.name}-")
    site.sqs.create_queue(QueueName=f"{site.name}-2-orders")
    site.sqs.send_message(QueueUrl=site.outputs["QueuePrefix"] + "2-orders", MessageBody="of another stack")
    site.client.queues.send("orders", 1)
    assert set(site.client.queues.sizes()) <= {"data", "orders"}
    [message] = site.client.queues.receive("orders")
    assert site.client.queues.ack([message.receipt]) == [True]
    for name in (own, "2-orders"):
        with pytest.raises(NotFoundError, match="the stack has none of this name"):
            site.client.queues.receive(name)
        with pytest.raises(NotFoundError, match="the stack has none of this name"):
            site.client.at(4e9, f"queue:{name}")
    site.sqs.delete_queue(QueueUrl=site.outputs["QueuePrefix"] + "2-orders")


def test_a_missing_permission_is_named(site: Site) -> None:
    before = len(site.client.runs.list(limit=1000))
    denied = Fault(code="AccessDeniedException")
    site.emulator.faults({"dynamodb.BatchWriteItem": denied, "dynamodb.PutItem": denied})
    try:
        with pytest.raises(RotaError, match=r"dynamodb:(BatchWriteItem|PutItem)"):
            site.client.at(time.time() + 3600, "queue:data")
    finally:
        site.emulator.faults({})
    assert len(site.client.runs.list(limit=1000)) == before
