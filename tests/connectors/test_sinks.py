"""Each sink holds the results of one run once, whole, in order; the manifest proves it."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from rota.connectors.manifest import manifest_path, read_entries, read_receipt, write_manifest
from rota.connectors.open import SinkText, open_sink
from rota.connectors.options import OneFile, Parts, SqliteTable
from rota.connectors.verifying import verify_manifest
from rota.core.chunk import Chunk, Extent, Origin
from rota.core.errors import ConflictError, InvalidError, NotFoundError, StoreError
from rota.core.receipt import Counts, Entry, Part, Receipt, entry_of

ORIGIN = Origin("orders.jsonl", "100:1:1", 100)


def chunk(number: int, *, last: bool = False) -> Chunk:
    return Chunk(number, ORIGIN, number * 10, 100 if last else number * 10 + 10, last=last)


def results(number: int, count: int = 3) -> list[list[object]]:
    rows: list[object] = [{"id": number * 10 + i, "name": f"n{i}\n"} for i in range(count)]
    return [rows[:1], rows[1:]]


def all_results(chunks: int) -> list[object]:
    return [row for number in range(chunks) for block in results(number) for row in block]


def fill(sink_text: SinkText, run: str = "r1", chunks: int = 3) -> list[Part]:
    sink = open_sink(sink_text)
    sink.check()
    sink.prepare(run)
    written: dict[int, Part] = {}
    for n in (*range(chunks - 1, -1, -1), 0):  # in any order, and one twice, as redelivery does
        worker = open_sink(sink_text)
        worker.prepare(run)
        written[n] = worker.write(chunk(n), results(n))
    sink.sync(written.values())
    return [written[n] for n in range(chunks)]


def read_parts(folder: Path, suffix: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob(f"part-*.{suffix}"))]


def test_part_files_of_json_lines(tmp_path: Path) -> None:
    parts = fill(f"{tmp_path}/out/")
    delivered = open_sink(f"{tmp_path}/out/").finish(parts)
    assert delivered.layout == "parts"
    lines = b"".join(read_parts(tmp_path / "out", "jsonl")).splitlines()
    assert [json.loads(line) for line in lines] == all_results(3)
    assert [part.items for part in parts] == [3, 3, 3]
    assert not list((tmp_path / "out").glob(".*"))


def test_part_files_of_csv_share_their_columns(tmp_path: Path) -> None:
    fill(Parts(f"{tmp_path}/out", "csv"))
    first = read_parts(tmp_path / "out", "csv")[0].decode()
    assert list(csv.DictReader(first.splitlines(keepends=True)))[1] == {"id": "1", "name": "n1\n"}
    sink = open_sink(Parts(f"{tmp_path}/out", "csv"))
    assert sink.refusal({"name": "x"}) is None
    assert "field 'extra'" in str(sink.refusal({"id": 1, "extra": 2}))
    assert "named fields" in str(sink.refusal(3))
    with pytest.raises(InvalidError, match="extra"):
        sink.write(chunk(7), [[{"extra": 1}]])
    assert not (tmp_path / "out" / "part-000000007.csv").exists()


def test_part_files_of_parquet(tmp_path: Path) -> None:
    fill(Parts(f"{tmp_path}/out", "parquet"))
    rows = [row for path in sorted((tmp_path / "out").glob("part-*")) for row in pq.read_table(path).to_pylist()]
    assert rows == all_results(3)
    sink = open_sink(Parts(f"{tmp_path}/out", "parquet"))
    sink.write(chunk(4), [])
    with pytest.raises(InvalidError, match="named fields"):
        sink.write(chunk(5), [[1]])


@pytest.mark.parametrize("name", ["all.jsonl", "all.csv"])
def test_one_file_in_order(tmp_path: Path, name: str) -> None:
    target = f"{tmp_path}/{name}"
    parts = fill(target)
    data = b""
    for _ in range(2):
        delivered = open_sink(target).finish(parts)
        data = Path(target).read_bytes()
        assert len(data) == delivered.head + sum(part.bytes for part in parts)
    if name == "all.csv":
        with Path(target).open(newline="") as file:
            assert [int(row["id"]) for row in csv.DictReader(file)] == [row["id"] for row in all_results(3)]  # type: ignore[index]
    else:
        assert [json.loads(line) for line in data.splitlines()] == all_results(3)
    assert not list((tmp_path / f"{name}.parts").glob("part-*"))


def test_a_redrive_adds_to_the_one_file(tmp_path: Path) -> None:
    target = f"{tmp_path}/all.jsonl"
    parts = fill(target)
    open_sink(target).finish(parts)
    sink = open_sink(target)
    sink.prepare("r1")
    parts.insert(2, sink.write(chunk(1), [[{"id": "redriven"}]], revision=1))
    assert parts[2].name == "part-000000001.r1.jsonl"
    for _ in range(2):
        open_sink(target).finish(parts)
        ids = [json.loads(line)["id"] for line in Path(target).read_bytes().splitlines()]
        assert ids == [0, 1, 2, 10, 11, 12, "redriven", 20, 21, 22]


def test_a_part_that_is_nowhere_is_an_error(tmp_path: Path) -> None:
    parts = fill(f"{tmp_path}/all.jsonl")
    (tmp_path / "all.jsonl.parts" / parts[1].name).unlink()
    with pytest.raises(StoreError, match="part-000000001"):
        open_sink(f"{tmp_path}/all.jsonl").finish(parts)
    assert not (tmp_path / "all.jsonl").exists()


@pytest.mark.parametrize("name", ["out/", "all.jsonl", "all.csv"])
def test_a_sink_with_another_runs_results_is_left_as_it_is(tmp_path: Path, name: str) -> None:
    target = f"{tmp_path}/{name}"
    parts = fill(target)
    for _ in range(2):
        with pytest.raises(ConflictError, match="already holds the results of batch run 'r1'"):
            open_sink(target).prepare("r2")
        assert open_sink(target).holder() == "r1"
        open_sink(target).prepare("r1")
        open_sink(target).finish(parts)
    open_sink(target).discard("r2")
    with pytest.raises(ConflictError):
        open_sink(target).prepare("r2")
    open_sink(target).discard("r1")
    open_sink(target).check()
    assert open_sink(target).holder() is None
    assert list(tmp_path.rglob("*")) == []
    open_sink(target).prepare("r2")


def test_parts_of_an_unknown_run_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "part-000000000.jsonl").write_text("precious")
    with pytest.raises(ConflictError, match="unknown"):
        open_sink(f"{tmp_path}/").prepare("r1")
    (tmp_path / "notes.jsonl").write_text("precious")
    with pytest.raises(ConflictError, match="already holds"):
        open_sink(f"{tmp_path}/notes.jsonl").prepare("r1")


def test_an_exception_from_the_results_leaves_nothing(tmp_path: Path) -> None:
    def failing() -> Iterator[Sequence[object]]:
        yield [{"id": 1}]
        raise OSError("task")

    for target in (f"{tmp_path}/out/", f"{tmp_path}/all.jsonl", SqliteTable(f"{tmp_path}/x.db", "t", "id")):
        sink = open_sink(target)
        sink.prepare("r1")
        with pytest.raises(OSError, match="task"):
            sink.write(chunk(0), failing())
        with pytest.raises(InvalidError, match="result"):
            sink.write(chunk(1), [[{"id": 1}, {"id": object()}]])
    assert [path for path in tmp_path.rglob("*part-*") if path.is_file()] == []
    with sqlite3.connect(tmp_path / "x.db") as database:
        assert database.execute("SELECT count(*) FROM rota_parts").fetchone() == (0,)
    database.close()


@pytest.mark.parametrize("sink", ["results", "results.xml", 5, "s3://bucket/all.xml"])
def test_an_unknown_sink_is_refused(sink: str) -> None:
    with pytest.raises(InvalidError, match="sink"):
        open_sink(sink)


def test_a_sink_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.jsonl").mkdir()
    refused: list[SinkText] = [f"{tmp_path}/file/", f"{tmp_path}/folder.jsonl", Parts(f"{tmp_path}/x", "csv", ())]
    refused += [SqliteTable(f"{tmp_path}", "t", "id"), SqliteTable("x.db", "", "id"), SqliteTable("x.db", "t", "")]
    for sink in refused:
        with pytest.raises(InvalidError):
            open_sink(sink).check()


def test_sqlite_rows_are_replaced_by_key(tmp_path: Path) -> None:
    options = SqliteTable(f"{tmp_path}/x.db", 'odd "name"', "id")
    fill(options)
    sink = open_sink(options)
    sink.prepare("r2")
    sink.write(chunk(0), [[{"id": 1, "name": {"nested": [1]}}, {"id": 99}]])
    with sqlite3.connect(tmp_path / "x.db") as database:
        rows = dict(database.execute('SELECT id, name FROM "odd ""name"""').fetchall())
        assert len(rows) == 10
        assert rows[1] == '{"nested":[1]}'
        assert rows[99] is None
        assert database.execute("SELECT run, count(*) FROM rota_parts GROUP BY run").fetchall() == [
            ("r1", 3),
            ("r2", 1),
        ]
    database.close()
    assert "no value for the key" in str(sink.refusal({"name": 1}))
    with pytest.raises(StoreError, match="no column named other"):
        sink.write(chunk(1), [[{"id": 5, "other": 1}]])


def test_a_table_without_a_unique_key_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "x.db") as database:
        database.execute("CREATE TABLE t (id INTEGER, name TEXT)")
    database.close()
    with pytest.raises(ConflictError, match="unique index on 'id'"):
        open_sink(SqliteTable(f"{tmp_path}/x.db", "t", "id")).prepare("r1")


def account(parts: list[Part]) -> list[Entry]:
    chunks = [chunk(n, last=n == len(parts) - 1) for n in range(len(parts))]
    return [
        entry_of(one, Extent(one.start, one.end), Counts(4, 3, 1), [part])
        for one, part in zip(chunks, parts, strict=True)
    ]


def manifested(tmp_path: Path, name: str) -> tuple[Path, Receipt, list[Part]]:
    target = f"{tmp_path}/{name}"
    parts = fill(target)
    delivered = open_sink(target).finish(parts)
    directory = tmp_path / name if name.endswith("/") else tmp_path
    return directory, write_manifest(directory, "orders", "r1", delivered, account(parts)), parts


@pytest.mark.parametrize("name", ["out/", "all.jsonl", "all.csv"])
def test_a_whole_run_verifies(tmp_path: Path, name: str) -> None:
    directory, receipt, _ = manifested(tmp_path, name)
    assert (receipt.chunks, receipt.results, receipt.counts) == (3, 9, Counts(12, 9, 3))
    assert verify_manifest(directory) == []
    assert verify_manifest(directory / "receipt.json") == []
    assert read_receipt(directory) == receipt


def test_results_moved_with_their_manifest_still_verify(tmp_path: Path) -> None:
    directory, _, _ = manifested(tmp_path, "out/")
    assert verify_manifest(directory.rename(tmp_path / "moved")) == []


def test_a_part_that_is_not_the_runs_is_found(tmp_path: Path) -> None:
    directory, _, _ = manifested(tmp_path, "out/")
    (directory / "part-000000001.r1.jsonl").write_text("of a redrive that is going on")
    assert verify_manifest(directory) == []
    (directory / "part-000000099.jsonl").write_text("{}")
    assert verify_manifest(directory) == [
        "part part-000000099.jsonl is among the results, and the manifest does not name it"
    ]


@pytest.mark.parametrize("name", ["out/", "all.jsonl"])
def test_an_altered_result_is_found(tmp_path: Path, name: str) -> None:
    directory, _, parts = manifested(tmp_path, name)
    path = directory / (parts[1].name if name == "out/" else name)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"10", b"66", 1))
    assert any("altered" in problem for problem in verify_manifest(directory))
    path.write_bytes(data + b"1\n")
    assert any("bytes instead of" in problem or "goes on" in problem for problem in verify_manifest(directory))
    path.unlink()
    assert any("cannot be read" in problem or "missing" in problem for problem in verify_manifest(directory))


def change(line: Entry, **fields: object) -> Entry:
    return msgspec.structs.replace(line, **fields)


@pytest.mark.parametrize(
    ("at", "fields", "message"),
    [
        (1, {"start": 12}, "a gap between chunks 0 and 1"),
        (1, {"start": 8}, "an overlap between chunks 0 and 1"),
        (0, {"start": 3}, "a gap at the beginning"),
        (2, {"end": 99}, "has 100 bytes"),
        (2, {"last": False}, "not read to its end"),
        (1, {"chunk": 5}, "chunk 1 is missing"),
        (1, {"counts": Counts(5, 3, 1)}, "5 items in are not"),
        (1, {"fingerprint": "other"}, "not read to its end"),
    ],
)
def test_an_account_that_does_not_add_up_is_found(
    tmp_path: Path, at: int, fields: dict[str, object], message: str
) -> None:
    parts = fill(f"{tmp_path}/out/")
    entries = account(parts)
    entries[at] = change(entries[at], **fields)
    write_manifest(tmp_path / "out", "orders", "r1", open_sink(f"{tmp_path}/out/").finish(parts), entries)
    assert any(message in problem for problem in verify_manifest(tmp_path / "out"))


def test_an_edited_manifest_no_longer_leads_to_the_root(tmp_path: Path) -> None:
    directory, _, _ = manifested(tmp_path, "out/")
    path = manifest_path(directory, 1)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"orders.jsonl", b"orderz.jsonl"))
    assert [problem.split(" are")[0] for problem in verify_manifest(directory)] == ["the receipt's root"]
    path.write_bytes(b"".join(data.splitlines(keepends=True)[:-1]))
    assert any("receipt's chunks are 3" in problem for problem in verify_manifest(directory))
    path.write_bytes(data[:-20])
    assert any("line 3" in problem for problem in verify_manifest(directory))
    path.unlink()
    assert any("cannot read manifest" in problem for problem in verify_manifest(directory))
    with pytest.raises(NotFoundError):
        verify_manifest(tmp_path)


def test_a_redrive_writes_the_next_version_on_top_of_the_one_before(tmp_path: Path) -> None:
    directory, first, parts = manifested(tmp_path, "out/")
    sink = open_sink(f"{directory}/")
    extra = sink.write(chunk(1), [[{"id": 77}]], revision=1)
    entries = list(read_entries(directory))
    entries[1] = change(entries[1], counts=Counts(4, 4, 0), parts=(parts[1], extra))
    second = write_manifest(directory, "orders", "r1", sink.finish([*parts, extra]), entries, previous=first)
    assert (second.version, second.previous, second.results) == (2, first.root, 10)
    assert verify_manifest(directory) == []
    assert verify_manifest(directory / "receipt.json") == []
    assert read_receipt(directory) == second


def test_an_empty_run_has_a_receipt(tmp_path: Path) -> None:
    sink = open_sink(f"{tmp_path}/out/")
    sink.prepare("r1")
    receipt = write_manifest(tmp_path / "out", "orders", "r1", sink.finish([]), [])
    assert receipt.counts == Counts(0, 0)
    assert verify_manifest(tmp_path / "out") == []


def test_csv_one_file_options(tmp_path: Path) -> None:
    options = OneFile(f"{tmp_path}/x.txt", "csv", columns=("name", "id"))
    parts = fill(options, chunks=1)
    open_sink(options).finish(parts)
    assert (tmp_path / "x.txt").read_text().startswith("name,id\n")
