"""`precise`, an option of schedules and one-offs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.service.desk import Desk

from rota.core.errors import InvalidError
from rota.core.run import RunSpec
from rota.core.schedule import Schedule
from rota.core.target import QueueTarget
from rota.core.triggers import Every


def test_what_is_stored_does_not_change_unless_it_is_asked_for() -> None:
    plain = Schedule(id="a", trigger=Every(60), target=QueueTarget("q"))
    assert b"precise" not in msgspec.json.encode(plain) + msgspec.json.encode(plain.spec)
    exact = msgspec.structs.replace(plain, precise=True)
    assert msgspec.json.decode(msgspec.json.encode(exact), type=Schedule).spec == RunSpec(
        QueueTarget("q"), precise=True
    )


def test_a_client_passes_it_on() -> None:
    client = Desk().client
    made = client.schedules.create("a", Every(60), "queue:q", precise=True)
    assert made.schedule.precise
    assert not client.schedules.update("a", precise=False).schedule.precise
    [run] = client.at_many([(1, None)], "queue:q", precise=True)
    assert client.runs.get(run).spec.precise
    assert client.runs.get(client.at(1, "queue:q", precise=True)).spec.precise


def test_it_is_true_or_false() -> None:
    wrong: Any = 1
    with pytest.raises(InvalidError, match="precise"):
        Schedule(id="a", trigger=Every(60), target=QueueTarget("q"), precise=wrong)
