"""What each source does with good input, bad input, and files that change."""

from __future__ import annotations

import gzip
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from tests.connectors.driving import drive

from rota.connectors.open import open_source
from rota.connectors.options import Csv, JsonArray, Jsonl, Parquet
from rota.core.block import Broken
from rota.core.chunk import Chunk, ChunkSize, Extent, Origin, meets, recut
from rota.core.errors import InvalidError, SourceError
from rota.ports.source import read_all

THREE = ChunkSize(items=3)


def write(path: Path, data: bytes | str) -> str:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path)


def broken_of(values: list[object]) -> list[Broken]:
    return [value for value in values if isinstance(value, Broken)]


def test_a_glob_is_read_file_by_file_in_sorted_order(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        write(tmp_path / f"{name}.jsonl", "".join(f'"{name}{i}"\n' for i in range(4)))
    (tmp_path / "d.jsonl").mkdir()
    write(tmp_path / "empty.jsonl", "")
    driven = drive(str(tmp_path / "*.jsonl"), THREE)
    assert driven.values() == [f"{name}{i}" for name in "abc" for i in range(4)]
    assert [chunk.number for chunk in driven.chunks] == list(range(6))
    assert [chunk.last for chunk in driven.chunks] == [False, True] * 3


@pytest.mark.parametrize(
    ("source", "message"),
    [("missing.jsonl", "No such file"), ("*.csv", "no file matches"), ("folder.jsonl", "is a directory")],
)
def test_a_source_that_is_not_there_is_refused(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(SourceError, match=message):
        open_source(str(tmp_path / source)).check()


@pytest.mark.parametrize("source", ["orders.xml", 7, "orders"])
def test_an_unknown_format_is_refused(source: str) -> None:
    with pytest.raises(InvalidError, match="source"):
        open_source(source)


@pytest.mark.parametrize(
    "options",
    [
        Csv("x.csv", delimiter="ab"),
        Csv("x.csv", encoding="klingon"),
        Csv("x.csv", columns=("a", "a")),
        Csv("x.csv", columns=()),
        Csv("x.csv", quote=","),
    ],
)
def test_csv_options_that_cannot_work_are_refused(options: Csv) -> None:
    with pytest.raises(InvalidError):
        open_source(options).check()


def test_broken_lines_are_dead_letters_that_say_what_is_wrong(tmp_path: Path) -> None:
    lines = [
        b'{"a": 1}',
        b'{"a": 1',
        b'{"a": "\xff"}',
        b"1 2",
        b"",
        b"[" * 5000 + b"]" * 5000,
        b'"' + b"x" * 3000 + b'"',
        b"2",
    ]
    path = write(tmp_path / "x.jsonl", b"\n".join(lines))
    driven = drive(Jsonl(path, max_item_bytes=2000), ChunkSize(items=100))
    values = driven.values()
    assert values[0] == {"a": 1}
    assert values[-1] == 2
    errors = [broken.error for broken in broken_of(values)]
    assert errors[0].startswith("invalid JSON: Input data was truncated")
    assert errors[1].startswith("invalid UTF-8")
    assert errors[2].startswith("invalid JSON")
    assert len(values) == 7
    assert driven.positions()[1] == 9


def test_a_line_of_a_hundred_megabytes_is_one_dead_letter(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with path.open("wb") as out:
        out.write(b"1\n")
        for _ in range(100):
            out.write(b"x" * (1 << 20))
        out.write(b"\n2\n")
    for size in (ChunkSize(items=1), ChunkSize(bytes=1 << 16)):
        values = drive(str(path), size).values()
        assert [values[0], values[2]] == [1, 2]
        (broken,) = broken_of(values)
        assert broken.size > 100 << 20
        assert broken.error.startswith("longer than max_item_bytes (16777216): a line of ")
        assert len(broken.raw) == 1000
    (columns,) = broken_of(drive(Csv(str(path), columns=("n",)), ChunkSize(items=1)).values())
    assert "max_item_bytes" in columns.error


def test_csv_rows_that_do_not_fit_are_dead_letters(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", b'id,name\n1,a\n2\n3,b,c\n\n4,"x\ny"\n5,\xff\n6,d\n')
    driven = drive(path, ChunkSize(items=2))
    values = driven.values()
    assert [value for value in values if not isinstance(value, Broken)] == [
        {"id": "1", "name": "a"},
        {"id": "4", "name": "x\ny"},
        {"id": "6", "name": "d"},
    ]
    assert [broken.error for broken in broken_of(values)] == [
        "wrong number of fields: 1 instead of 2",
        "wrong number of fields: 3 instead of 2",
        "invalid UTF-8 in column 'name': byte 0xff",
    ]


def test_a_quote_that_is_never_closed_costs_one_record_and_not_the_file(tmp_path: Path) -> None:
    rows = "".join(f"{i},b\n" for i in range(3000))
    path = write(tmp_path / "x.csv", f'a,b\n0,"open\n{rows}')
    for cuts in ("guess", "scan"):
        values = drive(Csv(path, max_item_bytes=4000, cuts=cuts), ChunkSize(bytes=2000)).values()
        assert [broken.error for broken in broken_of(values)] == [
            "longer than max_item_bytes (4000): a record of 19898 bytes; is a quote not closed?"
        ]
        assert values[1:] == [{"a": str(i), "b": "b"} for i in range(3000)]


def test_a_quote_that_stays_open_for_longer_than_is_looked_at(tmp_path: Path) -> None:
    rows = b"1,2345678901234567890123456789\n" * 40_000
    path = write(tmp_path / "x.csv", b'a,b\n0,"open\n' + rows)
    values = drive(Csv(path, max_item_bytes=4000), ChunkSize(bytes=1 << 20)).values()
    assert [broken.error for broken in broken_of(values)] == [
        "longer than max_item_bytes (4000): a record of more than 262144 bytes; is a quote not closed?"
    ]
    assert len(values) == 40_001


@pytest.mark.parametrize("field", ["x" * 300_000, f'"{"x" * 299_998}"', f'x"{"x" * 299_998}'])
def test_a_long_record_without_an_open_quote_says_its_size_alone(tmp_path: Path, field: str) -> None:
    path = write(tmp_path / "x.csv", f"a,b\n1,{field}\n2,3\n".encode())
    for quote in ('"', None):
        values = drive(Csv(path, quote=quote, max_item_bytes=4000), ChunkSize(bytes=2000)).values()
        assert [broken.error for broken in broken_of(values)] == [
            "longer than max_item_bytes (4000): a record of 300003 bytes"
        ]
        assert values[1:] == [{"a": "2", "b": "3"}]


def test_named_columns_and_a_header_to_pass_over(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "a;b\n1;2\n")
    assert drive(Csv(path, ";", columns=("x", "y"), header=True), THREE).values() == [{"x": "1", "y": "2"}]
    assert drive(Csv(path, ";", columns=("x", "y")), THREE).values() == [{"x": "a", "y": "b"}, {"x": "1", "y": "2"}]
    assert drive(Csv(path, ";"), THREE).values() == [{"a": "1", "b": "2"}]


def test_a_header_that_names_a_column_twice_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="column 'a' twice"):
        drive(write(tmp_path / "x.csv", "a,a\n1,2\n"), THREE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}', "it holds an object"),
        ("[1, 2", "not closed"),
        ("[1, 2] 3", "nothing may follow"),
        ("[1 2]", "a comma or ]"),
        ("[1, }]", "no intact JSON array"),
        ("[1,", "not closed"),
    ],
)
def test_a_json_array_that_is_none_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        drive(write(tmp_path / "x.json", text), ChunkSize(items=1))


def test_an_element_that_is_no_item_is_a_dead_letter(tmp_path: Path) -> None:
    path = write(tmp_path / "x.json", b'[1, NaN, "\xff", "' + b"x" * 90 + b'", 2]')
    values = drive(JsonArray(path, max_item_bytes=50), ChunkSize(items=10)).values()
    assert [values[0], values[-1]] == [1, 2]
    assert [broken.error[:12] for broken in broken_of(values)] == ["invalid JSON", "invalid UTF-", "longer than "]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_truncated_or_damaged_stream_is_an_error(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    kind = "gzip" if pack is gzip.compress else "zstd"
    whole = pack(json.dumps(os.urandom(50_000).hex()).encode() + b"\n")
    for cut in (len(whole) - 1, len(whole) // 2, 5):
        path = write(tmp_path / "x.jsonl", whole[:cut])
        with pytest.raises(SourceError, match=f"truncated {kind}|no intact {kind}"):
            drive(Jsonl(path, kind), THREE, tmp_path / str(cut))  # type: ignore[arg-type]
    with pytest.raises(SourceError, match=f"no intact {kind}"):
        drive(Jsonl(write(tmp_path / "x.jsonl", b'{"a": 1}\n'), kind), THREE, tmp_path / "spool")  # type: ignore[arg-type]


def test_concatenated_streams_are_one_text(tmp_path: Path) -> None:
    for suffix, pack in (("gz", gzip.compress), ("zst", zstandard.ZstdCompressor().compress)):
        path = write(tmp_path / f"x.jsonl.{suffix}", pack(b"1\n2\n") + pack(b"3\n4\n"))
        assert drive(path, ChunkSize(items=3), tmp_path / suffix).values() == [1, 2, 3, 4]


def test_a_spooled_chunk_is_there_until_it_is_released(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl.gz", gzip.compress(b"1\n2\n3\n4\n"))
    source = open_source(path, tmp_path / "spool")
    first, second = source.plan(ChunkSize(items=2))
    assert read_all(source, first) == [1, 2]
    source.release([first])
    source.release([first])
    assert read_all(source, second) == [3, 4]
    with pytest.raises(SourceError, match="spooled chunk 0"):
        read_all(source, first)


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.json", "x.jsonl.gz"])
def test_a_file_that_changes_under_the_run_ends_it(tmp_path: Path, name: str) -> None:
    text = b"[1,\n2,\n3,\n4]\n" if name == "x.json" else b"1\n2\n3\n4\n"
    path = write(tmp_path / name, gzip.compress(text) if name.endswith("gz") else text)
    source = open_source(path, tmp_path / "spool")
    plan = source.plan(ChunkSize(items=1))
    chunk = next(plan)
    Path(path).write_bytes(Path(path).read_bytes() + b"5\n")
    if not chunk.spool:
        with pytest.raises(SourceError, match="changed during the batch run"):
            read_all(open_source(path), chunk)
    with pytest.raises(SourceError, match="changed during the batch run"):
        list(open_source(path, tmp_path / "spool").plan(ChunkSize(items=1), after=chunk))


def test_parquet_is_cut_by_row_group(tmp_path: Path) -> None:
    rows = [{"n": i, "text": str(i)} for i in range(10)]
    path = tmp_path / "x.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=3)
    driven = drive(str(path), ChunkSize(items=4))
    assert driven.values() == rows
    assert driven.positions() == list(range(10))
    assert [(chunk.start, chunk.end) for chunk in driven.chunks] == [(0, 6), (6, 10)]
    rest = list(open_source(str(path)).plan(ChunkSize(items=4), after=driven.chunks[0]))
    assert rest == driven.chunks[1:]
    assert drive(Parquet(str(path), columns=("n",)), THREE).values()[0] == {"n": 0}
    with pytest.raises(SourceError, match="no column 'z'"):
        open_source(Parquet(str(path), columns=("z",))).check()
    with pytest.raises(SourceError, match="no intact Parquet"):
        open_source(write(tmp_path / "y.parquet", b"nonsense")).check()


@pytest.mark.parametrize("size", [{"items": 0}, {"bytes": 0}, {}])
def test_a_chunk_holds_at_least_something(size: dict[str, int]) -> None:
    with pytest.raises(InvalidError):
        ChunkSize(**size)


def test_neighbours_that_do_not_meet_are_cut_again() -> None:
    origin = Origin("x")
    chunks = [Chunk(n, origin, start, start + 10) for n, start in enumerate((0, 10, 20))]
    assert list(recut(zip(chunks, [Extent(0, 10), Extent(10, 20), Extent(20, 30)], strict=True))) == []
    assert not meets(Extent(0, 13), Extent(10, 20))
    (redo,) = recut(zip(chunks, [Extent(0, 13), Extent(10, 20), Extent(20, 30)], strict=True))
    assert (redo.number, redo.start, redo.end) == (1, 13, 20)
    (swallowed,) = recut(zip(chunks, [Extent(0, 25), Extent(10, 20), Extent(20, 30)], strict=True))
    assert (swallowed.start, swallowed.end) == (25, 25)


def test_a_guess_that_is_fooled_is_found_out_and_cut_again(tmp_path: Path) -> None:
    inner = "".join(f"{i},not a record\n" for i in range(200))
    path = write(tmp_path / "x.csv", "id,text\n" + "".join(f'{i},"\n{inner}"\n' for i in range(20)))
    driven = drive(path, ChunkSize(bytes=1000))
    assert driven.rounds > 0
    assert driven.values() == [{"id": str(i), "text": "\n" + inner} for i in range(20)]
    assert drive(Csv(path, cuts="scan"), ChunkSize(bytes=1000)).rounds == 0


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.json", "x.jsonl.gz"])
def test_memory_does_not_grow_with_the_chunk(tmp_path: Path, name: str) -> None:
    line = '{"id": %d, "text": "' + "x" * 200 + '"}'
    lines = [line % i for i in range(80_000)]
    text = {"x.json": "[" + ",\n".join(lines) + "]", "x.csv": "id\n" + "\n".join("y" * 200 for _ in lines)}.get(
        name, "\n".join(lines)
    )
    path = write(tmp_path / name, gzip.compress(text.encode(), 1) if name.endswith("gz") else text)
    del lines, text
    source = open_source(path, tmp_path / "spool")
    chunk_size = ChunkSize(items=100_000)
    if name == "x.jsonl.gz":
        chunk_size = ChunkSize(items=10_000)  # a spooled chunk is held once while it is written
    tracemalloc.start()
    try:
        count = sum(len(block.values) for chunk in source.plan(chunk_size) for block in source.read(chunk))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 80_000
    assert peak < 16 << 20  # the decoded items alone are 40 MiB
