"""However a text is cut, its records are those that a plain reader finds."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.connectors.driving import drive, finish

from rota.connectors.open import open_source
from rota.connectors.options import Compression, Csv, JsonArray, Jsonl
from rota.core.block import Broken
from rota.core.chunk import ChunkSize
from rota.core.cutting import BOM

PLACES = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}

COMPRESSION: dict[str, Compression] = {"plain": "none", "gzip": "gzip", "zstd": "zstd"}

sizes = st.one_of(
    st.integers(1, 7).map(lambda n: ChunkSize(items=n)),
    st.integers(1, 200).map(lambda n: ChunkSize(bytes=n)),
    st.tuples(st.integers(1, 7), st.integers(1, 200)).map(lambda both: ChunkSize(*both)),
)


@contextmanager
def stored(data: bytes, kind: str = "plain") -> Iterator[tuple[str, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(PLACES[kind](data))
        yield str(path), Path(folder) / "spool"


json_lines = st.lists(
    st.one_of(
        st.integers(),
        st.text(max_size=30),
        st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=200) | st.none(), max_size=3),
        st.sampled_from(["", "   ", "\t", "{", "1 2", "[1,", "nul", '"\\ud800"', "1\r2", "NaN"]).map(
            lambda raw: raw.encode()
        ),
        st.just(b'"\xff"'),
    ),
    max_size=40,
)


def as_line(value: object) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def plain_json_lines(data: bytes) -> list[object]:
    found: list[object] = []
    for line in io.BytesIO(data.removeprefix(BOM)):
        if line.strip():
            try:
                found.append(json.loads(line.decode(), parse_constant=lambda _: 1 / 0))
            except (ValueError, ZeroDivisionError):
                found.append(Broken)
    return ["lone surrogate" if value == "\ud800" else value for value in found]


@given(
    json_lines, st.sampled_from([b"\n", b"\r\n"]), st.booleans(), st.booleans(), sizes, st.sampled_from(list(PLACES))
)
@settings(max_examples=150, deadline=None)
def test_json_lines(values: list[object], ending: bytes, final: bool, bom: bool, size: ChunkSize, kind: str) -> None:
    data = (BOM if bom else b"") + ending.join(map(as_line, values)) + (ending if final else b"")
    with stored(data, kind) as (path, spool):
        driven = drive(Jsonl(path, COMPRESSION[kind]), size, spool)
    expected = [Broken if value == "lone surrogate" else value for value in plain_json_lines(data)]
    assert [Broken if isinstance(value, Broken) else value for value in driven.values()] == expected
    assert driven.rounds == 0
    for position, value in zip(driven.positions(), driven.values(), strict=True):
        line = data[position:].split(b"\n", 1)[0]
        assert line.strip()
        if not isinstance(value, Broken):
            assert json.loads(line) == value


field = st.one_of(
    st.sampled_from(["", "a", '"', '""', "\n", ",", ";", '5" pipe', "x\ny", "\r\n", "\r", "ä€", '",\n"', "q" * 90]),
    st.text("ab\"',;\n\r ", max_size=12),
)
rows = st.lists(st.lists(field, min_size=1, max_size=5), max_size=25)
raw_csv = st.one_of(
    st.text('ab",;\n\r', max_size=150),
    st.lists(st.sampled_from(["a,b\n", '"x', '"', "\n", '1,"2\n3"\n', "7,8,9\r\n"]), max_size=40).map("".join),
)


@st.composite
def written_csv(draw: st.DrawFn) -> str:
    text = io.StringIO(newline="")
    quoting: Literal[0, 1] = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    ending = draw(st.sampled_from(["\n", "\r\n"]))
    width = draw(st.integers(1, 4))
    table = draw(st.lists(st.lists(field, min_size=width, max_size=width), max_size=25))
    writer = csv.writer(text, delimiter=draw(st.sampled_from([",", ";"])), quoting=quoting, lineterminator=ending)
    for row in table:
        writer.writerow(row)
        text.write(draw(st.sampled_from(["", "", "", ending])))
    done = text.getvalue()
    return done if draw(st.booleans()) else done.removesuffix(ending)


def plain_csv(text: str, delimiter: str, columns: tuple[str, ...] | None) -> list[object]:
    found = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
    names = columns or (tuple(found.pop(0)) if found else ())
    return [dict(zip(names, row, strict=True)) if len(row) == len(names) else Broken for row in found]


@given(
    st.one_of(written_csv(), raw_csv),
    st.sampled_from([",", ";"]),
    st.sampled_from(["utf-8", "latin-1", "utf-16", "utf-8-sig", "cp1252"]),
    st.booleans(),
    sizes,
    st.sampled_from(list(PLACES)),
    st.sampled_from(["guess", "scan"]),
)
@settings(max_examples=400, deadline=None)
def test_csv(
    text: str, delimiter: str, encoding: str, named: bool, size: ChunkSize, kind: str, cuts: Literal["guess", "scan"]
) -> None:
    text = text.replace("€", "") if encoding == "latin-1" else text
    columns: tuple[str, ...] | None = ("first", "second") if named else None
    heads = next((row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row), [])
    if columns is None and len(set(heads)) < max(1, len(heads)):
        columns = ("only",)
    options = Csv("", delimiter, '"', encoding, columns, compression=COMPRESSION[kind], cuts=cuts)
    with stored(text.encode(encoding), kind) as (path, spool):
        driven = drive(msgspec.structs.replace(options, path=path), size, spool)
    found = [Broken if isinstance(value, Broken) else value for value in driven.values()]
    assert found == plain_csv(text, delimiter, columns)
    if cuts == "scan" or size.items:
        assert driven.rounds == 0
    positions = driven.positions()
    assert positions == sorted(set(positions))


elements = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.just('],[{"\\'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@given(
    st.lists(elements, max_size=30),
    st.sampled_from([None, 2]),
    st.booleans(),
    st.booleans(),
    sizes,
    st.sampled_from(list(PLACES)),
)
@settings(max_examples=150, deadline=None)
def test_json_array(
    values: list[object], indent: int | None, ascii_only: bool, bom: bool, size: ChunkSize, kind: str
) -> None:
    data = (BOM if bom else b"") + json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode() + b"\n "
    with stored(data, kind) as (path, spool):
        driven = drive(JsonArray(path, COMPRESSION[kind]), size, spool)
    assert driven.values() == values
    text = data.decode("latin-1")
    for position, value in zip(driven.positions(), values, strict=True):
        assert json.JSONDecoder().raw_decode(text, position)[1]
        assert position >= 1
        del value
    if size.items and not size.bytes:
        assert all(len(found) <= size.items for found in driven.records)


@given(json_lines, sizes, st.sampled_from(list(PLACES)), st.data())
@settings(max_examples=80, deadline=None)
def test_planning_goes_on_behind_any_chunk(
    values: list[object], size: ChunkSize, kind: str, data: st.DataObject
) -> None:
    text = b"\n".join(map(as_line, values))
    with stored(text, kind) as (path, spool):
        options = Jsonl(path, COMPRESSION[kind])
        whole = list(open_source(options, spool).plan(size))
        if not whole:
            return
        stop = data.draw(st.integers(0, len(whole) - 1))
        rest = list(open_source(options, spool).plan(size, after=whole[stop]))
        assert [(c.number, c.start, c.end, c.last) for c in whole[stop + 1 :]] == [
            (c.number, c.start, c.end, c.last) for c in rest
        ]
        finish(options, [*whole[: stop + 1], *rest], spool)


@pytest.mark.parametrize("kind", list(PLACES))
def test_an_empty_file_has_no_chunks(kind: str) -> None:
    for options in (Jsonl, Csv, JsonArray):
        with stored(b"", kind) as (path, spool):
            assert drive(options(path, compression=COMPRESSION[kind]), ChunkSize(items=3), spool).chunks == []
