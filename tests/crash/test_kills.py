"""Whatever the moment an engine is killed at, every promise is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.crash.checker import check
from tests.crash.fire import Field, bombard, field
from tests.crash.history import read_history


def survive(place: Field, kills: int, seed: int) -> None:
    served = bombard(place, kills, seed)
    history = read_history(place.database, place.acknowledged, place.log)
    assert check(history) == []
    assert served > kills // 2
    assert len(history.one_offs) > kills
    assert sum(row.outcome == "fired" for rows in history.ledger.values() for row in rows) > kills
    assert any(run.state == "interrupted" for run in history.runs.values())
    assert any(line.attempt > 1 for line in history.lines)


def test_a_hundred_kills(tmp_path: Path) -> None:
    survive(field(tmp_path), 100, 1)


@pytest.mark.slow
def test_a_thousand_kills(tmp_path: Path) -> None:
    survive(field(tmp_path), 1000, 2)
