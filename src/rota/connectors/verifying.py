"""Whether a batch run lost, doubled or altered anything, from what it left alone.

Manifest and receipt prove the account: the root, the totals, and that the ranges tile the source. Of the results is
proven what their place allows:
- part files, here or in S3, and one file: every byte, by hash;
- a table of SQLite: that the transaction of every part is in the database, for each wrote a row of `rota_parts`. The
  rows are not compared: by key, a later run may have replaced them;
- a table of DynamoDB: that it is there. It had acknowledged every item when the chunk was marked.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Protocol

import msgspec

from rota.connectors.manifest import read_entries, read_receipt, receipt_path
from rota.connectors.open import load_connector
from rota.connectors.place import BLOCK
from rota.connectors.sqlite_table import SqliteParts
from rota.core.errors import RotaError, SourceError
from rota.core.receipt import Delivered, Entry, Part, Receipt, Tally, check_counts, check_tiling

_REVISION = re.compile(r"\.r(\d+)\.")
_RANGES_SHOWN = 5


class Readable(Protocol):
    """What is left of a sequence of bytes."""

    def read(self, size: int, /) -> bytes: ...


Opener = Callable[[str], AbstractContextManager[Readable]]
"""Of a URI or path; OSError or RotaError if it cannot be read."""


class Held(Protocol):
    """What a sink holds, compared with the parts of a manifest in their order."""

    def check(self, part: Part) -> Iterator[str]:
        """What is wrong with one part."""

    def check_end(self) -> Iterator[str]:
        """What is wrong with the whole, when all parts were checked."""


def verify_manifest(path: Path) -> list[str]:
    """Everything that is wrong with a finished batch run, from its files alone; an empty list proves it whole.

    `path` is a receipt, or the directory of one (then its latest version counts). Checked are: the root, the totals,
    that every chunk's items are accounted for, that the ranges tile each origin from 0 to its end, and that every
    part of the result is there unaltered, as far as its place can prove it. That a batch run ended early is one of the
    things that are wrong. Reads the results once; memory does not grow with their number.
    """
    receipt = read_receipt(path)
    directory = path if path.is_dir() else path.parent
    problems: list[str] = []
    tally = Tally(receipt.previous)
    missing = _Ranges()

    with ExitStack() as stack:
        held = _held(receipt, directory, stack)

        def passing() -> Iterator[Entry]:
            for entry in read_entries(directory, receipt.version):
                tally.add(entry)
                problems.extend(check_counts(entry))
                if entry.open:
                    missing.add(entry.chunk)
                for part in entry.parts:
                    problems.extend(held.check(part))
                yield entry

        try:
            tiling = list(check_tiling(passing(), planned=receipt.planned))
        except SourceError as error:
            return [*problems, str(error)]
        problems += [*tiling, *held.check_end()]
    found = tally.receipt(receipt.batch, receipt.run, receipt.version, receipt.delivered)
    for field in ("chunks", "counts", "results", "open", "root"):
        stated, counted = _shown(getattr(receipt, field)), _shown(getattr(found, field))
        if stated != counted:
            problems.append(f"the receipt's {field} are {stated}, the manifest's {counted}")
    if receipt.version > 1 and read_receipt(receipt_path(directory, receipt.version - 1)).root != receipt.previous:
        problems.append(
            f"version {receipt.version} does not follow from version {receipt.version - 1}: the roots differ"
        )
    if receipt.ended:
        problems.append(_early(receipt, missing))
    return problems


def _shown(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _early(receipt: Receipt, missing: _Ranges) -> str:
    if receipt.open:
        done = f"{receipt.open} of {receipt.chunks} planned chunks are not done ({missing})"
    else:
        done = f"{receipt.chunks} planned chunks are done" if receipt.chunks else "nothing is done"
    rest = "" if receipt.planned else ", and the source was not planned to its end"
    return f"the batch run ended early ({receipt.ended}): {done}{rest}"


class _Ranges:
    """Numbers in rising order, as text of bounded length."""

    def __init__(self) -> None:
        self._ranges: list[list[int]] = []
        self._more = False

    def add(self, number: int) -> None:
        if self._ranges and self._ranges[-1][1] == number - 1 and not self._more:
            self._ranges[-1][1] = number
        elif len(self._ranges) < _RANGES_SHOWN:
            self._ranges.append([number, number])
        else:
            self._more = True

    def __str__(self) -> str:
        shown = [str(low) if low == high else f"{low} to {high}" for low, high in self._ranges]
        return ", ".join(shown) + (", ..." if self._more else "")


def _held(receipt: Receipt, directory: Path, stack: ExitStack) -> Held:
    delivered = receipt.delivered
    location = delivered.location
    if delivered.layout == "nowhere":
        return _Unseen()
    if delivered.layout == "table":
        if location.startswith("dynamodb:"):
            return _Unseen(
                load_connector("rota.connectors.dynamodb_table", "table_problem", "sink", location)(location)
            )
        return stack.enter_context(SqliteParts(location, receipt.run))
    opener: Opener = _open_file
    if location.startswith("s3://"):
        opener = load_connector("rota.connectors.s3", "open_object", "sink", location)
    else:
        location = str(_found(Path(location), delivered, directory))
    if delivered.layout == "file":
        return _File(opener, location, receipt, stack)
    # Whoever ended early may have written parts that nobody counts any more.
    alone = opener is _open_file and not receipt.ended
    return _Parts(opener, location.rstrip("/"), receipt.version if alone else 0)


def _found(location: Path, delivered: Delivered, directory: Path) -> Path:
    """Results that were moved together with their manifest are looked for beside it."""
    if location.exists():
        return location
    return directory if delivered.layout == "parts" else directory / location.name


def _open_file(path: str) -> AbstractContextManager[Readable]:
    return Path(path).open("rb")


def _said(error: OSError | RotaError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


class _Parts:
    """alone: the version of the manifest, if there may be no parts but its own and those of later versions; else 0."""

    def __init__(self, opener: Opener, location: str, alone: int) -> None:
        self._opener = opener
        self._location = location
        self._alone = alone
        self._names: set[str] = set()

    def check(self, part: Part) -> Iterator[str]:
        self._names.add(part.name)
        try:
            with self._opener(f"{self._location}/{part.name}") as file:
                yield from _compare(part, file, None)
        except (OSError, RotaError) as error:
            yield f"part {part.name} cannot be read: {_said(error)}"

    def check_end(self) -> Iterator[str]:
        found = (path.name for path in Path(self._location).glob("part-*")) if self._alone else iter(())
        for name in sorted(name for name in found if name not in self._names):
            later = _REVISION.search(name)
            if later is None or int(later[1]) < self._alone:
                yield f"part {name} is among the results, and the manifest does not name it"


class _File:
    def __init__(self, opener: Opener, location: str, receipt: Receipt, stack: ExitStack) -> None:
        self._location = location
        self._file: Readable | None = None
        self._problem = ""
        try:
            self._file = stack.enter_context(opener(location))
            self._file.read(receipt.delivered.head)
        except (OSError, RotaError) as error:
            self._fail(error)

    def _fail(self, error: OSError | RotaError) -> None:
        self._problem = f"the result {self._location} is missing or cannot be read: {_said(error)}"
        self._file = None

    def check(self, part: Part) -> Iterator[str]:
        if self._file is not None:
            try:
                yield from _compare(part, self._file, part.bytes)
            except (OSError, RotaError) as error:
                self._fail(error)

    def check_end(self) -> Iterator[str]:
        if self._problem:
            yield self._problem
        elif self._file is not None and self._file.read(1):
            yield f"the result {self._location} goes on behind its last part"


class _Unseen:
    """Nothing can be compared. problem: what is wrong anyway."""

    def __init__(self, problem: str = "") -> None:
        self._problem = problem

    def check(self, part: Part) -> Iterator[str]:
        del part
        return iter(())

    def check_end(self) -> Iterator[str]:
        if self._problem:
            yield self._problem


def _compare(part: Part, file: Readable, length: int | None) -> Iterator[str]:
    digest, size = hashlib.sha256(), 0
    while data := file.read(BLOCK if length is None else min(BLOCK, length - size)):
        digest.update(data)
        size += len(data)
    if size != part.bytes:
        yield f"part {part.name} has {size} bytes instead of {part.bytes}"
    elif digest.hexdigest() != part.sha256:
        yield f"part {part.name} was altered: its SHA-256 is not the manifest's"
