"""How many due items a minute the feeder hands over, with the latencies that real AWS has.

    python -m benchmarks.aws_feeder [--quick] [--json]

DynamoDB answers 5 ms late and SQS 15 ms, as the emulator is told to; then once more without. The deployed feeder
function does the work. Beside it stands the emulator's own limit: as many threads, which send the same messages in
batches of ten, made up beforehand, and do nothing else.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from benchmarks.aws_ground import Endpoint, Stack, deployed, ground, load
from benchmarks.report import AS_JSON, QUICK, Figures, show, versions
from botocore.config import Config

from rota.testing.emulator import Emulator, Fault

COUNT = 2_000 if QUICK else 20_000
THREADS = 16
DYNAMODB, SQS = Fault(latency_ms=5), Fault(latency_ms=15)
AWS = {"dynamodb.*": DYNAMODB, "sqs.*": SQS}


def fed(emulator: Emulator, target: object, faults: dict[str, Fault]) -> float:
    """Items a minute that one pass of the feeder hands over, on a stack that nobody has fed."""
    while True:
        with deployed(emulator) as stack:
            stack.resting()
            due = time.time() + 100
            stack.client.at_many([(due + 10 * n / COUNT, {"n": n}) for n in range(COUNT)], target)
            warm(stack)
            emulator.faults(faults)
            began = time.monotonic()
            runs = stack.feed()["runs"]
            took = time.monotonic() - began
            emulator.faults({})
        # Or the rule was faster than the one who switched it off, and what was stored went to SQS at once.
        if runs == COUNT:
            return float(60 * runs / took)


def warm(stack: Stack) -> None:
    """A process for the function, which has shards to feed that there are not."""
    boto3.client("lambda").invoke(FunctionName=stack.outputs["FeederName"], Payload=b'{"shards": []}')


def sent(emulator: Emulator, faults: dict[str, Fault]) -> float:
    """Items a minute that the emulator takes from as many threads."""
    sqs: Any = boto3.session.Session().client("sqs", config=Config(max_pool_connections=50))
    url = sqs.create_queue(QueueName="limit")["QueueUrl"]
    text = {"DataType": "String", "StringValue": "once-nu6ckx5t4v5y-6@2026-11-21T08:34:08.704Z"}
    message = {"MessageBody": '{"n":1}', "DelaySeconds": 100}
    message["MessageAttributes"] = {"rota-run-id": text, "rota-scheduled": text}
    entries = [{"Id": str(n), **message} for n in range(10)]
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda _: sqs.list_queues(), range(THREADS)))
        emulator.faults(faults)
        began = time.monotonic()
        list(pool.map(lambda _: sqs.send_message_batch(QueueUrl=url, Entries=entries), range(COUNT // 10)))
        took = time.monotonic() - began
    emulator.faults({})
    sqs.delete_queue(QueueUrl=url)
    return 60 * COUNT / took


def main() -> None:
    versions("ministack", "boto3")
    endpoint = Endpoint()
    with ground() as emulator:
        if not AS_JSON:
            print(f"  {load()}", flush=True)
        for what, faults in (("with AWS's latencies", AWS), ("with the emulator's own", dict[str, Fault]())):
            for kind, target in (("direct", "queue:bench"), ("dispatched", endpoint.target)):
                figures: Figures = {"rota": [], "the emulator's limit": []}
                for _ in range(1 if QUICK else 2):
                    figures["rota"].append(fed(emulator, target, faults))
                    figures["the emulator's limit"].append(sent(emulator, faults))
                show(f"due items handed over, {kind}, {what}", "items a minute", figures)
    endpoint.stop()


if __name__ == "__main__":
    main()
