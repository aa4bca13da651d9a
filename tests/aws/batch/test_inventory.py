"""An inventory as the source of the topologies queue and pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.aws.batch.pipe_world import PipeWorld
from tests.aws.batch.world import World, lines
from tests.connectors.inventories import put_inventory

import rota
from rota.connectors.verifying import verify_manifest
from rota.core.receipt import Counts
from rota.testing.emulator import Emulator

KEYS = [(f"a picture of {number}.jpg", number) for number in range(90)]


@pytest.mark.parametrize("kind", [World, PipeWorld])
def test_each_row_is_an_item_with_its_key_decoded(aws: Emulator, tmp_path: Path, kind: type[World]) -> None:
    s3 = boto3.client("s3", endpoint_url=aws.url)
    s3.create_bucket(Bucket="lists")
    app = rota.App("shop")

    @app.task
    def weigh(row: dict[str, Any]) -> dict[str, Any]:
        return {"key": row["Key"], "size": int(row["Size"])}

    source = rota.Inventory(put_inventory(s3, "lists", KEYS[:50], KEYS[50:]))
    app.batch("pictures", source=source, task=weigh, sink="out/{run}/", chunk_items=20)
    world = kind(app, tmp_path)
    run = world.until_ended(world.start("pictures"))
    assert (run.state, run.error, run.counts) == ("succeeded", "", Counts(90, 90))
    found = [(it["key"], it["size"]) for it in lines(tmp_path / "out" / run.id)]
    assert sorted(found) == sorted(KEYS)
    assert verify_manifest(Path(run.manifest)) == []
