"""The files of a batch run are those that are there when planning begins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rota.connectors.open import open_source
from rota.core.chunk import Chunk, ChunkSize
from rota.core.errors import SourceError
from rota.ports.source import read_all

SIZE = ChunkSize(items=2)
Write = Callable[[Path, int], None]


def lines(path: Path, first: int) -> None:
    path.write_text("".join(f'{{"n": {first + at}}}\n' for at in range(3)))


def table(path: Path, first: int) -> None:
    pq.write_table(pa.Table.from_pylist([{"n": first + at} for at in range(3)]), path, row_group_size=2)


KINDS = pytest.mark.parametrize(("suffix", "write"), [("jsonl", lines), ("parquet", table)])


def planned(pattern: Path, spool: Path, after: Chunk | None = None) -> list[Chunk]:
    return list(open_source(str(pattern), spool).plan(SIZE, after))


@KINDS
def test_files_that_appear_later_are_not_read(tmp_path: Path, suffix: str, write: Write) -> None:
    pattern, spool = tmp_path / f"*.{suffix}", tmp_path / "spool"
    for at, name in enumerate("bcd"):
        write(tmp_path / f"{name}.{suffix}", 10 * at)
    whole = planned(pattern, spool)
    for name in ("a", "bb", "e"):
        write(tmp_path / f"{name}.{suffix}", 100)
    assert planned(pattern, spool) == whole
    for at, chunk in enumerate(whole):
        assert planned(pattern, spool, chunk) == whole[at + 1 :]
    source = open_source(str(pattern), spool)
    assert [value for chunk in whole for value in read_all(source, chunk)] == [
        {"n": 10 * at + n} for at in range(3) for n in range(3)
    ]
    assert {Path(chunk.origin.uri).name[0] for chunk in planned(pattern, tmp_path / "another")} == set("abcde")


@KINDS
@pytest.mark.parametrize("change", ["changes", "goes"])
def test_a_file_that_is_no_longer_what_it_was_ends_the_plan(
    tmp_path: Path, suffix: str, write: Write, change: str
) -> None:
    pattern, spool = tmp_path / f"*.{suffix}", tmp_path / "spool"
    for name in "ab":
        write(tmp_path / f"{name}.{suffix}", 0)
    plan = open_source(str(pattern), spool).plan(SIZE)
    next(plan)
    last = tmp_path / f"b.{suffix}"
    last.unlink()
    if change == "changes":
        write(last, 12345)
    with pytest.raises(SourceError, match=rf"b\.{suffix}"):
        list(plan)


def test_checking_a_source_stores_nothing(tmp_path: Path) -> None:
    lines(tmp_path / "a.jsonl", 0)
    open_source(str(tmp_path / "*.jsonl"), tmp_path / "spool").check()
    assert not (tmp_path / "spool").exists()
