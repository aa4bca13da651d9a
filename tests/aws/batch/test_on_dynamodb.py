"""The same on the ledger in DynamoDB: duplicates, deaths, a redrive."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from tests.aws.batch.test_engine import check, shop
from tests.aws.batch.world import World
from tests.aws.dynamo.batching import LIFETIME

from rota.aws.dynamo.batches import DynamoBatches
from rota.aws.dynamo.runs import DynamoRuns
from rota.aws.dynamo.schema import create_table
from rota.aws.dynamo.table import Table
from rota.aws.sessions import client
from rota.connectors.verifying import verify_manifest
from rota.testing import Fuse
from rota.testing.emulator import Emulator

ITEMS = 60


class OnDynamo(World):
    """A world whose ledger is a table."""

    def __post_init__(self) -> None:
        super().__post_init__()
        dynamodb = client("dynamodb")
        create_table(dynamodb, "batches")
        table = Table(dynamodb, "batches")
        self.ledger: Any = DynamoBatches(table, DynamoRuns(table), LIFETIME)
        self.restart()


def dying_every(calls: int) -> Any:
    """Functions that die after so many calls, before or after the last of them."""
    fuses = itertools.cycle([False, True])
    now = [Fuse(calls)]

    def wrap(it: Any) -> Any:
        if now[0].burnt:
            now[0] = Fuse(calls, after=next(fuses))
        return now[0].wrap(it)

    return wrap


@pytest.mark.usefixtures("aws")
def test_duplicates_deaths_and_a_redrive_change_no_total(aws: Emulator, tmp_path: Path) -> None:
    del aws
    world = OnDynamo(shop(tmp_path, ITEMS), tmp_path, seed=5)
    key = world.start("double")
    world.wrap = dying_every(23)
    world.restart()
    run = world.until_ended(key, twice=0.2)
    assert world.deaths >= 1
    world.wrap = lambda it: it
    world.restart()
    world.drain()
    check(world, world.run(key), ITEMS)
    keys = [group.signature.key for group in world.ledger.failures(key)]
    assert world.client.redrive(key, keys)
    again = world.until_ended(key)
    assert (again.state, again.counts, again.version) == ("succeeded", run.counts, 2)
    assert verify_manifest(Path(again.manifest)) == []
