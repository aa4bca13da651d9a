"""The real handlers with real events, on DynamoDB and SQS of the emulator, in this process."""

from __future__ import annotations

import time

import pytest
from tests.aws.firing import shop
from tests.aws.firing.functions import PATIENCE, Functions, Invocation, event, forget

from rota.app import App
from rota.aws.handlers import dead, dispatcher, feeder
from rota.aws.handlers.setting import parts
from rota.aws.sessions import client as boto_client
from rota.aws.stack_client import client_of
from rota.client import Client
from rota.core.errors import ConflictError, InvalidError, NotFoundError
from rota.core.ids import iso
from rota.core.triggers import Every
from rota.testing.emulator import Emulator
from rota.testing.emulator.fault import Fault


@pytest.fixture
def stack(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> Functions:
    return Functions(monkeypatch, "tests.aws.firing.shop")


@pytest.fixture
def client(stack: Functions) -> Client:
    return client_of(parts(), shop.app)


def soon(seconds: float = 0.0) -> float:
    return time.time() + seconds


def test_data_appears_on_the_queue_at_its_time(stack: Functions, client: Client) -> None:
    stack.feed()
    when = soon(2)
    made = stack.adhoc({"timestamp": when, "data": "hello"})
    assert stack.arrives() == "hello"
    assert time.time() >= when
    assert client.runs.get(made["id"]).state == "succeeded"


def test_the_issue_s_own_event_is_late_and_says_so(stack: Functions, client: Client) -> None:
    made = stack.adhoc(event("adhoc-direct"))
    assert made["id"].endswith("@2019-07-29T05:32:20Z")
    stack.deliver(wait=20)
    assert stack.received(wait=20) == ["This message will be sent on 2019-07-29T05:32:20Z"]
    lateness = client.runs.get(made["id"]).lateness
    assert lateness is not None
    assert lateness > 7 * 365 * 86_400_000


def test_the_feeder_hands_over_what_waits_in_the_table(stack: Functions, client: Client) -> None:
    made = [client.at(soon(100 + n / 10), "queue:data", n) for n in range(25)]
    answer = stack.feed()
    assert (answer["runs"], answer["failed"]) == (25, 0)
    assert stack.feed()["runs"] == 0, "they were handed over once"
    with pytest.raises(ConflictError, match="handed to SQS"):
        client.runs.cancel(made[0])


def test_a_parameter_makes_more_shards_and_the_old_ones_are_still_fed(
    stack: Functions, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.feed()
    client.at_many([(soon(1000 + n), n) for n in range(10)], "queue:data")
    monkeypatch.setenv("ROTA_SHARDS", "5")
    forget()
    stack.feed()
    assert max({(shard.generation, shard.of) for shard in parts().far.shards()})[1] == 5
    client_of(parts()).at_many([(soon(1000 + n), n) for n in range(10)], "queue:data")
    monkeypatch.setenv("ROTA_HORIZON", "840")
    forget()
    assert stack.feed()["runs"] == 0
    client_of(parts()).at_many([(soon(400 + n), n) for n in range(10)], "queue:data")
    assert stack.feed()["runs"] == 0, "they were handed over by their writer, for the fence is behind them"
    assert parts().runs.counts()["pending"] == 30


def test_what_is_cancelled_before_that_is_not_handed_over(stack: Functions, client: Client) -> None:
    run = client.at(soon(100), "queue:data", 1)
    client.runs.cancel(run)
    assert stack.feed()["runs"] == 0


def test_a_schedule_fires_tasks_through_the_worker(stack: Functions, client: Client) -> None:
    shop.done.clear()
    client.schedules.create("often", Every("1s"), "task:note", payload={"n": 1})
    assert stack.feed()["ticks"] >= 1
    ends = time.monotonic() + PATIENCE
    while len(shop.done) < 3 and time.monotonic() < ends:
        stack.deliver("WorkerQueue", wait=1)
    assert shop.done[:3] == [{"n": 1}] * 3
    rows = client.schedules.ticks("often")
    fired = [row for row in rows if row.outcome == "fired"]
    assert len(fired) >= 3
    record = client.runs.get(f"often@{iso(fired[-1].scheduled)}")
    assert record.state == "succeeded"
    assert record.value == f'"{record.id}"'.encode()


@pytest.mark.parametrize("task", ["slow", "slow_async"])
def test_a_task_that_overruns_fails_and_the_function_goes_on(stack: Functions, client: Client, task: str) -> None:
    shop.done.clear()
    run = client.at(soon(-1), f"task:{task}")
    stack.deliver("WorkerQueue", wait=20)
    record = client.runs.get(run)
    assert record.state == "failed"
    assert record.failure is not None
    assert "longer than the timeout of 0.5 s" in record.failure.message
    assert [letter.id for letter in client.dead_letters.list()] == [run]
    assert len(stack.received("DeadQueue", wait=20)) == 1
    ends = time.monotonic() + PATIENCE
    while task == "slow_async" and not shop.done and time.monotonic() < ends:
        time.sleep(0.01)
    assert shop.done == (["cleaned up"] if task == "slow_async" else [])


def test_a_task_s_own_retry_holds(stack: Functions, client: Client) -> None:
    run = client.at(soon(-1), "task:flaky")
    stack.deliver("WorkerQueue", wait=20)
    record = client.runs.get(run)
    assert (record.state, record.attempt, record.value) == ("succeeded", 2, b'"at last"')


def test_throttled_calls_lose_nothing(stack: Functions, aws: Emulator, client: Client) -> None:
    runs = client.at_many([(soon(-1), n) for n in range(10)], "task:note")
    shop.done.clear()
    slow = Fault(p=0.2, code="ThrottlingException")
    aws.faults({"sqs.SendMessageBatch": slow, "dynamodb.UpdateItem": Fault(p=0.1, code="ThrottlingException")})
    ends = time.monotonic() + PATIENCE
    while len(shop.done) < 10 and time.monotonic() < ends:
        stack.deliver("WorkerQueue", wait=1)
    aws.faults({})
    assert sorted(map(str, shop.done)) == [str(n) for n in range(10)]
    assert {client.runs.get(run).state for run in runs} == {"succeeded"}


def test_the_events_that_aws_sends_are_understood(stack: Functions, client: Client) -> None:
    """Of runs and schedules that nobody made, nothing comes; nothing fails either."""
    assert dispatcher.handler(event("dispatcher-sqs"), Invocation()) == {"batchItemFailures": []}
    assert dead.handler(event("dead-sqs"), Invocation()) == {"batchItemFailures": []}
    stack.feed()
    assert feeder.handler({"shards": [[1, 0, 2]]}, Invocation())["failed"] == 0
    assert len(stack.adhoc(event("adhoc-many"))["ids"]) == 2
    broken = event("dispatcher-sqs")
    broken["Records"][0]["body"] = "{}"
    first = {"itemIdentifier": broken["Records"][0]["messageId"]}
    assert dispatcher.handler(broken, Invocation()) == {"batchItemFailures": [first]}


def test_a_message_that_nobody_could_deal_with_is_a_dead_letter_and_comes_back(
    stack: Functions, client: Client
) -> None:
    run = client.at(soon(-1), "task:note", "again")
    [body] = stack.received("WorkerQueue", wait=20)
    message = event("dead-sqs")
    message["Records"] = [{**message["Records"][0], "body": body}]
    assert dead.handler(message, Invocation()) == {"batchItemFailures": []}
    [letter] = client.dead_letters.list()
    assert letter.id == run
    assert letter.failure is not None
    assert letter.failure.type == "rota.Undelivered"
    shop.done.clear()
    client.dead_letters.redrive(run)
    while not shop.done:
        assert stack.deliver("WorkerQueue", wait=20)
    assert client.runs.get(run).state == "succeeded"


def test_the_url_answers_with_status_codes(stack: Functions) -> None:
    status, made = stack.post({"timestamp": soon(3600), "data": {"n": 1}})
    assert (status, list(made)) == (201, ["id", "timestamp"])
    assert stack.post({"cancel": made["id"]}) == (200, {"id": made["id"], "cancelled": True})
    status, named = stack.post({"timestamp": soon(3600), "data": 1, "id": "reminder"})
    assert (status, named["id"]) == (201, "reminder")
    assert stack.post({"timestamp": soon(3600), "data": 1, "id": "reminder"})[0] == 409
    later = stack.post({"update": {"id": "reminder", "timestamp": soon(7200), "data": 2}})
    assert later[0] == 200
    assert stack.post({"cancel": "reminder"})[0] == 200
    assert stack.post({"cancel": "reminder"})[0] == 404
    assert stack.post({"cancel": made["id"]})[0] == 409
    assert stack.post("{no json")[0] == 400
    assert stack.post({}, method="GET")[0] == 405


BAD = [
    ({"timestamp": 1564378340000, "data": 1}, "divide by 1000"),
    ({"timestamp": "tomorrow", "data": 1}, "ISO 8601"),
    ({"timestamp": None, "data": 1}, "timestamp"),
    ({"timestamp": 1, "data": 1, "target": "queue:nowhere"}, "none of this name"),
    ({"timestamp": 1, "data": 1, "target": "pigeon:7"}, "target"),
    ({"timestamp": 1, "data": 1, "target": "batch:b"}, "batch"),
    ({"timestamp": 1, "data": 1, "when": 2}, "when"),
    ({"timestamp": 1, "data": "x" * 300_000}, "at most 262144 bytes"),
    ({"timestamp": 1, "data": 1, "precise": "yes"}, "true or false"),
    ({"schedules": [{"timestamp": 1, "data": 1}, {"timestamp": 1564378340000}]}, r"schedules\[1\].timestamp"),
    ({"schedules": [{"timestamp": 1, "data": 1}, {"timestamp": 1, "target": "queue:nowhere"}]}, "none of this name"),
    ({"data": 1}, "timestamp"),
    ([1], "timestamp"),
]


@pytest.mark.parametrize(("asked", "said"), BAD)
def test_bad_input_gets_one_clear_error_and_nothing_is_stored(
    stack: Functions, client: Client, asked: object, said: str
) -> None:
    with pytest.raises((InvalidError, NotFoundError), match=said):
        stack.adhoc(asked)
    status, answer = stack.post(asked)
    assert status in (400, 404)
    assert answer["error"]
    assert client.runs.list() == []
    assert stack.received() == []


def test_a_run_is_updated_by_replacing_it(stack: Functions, client: Client) -> None:
    made = stack.adhoc({"timestamp": soon(3600), "data": "old"})
    answer = stack.adhoc({"update": {"id": made["id"], "timestamp": soon(2), "data": "new"}})
    assert answer["replaces"] == made["id"]
    assert client.runs.get(made["id"]).state == "cancelled"
    stack.feed()
    assert stack.arrives() == "new"


def test_the_function_keeps_large_data_in_the_bucket_where_that_is_wanted(
    stack: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = boto_client("s3")
    s3.create_bucket(Bucket="shop-bucket")
    monkeypatch.setenv("ROTA_BUCKET", "shop-bucket")
    monkeypatch.setenv("ROTA_LARGE_PAYLOADS", "1")
    forget()
    stack.feed()
    stack.adhoc({"timestamp": soon(0.2), "data": "x" * 300_000})
    body = stack.arrives()
    assert '"rota:s3":"s3://shop-bucket/payloads/' in body
    [stored] = s3.list_objects_v2(Bucket="shop-bucket")["Contents"]
    assert stored["Size"] == 300_002


def test_embedded_queues_are_sqs_queues(stack: Functions, client: Client) -> None:
    client.queues.send_many("data", [{"n": 1}, {"n": 2}])
    first = client.queues.receive("data", limit=10, wait=20)
    assert client.queues.ack([message.receipt for message in first]) == [True] * len(first)
    assert client.queues.sizes().get("data", 0) == 2 - len(first)
    with pytest.raises(InvalidError, match="900 seconds"):
        client.queues.send("data", 1, delay=901)
    with pytest.raises(NotFoundError, match="nowhere"):
        client.queues.send("nowhere", 1)
    with pytest.raises(NotFoundError, match="nowhere"):
        client.queues.receive("nowhere")


def test_targets_that_the_app_lacks_are_refused(client: Client) -> None:
    assert isinstance(shop.app, App)
    with pytest.raises(InvalidError, match="a task of the app"):
        client.at(soon(10), "task:nothing")
