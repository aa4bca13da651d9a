"""A task fails for some of its items; it is mended, deployed, and the dead letters are redriven with what it is now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from tests.cli.command import Command

from rota import connect
from rota.testing.emulator import Emulator

pytestmark = pytest.mark.slow
ITEMS = 2000
PATIENCE = 300.0
STACK = ("--url", "aws://ledger")
BROKEN = "item['price'] * item['count']"
MENDED = "item['price'] * item.get('count', 1)"
MODULE = """
import rota

app = rota.App("ledger")


@app.task
def total(item):
    return {{"id": item["id"], "total": {total}}}


app.batch(
    "totals",
    source="s3://ledger-orders/orders.jsonl",
    task=total,
    sink="s3://ledger-orders/totals/",
    chunk_items=100,
    concurrency=4,
    tolerated_failures="50%",
)
"""


@pytest.fixture
def rota(tmp_path: Path, aws: Emulator) -> Command:
    del aws
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="ledger-orders")
    rows = [{"id": it, "price": 2} | ({"count": 3} if it % 10 else {}) for it in range(ITEMS)]
    body = b"\n".join(map(msgspec.json.encode, rows))
    s3.put_object(Bucket="ledger-orders", Key="orders.jsonl", Body=body)
    return Command(tmp_path)


def deploy(rota: Command, module: Path, total: str) -> list[str]:
    """The logical ids of what that changed."""
    module.write_text(MODULE.format(total=total))
    said = rota.json("deploy", str(module), "--installed")
    return [change["resource"] for change in said["changes"]]


def redriven(rota: Command, run: str) -> dict[str, Any]:
    rota("batch", "redrive", run, *STACK)
    return ended(rota, run)


def ended(rota: Command, run: str) -> dict[str, Any]:
    """The batch run, when it has."""
    with connect("aws://ledger") as client:
        client.batches.wait(run, PATIENCE)
    found: dict[str, Any] = rota.json("batch", "show", run, *STACK)
    return found


def results() -> dict[int, int]:
    s3 = boto3.client("s3")
    found: list[tuple[int, int]] = []
    for entry in s3.list_objects_v2(Bucket="ledger-orders", Prefix="totals/part-")["Contents"]:
        lines = s3.get_object(Bucket="ledger-orders", Key=entry["Key"])["Body"].read().splitlines()
        found += [(it["id"], it["total"]) for it in map(msgspec.json.decode, lines)]
    assert len(found) == len(dict(found)), "an item has one result"
    return dict(found)


def test_dead_letters_are_redriven_with_the_task_as_it_was_mended(rota: Command, tmp_path: Path) -> None:
    module = tmp_path / "ledger.py"
    deploy(rota, module, BROKEN)
    run = ended(rota, rota.json("batch", "start", "totals", "--detach", "--app", str(module), *STACK)["id"])
    assert (run["state"], run["failed"]) == ("succeeded", ITEMS // 10)
    assert results() == {it: 6 for it in range(ITEMS) if it % 10}

    again = redriven(rota, run["id"])
    assert (again["state"], again["failed"]) == ("succeeded", ITEMS // 10), "the task is what it was"

    changed = deploy(rota, module, MENDED)
    assert "Processor" in changed
    mended = redriven(rota, run["id"])
    assert (mended["state"], mended["failed"]) == ("succeeded", 0)
    assert mended["succeeded"] == ITEMS
    assert results() == {it: 6 if it % 10 else 2 for it in range(ITEMS)}
    rota("batch", "verify", run["id"], *STACK)
