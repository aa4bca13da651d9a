"""Texts whose records are longer than what readers and planners look at in one go (8, 16, 32, 64 and 256 KiB), and end
just before, at and behind such bounds: however they are cut, their records are those of a plain reader."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from random import Random
from typing import Literal

import pytest
from tests.connectors.driving import drive

from rota.connectors.options import Csv, Jsonl
from rota.core.block import Broken
from rota.core.chunk import ChunkSize

SEEDS = range(24)
BOUNDS = [1 << 13, 1 << 14, 1 << 15, 1 << 16, 1 << 18]
PIECES = ["x", "a,b\n", '"', '",\n"', "\n", "\r\n", "1,2,3\r\n", "ä€", '\n"', 'y",']
ENDINGS: list[Literal["\n", "\r\n"]] = ["\n", "\r\n"]


def length(random: Random) -> int:
    """Mostly short; else near a bound, or anything up to 300,000."""
    kind = random.random()
    if kind < 0.6:
        return random.randrange(40)
    return random.choice(BOUNDS) + random.randrange(-12, 4) if kind < 0.85 else random.randrange(300_000)


def field(random: Random) -> str:
    piece, wanted = random.choice(PIECES), length(random)
    return (piece * (wanted // len(piece) + 1))[:wanted]


def size(random: Random) -> ChunkSize:
    kind = random.randrange(3)
    many, few = random.choice([3_000, 20_000, 100_000, 400_000]), random.randrange(1, 6)
    return [ChunkSize(bytes=many), ChunkSize(items=few), ChunkSize(few, many)][kind]


def stored(root: Path, name: str, data: bytes, random: Random) -> str:
    packed = random.random() < 0.25
    path = root / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(data, 1) if packed else data)
    return str(path)


def shown(values: list[object]) -> list[object]:
    return [Broken if isinstance(value, Broken) else value for value in values]


@pytest.mark.parametrize("seed", SEEDS)
def test_csv(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    columns, text = [f"c{n}" for n in range(random.randrange(2, 5))], io.StringIO(newline="")
    quoting: Literal[0, 1] = random.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    writer = csv.writer(text, quoting=quoting, lineterminator=random.choice(ENDINGS))
    writer.writerow(columns)
    for _ in range(random.randrange(1, 14)):
        width = len(columns) if random.random() < 0.9 else 1
        writer.writerow([field(random) or "-" for _ in range(width)])
        text.write(random.choice(["", "", "\n"]))
    whole = text.getvalue()[: None if random.random() < 0.5 else -1]
    cuts: Literal["guess", "scan"] = "scan" if seed % 2 else "guess"
    path = stored(tmp_path, "x.csv", whole.encode(), random)
    driven = drive(Csv(path, cuts=cuts), size(random), tmp_path / "spool")
    rows = [row for row in csv.reader(io.StringIO(whole, newline="")) if row][1:]
    assert shown(driven.values()) == [
        dict(zip(columns, row, strict=True)) if len(row) == len(columns) else Broken for row in rows
    ]
    assert driven.positions() == sorted(set(driven.positions()))


def line(random: Random) -> str:
    text = field(random)
    kind = random.randrange(8)
    if kind == 0:
        return " " * len(text)
    if kind == 1:
        return '{"never": "closed' + "x" * len(text)
    if kind == 2:
        return json.dumps(list(range(len(text) // 4)))
    return json.dumps({"id": random.randrange(10**6), "text": text}, ensure_ascii=random.random() < 0.5)


@pytest.mark.parametrize("seed", SEEDS)
def test_json_lines(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    lines = [line(random) for _ in range(random.randrange(1, 16))]
    ending = random.choice(ENDINGS)
    data = (ending.join(lines) + random.choice(["", ending])).encode()
    expected: list[object] = []
    for one in data.split(b"\n"):
        if one.strip():
            try:
                expected.append(json.loads(one))
            except ValueError:
                expected.append(Broken)
    driven = drive(Jsonl(stored(tmp_path, "x.jsonl", data, random)), size(random), tmp_path / "spool")
    assert shown(driven.values()) == expected
    assert driven.rounds == 0
    for position, value in zip(driven.positions(), driven.values(), strict=True):
        if not isinstance(value, Broken):
            assert json.loads(data[position:].split(b"\n", 1)[0]) == value


@pytest.mark.parametrize("seed", SEEDS)
def test_lines_over_the_limit_are_dead_letters(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    longest = random.choice([20, 1_000, 1 << 15, 1 << 17])
    lines = [json.dumps(field(random)).encode() for _ in range(random.randrange(1, 40))]
    path = stored(tmp_path, "x.jsonl", b"".join(one + b"\n" for one in lines), random)
    driven = drive(Jsonl(path, max_item_bytes=longest), size(random), tmp_path / "spool")
    assert shown(driven.values()) == [Broken if len(one) >= longest else json.loads(one) for one in lines]
    for value in driven.values():
        assert not isinstance(value, Broken) or f"({longest}): a line of {value.size} bytes" in value.error


@pytest.mark.parametrize("seed", SEEDS)
def test_records_over_the_limit_are_dead_letters_however_they_are_cut(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    longest = random.choice([200, 1_000, 1 << 15, 1 << 17])
    rows = [[str(number), (random.choice("xyz") * length(random))] for number in range(random.randrange(1, 40))]
    text = io.StringIO(newline="")
    quoting: Literal[0, 1] = random.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    csv.writer(text, quoting=quoting, lineterminator="\n").writerows([["id", "text"], *rows])
    path = stored(tmp_path, "x.csv", text.getvalue().encode(), random)
    records = text.getvalue().splitlines()[1:]
    expected = [
        Broken if len(record) >= longest else {"id": row[0], "text": row[1]}
        for record, row in zip(records, rows, strict=True)
    ]
    for cuts in ("guess", "scan"):
        driven = drive(Csv(path, max_item_bytes=longest, cuts=cuts), size(random), tmp_path / f"spool-{cuts}")
        assert shown(driven.values()) == expected
