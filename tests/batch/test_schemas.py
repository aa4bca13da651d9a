"""Items are checked against every kind of type that a task may declare; one that does not fit names its field."""

from __future__ import annotations

from typing import Any

import pytest
from tests.batch import shop
from tests.batch.running import Place

from rota.core.receipt import Counts

TASKS = [shop.priced, shop.priced_dataclass, shop.priced_dict, shop.priced_model]


@pytest.mark.parametrize("task", TASKS, ids=["msgspec", "dataclass", "TypedDict", "pydantic"])
def test_an_item_that_does_not_fit_names_its_field(place: Place, task: Any) -> None:
    items = [
        {"id": 1, "price": 2.5},
        {"id": "x", "price": 1.0},
        {"price": 1.0},
        {"id": 2, "price": []},
        {"id": 3, "price": 4},
    ]
    run = place.run(task, place.lines(items), tolerated_failures="100%")
    assert run.counts == Counts(5, 2, 3)
    assert place.results() == [5.0, 8.0]
    with place.client() as client:
        dead = list(client.batches.dead_letters(run.id))
        groups = client.batches.failures(run.id)
    assert [it.field for it in dead] == ["$.id", "$.id", "$.price"]
    assert {it.failure.type for it in dead} == {"rota.InvalidItem"}
    assert sorted((one.signature.field, one.count) for one in groups) == [("$.id", 2), ("$.price", 1)]
    assert place.verify(run) == []


@pytest.mark.parametrize("task", TASKS, ids=["msgspec", "dataclass", "TypedDict", "pydantic"])
def test_text_of_csv_is_read_as_the_type_says(place: Place, task: Any) -> None:
    path = place.lines(["id,price\n", "1,2.5\n", "x,1\n", "2,3\n"], "orders.csv")
    run = place.run(task, path, tolerated_failures="100%")
    assert run.counts == Counts(3, 2, 1)
    assert place.results() == [5.0, 6.0]
