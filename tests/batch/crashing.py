"""A batch that takes some seconds, from each kind of source into each kind of sink, served by a process that tests
kill. Run as a module, it serves."""

from __future__ import annotations

import csv
import gzip
import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rota import wiring
from rota.app import App
from rota.connectors.options import SqliteTable

app = App("crashing")
ROOT = "CRASHING_ROOT"
"""The variable that tells workers where `mended` would be."""


@app.task
def work(item: dict[str, Any]) -> dict[str, Any]:
    """Every thousandth fails until it is mended, and then takes its time, so that a redrive can be killed too."""
    number = int(item["id"])
    if number % 100 == 0:
        time.sleep(0.001)
    if number % 1000 == 7:
        if not (Path(os.environ[ROOT]) / "mended").exists():
            raise ValueError("seven")
        time.sleep(0.03)
    return {"id": number, "square": number * number}


def made(start: int, payload: int) -> Iterator[dict[str, int]]:
    """The batcher."""
    return ({"id": number} for number in range(start, payload))


def write_lines(path: Path, items: int) -> None:
    path.write_text("".join(f'{{"id": {number}}}\n' for number in range(items)))


def write_gzip(path: Path, items: int) -> None:
    with gzip.open(path, "wt", compresslevel=1) as out:
        out.writelines(f'{{"id": {number}}}\n' for number in range(items))


def write_csv(path: Path, items: int) -> None:
    """With texts that look like rows, so that cuts are guessed wrongly."""
    with path.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["id", "text"])
        rows.writerows((number, f'{number},"x"\n\n{number},y\n' * (number % 5)) for number in range(items))


def write_array(path: Path, items: int) -> None:
    path.write_text(json.dumps([{"id": number} for number in range(items)]))


def write_parquet(path: Path, items: int) -> None:
    pq.write_table(pa.table({"id": range(items)}), path, row_group_size=items // 100)


FILES = {
    "items.jsonl": write_lines,
    "items.jsonl.gz": write_gzip,
    "items.csv": write_csv,
    "items.json": write_array,
    "items.parquet": write_parquet,
}
GENERATOR = "generator"
SOURCES = (*FILES, GENERATOR)
PARTS, ONE_FILE, TABLE = "results/", "results.jsonl", "results.db"
SINKS = (PARTS, ONE_FILE, TABLE)


def declare(root: Path, source: str, sink: str) -> None:
    """The batch `squares`."""
    app.batches.clear()
    app.batch(
        "squares",
        source=made if source == GENERATOR else str(root / source),
        task=work,
        sink=SqliteTable(str(root / sink), "squares", "id") if sink == TABLE else f"{root}/{sink}",
        concurrency=2,
        tolerated_failures="1%",
        notify=["queue:told"],
    )


def results(root: Path, sink: str) -> list[int]:
    """The ids of all results, in the order in which they are kept; a table has none, so its are sorted."""
    if sink == TABLE:
        with closing(sqlite3.connect(root / sink)) as database:
            return [row[0] for row in database.execute("SELECT id FROM squares WHERE square = id * id ORDER BY id")]
    files: Iterable[Path] = [root / sink] if sink == ONE_FILE else sorted((root / sink).glob("part-*"))
    return [json.loads(line)["id"] for path in files for line in path.read_text().splitlines()]


def serve(url: str, root: Path, source: str, sink: str) -> None:
    """Until killed."""
    declare(root, source, sink)
    with wiring.engine(url, app, durability="process"):
        while True:
            time.sleep(1)


if __name__ == "__main__":
    serve(sys.argv[1], Path(os.environ[ROOT]), sys.argv[2], sys.argv[3])
