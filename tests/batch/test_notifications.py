"""Whoever is to be told of the end is told once, with a key that tells a repetition."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import boto3
import pytest
from tests.aws import clouds, queues
from tests.batch import shop
from tests.batch.running import PATIENCE, Place
from tests.batch.test_control import until
from tests.targets.endpoint import Endpoint, answering

from rota.core.target import HttpTarget
from rota.testing.emulator import Emulator


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint().serving() as serving:
        yield serving


def test_an_endpoint_is_told_once_with_its_key(place: Place, endpoint: Endpoint) -> None:
    place.batch(shop.double, place.orders(20), notify=[HttpTarget(endpoint.url + "/told", allow_private=True)])
    with place.serve() as client:
        run = client.batches.wait(client.batches.start("orders").id, PATIENCE)
        until(lambda: endpoint.requests)
        [told] = client.runs.list()
        until(lambda: client.runs.get(told.id).state == "succeeded")
    with place.serve():
        time.sleep(0.2)  # a new engine does not tell again
    [request] = endpoint.requests
    assert (request.method, request.path) == ("POST", "/told")
    assert request.headers["Idempotency-Key"] == f"orders:succeeded:0.1@{run.id.partition('@')[2]}"
    body = json.loads(request.body)
    assert (body["batch_run"], body["outcome"], body["root"]) == (run.id, "succeeded", run.root)
    assert (body["items"], body["succeeded"], body["failed"], body["skipped"]) == (20, 20, 0, 0)


def test_an_endpoint_that_fails_is_told_again_with_the_same_key(place: Place, endpoint: Endpoint) -> None:
    endpoint.reply = answering(503)
    place.batch(shop.double, place.orders(20), notify=[HttpTarget(endpoint.url, allow_private=True)])
    with place.serve() as client:
        client.batches.wait(client.batches.start("orders").id, PATIENCE)
        until(lambda: endpoint.requests)
        endpoint.reply = answering(200)
        until(lambda: client.runs.list()[0].state == "succeeded")
    keys = [request.headers["Idempotency-Key"] for request in endpoint.requests]
    assert len(keys) > 1
    assert len(set(keys)) == 1


def test_a_queue_of_sqs_is_told(place: Place, aws: Emulator) -> None:
    del aws
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName="told")["QueueUrl"]
    place.batch(shop.picky, place.orders(20), notify=[f"sqs:{url}", "queue:told"])
    with place.serve() as client:
        run = client.batches.wait(client.batches.start("orders").id, PATIENCE)
        [message] = queues.receive(url, 1, PATIENCE)
        until(lambda: all(one.state == "succeeded" for one in client.runs.list()))
    assert json.loads(message["Body"])["outcome"] == run.state == "failed"
    assert message["MessageAttributes"]["rota-run-id"]["StringValue"].startswith("orders:failed:0.1@")
    held = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    assert held["ApproximateNumberOfMessages"] == "0"


def test_an_event_bus_is_told(place: Place, aws: Emulator) -> None:
    del aws
    url = clouds.make_queue("told")
    clouds.make_bus("batches", url, {"detail-type": ["batch ended"], "detail": {"outcome": ["failed"]}})
    place.batch(shop.picky, place.orders(20), notify=["events:batches?detail_type=batch ended"])
    with place.serve() as client:
        run = client.batches.wait(client.batches.start("orders").id, PATIENCE)
        [message] = queues.receive(url, 1, PATIENCE)
        [told] = client.runs.list()
        until(lambda: client.runs.get(told.id).state == "succeeded")
    event = json.loads(message["Body"])
    assert event["resources"] == [told.id]
    assert (event["detail"]["batch_run"], event["detail"]["outcome"]) == (run.id, "failed")
