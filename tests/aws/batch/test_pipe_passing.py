"""What travels from the processor of a pipeline to its writer: all of it, whichever way, or it is noticed."""

from __future__ import annotations

import tempfile
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from pathlib import Path
from zlib import compress, decompress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.aws.batch.pipe_passing import pass_on, passed_on, written
from rota.aws.batch.pipe_sink import PassingSink
from rota.aws.batch_cost import LARGEST_INLINE
from rota.connectors.folder import LocalFolder
from rota.core.chunk import Chunk, Extent, Origin
from rota.core.completion import FailureCount, Mark, Signature
from rota.core.errors import SourceError
from rota.core.receipt import Counts, Delivered, Part

CHUNK = Chunk(3, Origin("s3://shop/orders.jsonl", "etag", 10_000), 100, 900)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    # What JSON cannot say is refused while the item is known.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc\u2028"), inner, max_size=3),
    max_leaves=5,
)


class Kept:
    """A `Sink` that keeps what it is given."""

    def __init__(self) -> None:
        self.results: list[object] = []
        self.edition = -1

    def check(self) -> None: ...

    def prepare(self, run_id: str) -> None: ...

    def write(self, chunk: Chunk, results: Iterable[Sequence[object]], revision: int = 0) -> Part:
        self.results = [one for block in results for one in block]
        self.edition = revision
        return Part("kept", len(self.results), 0, "")

    def sync(self, parts: Iterable[Part]) -> None: ...

    def refusal(self, result: object) -> str | None:
        return None

    def finish(self, parts: Iterable[Part]) -> Delivered:
        return self.left()

    def left(self) -> Delivered:
        return Delivered("nowhere", "")

    def discard(self, run_id: str) -> None: ...

    def holder(self) -> str | None:
        return None


def attempted(folder: LocalFolder, results: list[object], room: int, signature: str = "") -> tuple[str, Mark]:
    """What a processor passes on that came to these results, the failures of which are many if `signature` is long."""
    sink = PassingSink(Kept(), folder, "attempt-1")
    part = sink.write(CHUNK, (results[low : low + 2] for low in range(0, len(results), 2)), 5)
    failures = (FailureCount(Signature(signature), 1, "it failed"),) if signature else ()
    mark = Mark(CHUNK, Extent(100, 900), Counts(len(results), len(results)), (part,), failures)
    return pass_on(folder, "attempt-1", mark, sink.held, room), mark


def files(folder: LocalFolder) -> set[str]:
    return {path.name for path in Path(folder.uri).rglob("*") if path.is_file()}


@given(st.lists(JSON, max_size=5), st.sampled_from([0, 500, LARGEST_INLINE]))
def test_what_is_written_is_what_was_made(results: list[object], room: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = LocalFolder(Path(place))
        text, mark = attempted(folder, results, room)
        assert len(text) == len(msgspec.json.encode(text)) - 2, "nothing of it has to be escaped"
        assert len(text) <= room or files(folder) == {"attempt-1.json", "attempt-1.e5.jsonl"}
        told, sink = passed_on(folder, text), Kept()
        assert told.mark == mark
        assert written(folder, sink, CHUNK, told.mark.parts[0], told.results).items == len(results)
        assert sink.results == results
        assert sink.edition == 5


def test_what_is_too_large_goes_by_the_folder(tmp_path: Path) -> None:
    def large(at: int) -> list[object]:
        """Rows that do not become smaller."""
        return [{"id": number, "noise": f"{pow(3, 500 + number, 2**400):x}"} for number in range(at)]

    def way(name: str, results: list[object], signature: str = "") -> tuple[set[str], int]:
        folder = LocalFolder(tmp_path / name)
        text, _ = attempted(folder, results, LARGEST_INLINE, signature)
        [told, sink] = passed_on(folder, text), Kept()
        written(folder, sink, CHUNK, told.mark.parts[0], told.results)
        assert sink.results == results
        return files(folder), len(text)

    assert way("small", large(100))[0] == set()
    assert way("repeated", [{"status": "shipped"}] * 40_000)[0] == set()
    found, size = way("large", large(2000))
    assert found == {"attempt-1.e5.jsonl"}
    assert size < 1000
    assert way("larger than is held", large(20_000))[0] == {"attempt-1.e5.jsonl"}
    failures = "".join(f"{pow(5, number, 2**64):x}" for number in range(1, 20_000))
    assert way("many failures", large(1), failures)[0] == {"attempt-1.e5.jsonl", "attempt-1.json"}


def test_what_is_not_whole_is_not_written(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    text, mark = attempted(folder, [{"total": 1}, {"total": 2}], LARGEST_INLINE)
    [part] = mark.parts
    told = passed_on(folder, text)
    for results in ({part.name: told.results[part.name].replace("2", "3")}, {}):
        with pytest.raises(SourceError, match="not there, or not whole"):
            written(folder, Kept(), CHUNK, part, results)
    shortened = compress(decompress(b64decode(text.removeprefix("inline:")))[:-1])
    for wrong in (text[:-8], text[:-1] + "!", "inline:", f"inline:{b64encode(shortened).decode()}"):
        with pytest.raises(SourceError, match="is not whole"):
            passed_on(folder, wrong)
    with pytest.raises(SourceError, match=r"passing/nothing\.json' is not there"):
        passed_on(folder, "apart/passing/nothing.json")
