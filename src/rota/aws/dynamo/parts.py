"""What the stores of one table are made of."""

from __future__ import annotations

from rota.aws.dynamo.accepting import Accepting
from rota.aws.dynamo.endings import Endings
from rota.aws.dynamo.groups import Groups
from rota.aws.dynamo.lifetimes import DAY, Lifetimes
from rota.aws.dynamo.places import Places
from rota.aws.dynamo.rows import RowWriter
from rota.aws.dynamo.table import Table
from rota.aws.dynamo.walk import Walk
from rota.ports.clock import Clock
from rota.system import SystemClock

KEEP = 30 * DAY
"""Milliseconds that history is kept unless said otherwise."""


class Parts:
    """keep: milliseconds that finished runs and ledger rows are kept. clock: for lifetimes, and for how old what is
    known of generations may be; nothing is decided by it."""

    def __init__(self, table: Table, keep: int = KEEP, clock: Clock | None = None) -> None:
        self.table: Table = table
        self.clock: Clock = clock or SystemClock()
        self.lifetimes: Lifetimes = Lifetimes(keep, self.clock)
        self.places: Places = Places(table, self.clock, self.lifetimes)
        self.writer: RowWriter = RowWriter(self.lifetimes)
        self.groups: Groups = Groups(table, self.places)
        self.accepting: Accepting = Accepting(table, self.places, self.writer, self.groups)
        self.endings: Endings = Endings(table, self.places, self.writer, self.groups)
        self.walk: Walk = Walk(table, self.places)
