"""The parts of a stack that every function and every client puts together the same way."""

from __future__ import annotations

from typing import Any, NamedTuple

from boto3.session import Session

from rota.aws.dynamo.far import DynamoFar
from rota.aws.dynamo.runs import DynamoRuns
from rota.aws.dynamo.schedules import DynamoSchedules
from rota.aws.dynamo.table import Table
from rota.aws.handing import CheckSpec, HandingRuns, HandingSchedules, any_spec
from rota.aws.handover import Handover
from rota.aws.near import NearTier
from rota.aws.sessions import client
from rota.aws.settings import StackSettings
from rota.ports.clock import Clock
from rota.system import SystemClock

_DAY = 86_400_000


class Parts(NamedTuple):
    """settings, and what is built from them. schedules, runs: the stores themselves. sqs: a boto3 client."""

    settings: StackSettings
    clock: Clock
    schedules: DynamoSchedules
    runs: DynamoRuns
    far: DynamoFar
    sqs: Any
    near: NearTier
    handover: Handover
    table: Table

    def handing(self, check: CheckSpec = any_spec) -> tuple[HandingSchedules, HandingRuns]:
        """The stores for whoever writes from outside the feeder and the dispatcher."""
        return (
            HandingSchedules(self.schedules, self.handover, self.clock, check),
            HandingRuns(self.runs, self.schedules, self.far, self.handover, self.clock, self.runs.withdraw, check),
        )


def parts_of(settings: StackSettings, region: str | None = None, endpoint_url: str | None = None) -> Parts:
    """The parts of the stack that `settings` name. RotaError if nothing says which region is meant."""
    clock, session = SystemClock(), Session()
    table = Table(client("dynamodb", region, endpoint_url, session), settings.table)
    sqs = client("sqs", region, endpoint_url, session)
    keep = settings.retention_days * _DAY
    far = DynamoFar(table)
    near = NearTier(sqs, clock)
    return Parts(
        settings,
        clock,
        DynamoSchedules(table, keep),
        DynamoRuns(table, keep),
        far,
        sqs,
        near,
        Handover(near, far, settings),
        table,
    )
