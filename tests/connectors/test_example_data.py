"""The example data is what its README says."""

from __future__ import annotations

import csv
from pathlib import Path

from tests.connectors.driving import drive

from rota.core.block import Broken
from rota.core.chunk import ChunkSize

DATA = Path(__file__).parents[2] / "examples" / "data"


def test_the_flights_of_january() -> None:
    path = DATA / "flights-2013-01.csv"
    with path.open(newline="") as file:
        expected = list(csv.DictReader(file))
    assert len(expected) == 27_004
    for size in (ChunkSize(items=1000), ChunkSize(bytes=100_000)):
        assert drive(str(path), size).values() == expected


def test_the_broken_flights() -> None:
    values = drive(str(DATA / "flights-2013-01-broken.csv"), ChunkSize(bytes=50_000)).values()
    assert len(values) == 27_004
    broken = {number: value.error for number, value in enumerate(values, 1) if isinstance(value, Broken)}
    assert broken == {
        5000: "wrong number of fields: 12 instead of 19",
        15000: "wrong number of fields: 20 instead of 19",
        20000: "invalid UTF-8 in column 'dest': byte 0xff",
    }
    fields = {100: "distance", 10000: "sched_dep_time", 25000: "air_time", 27000: "time_hour"}
    found = {number: values[number - 1][name] for number, name in fields.items()}  # type: ignore[index]
    assert found == {100: "far", 10000: "2561", 25000: "-15", 27000: "not a\ntime"}
