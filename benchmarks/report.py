"""What every benchmark prints: rota's figure, and beside each peer's the ratio, measured in turn in the same run."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sqlite3
import sys
from collections.abc import Callable, Mapping
from statistics import median
from typing import NamedTuple

Figures = dict[str, list[float]]
QUICK = "--quick" in sys.argv
AS_JSON = "--json" in sys.argv


class _Row(NamedTuple):
    """A line of what is printed, and its names in JSON."""

    measure: str
    of: str
    median: float
    unit: str
    least: float
    most: float
    ratio: float | None


def versions(*packages: str) -> None:
    """One line that says what is compared."""
    if not AS_JSON:
        found = [f"{name} {importlib.metadata.version(name)}" for name in ("rota", *packages)]
        print(f"  {', '.join([*found, f'SQLite {sqlite3.sqlite_version}', f'Python {platform.python_version()}'])}")


def in_turn(ways: Mapping[str, Callable[[], float]], rounds: int) -> Figures:
    """Each way's figure, once a round: what else the machine does meanwhile falls on all of them."""
    figures: Figures = {name: [] for name in ways}
    for _ in range(1 if QUICK else rounds):
        for name, way in ways.items():
            figures[name].append(way())
    return figures


def show(measure: str, unit: str, figures: Figures, *, more_is_better: bool = True) -> None:
    """Medians with their spread. The ratio, above 1 where rota is better, is the median of the rounds' own ratios."""
    ours = figures["rota"]
    rows = []
    for name, found in figures.items():
        ratios = [
            (a / b if more_is_better else b / a) if a and b else float("inf") for a, b in zip(ours, found, strict=False)
        ]
        ratio = None if name == "rota" else median(ratios)
        rows.append(_Row(measure, name, median(found), unit, min(found), max(found), ratio))
    if AS_JSON:
        print("\n".join(json.dumps(row._asdict()) for row in rows))
        return
    print(f"  {measure}, {unit}")
    for row in rows:
        spread = f"{_text(row.least)} to {_text(row.most)}" if len(ours) > 1 else ""
        better = "" if row.ratio is None else f"rota is {row.ratio:.2f}x as good"
        print(f"    {row.of:<44}{_text(row.median):>12}  {spread:<24}{better}".rstrip())


def tell(measure: str, unit: str, values: Mapping[str, float]) -> None:
    """Figures of rota's own that stand beside each other and not beside a peer."""
    if AS_JSON:
        for name, value in values.items():
            print(json.dumps({"measure": f"{measure}, {name}", "of": "rota", "median": value, "unit": unit}))
    else:
        print(f"  {measure:<52}{', '.join(f'{name} {_text(value)}' for name, value in values.items())} {unit}")


def _text(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.1f}" if abs(value) >= 100 else f"{value:.2f}"
