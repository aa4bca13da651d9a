"""Which topology a batch run has on AWS, and why."""

from __future__ import annotations

import msgspec

from rota.core.batch import Topology


class Choice(msgspec.Struct, frozen=True):
    """way: never "auto". why: a phrase. refused: the topologies that cannot carry it out, each with what is against
    it."""

    way: Topology
    why: str
    refused: dict[str, str]
