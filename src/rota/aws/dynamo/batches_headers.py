"""Batch runs as items and back. A header has what changes and is small, since it is written again and again; the spec,
which may hold a payload, lies beside it and is written once; the totals are in the trees.

attributes of a header, besides those of `BatchRun`: uncounted (planned chunks whose items nobody counted), behind (no
chunk of a higher number, or that, is planned), top (the highest revision marked), begun (no leaf of a higher number,
or that, has a mark), sealing (said before the tree is sealed; `sealed`, after it), awaited_N (of redrive N, whose
tree is sealed: no higher chunk, or that, is done again), reopened (chunks that are to be done again), round and base
(see `batches_live`), other_* (totals that are in no tree), by (token of the request that wrote the state last, so
that a request whose answer was lost is recognized).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import msgspec

from rota.aws.dynamo.batches_keys import header_key, header_of, spec_key
from rota.aws.dynamo.batches_marks import TOTALS
from rota.aws.dynamo.items import Item, bytes_of, number_of, text_of
from rota.aws.dynamo.tree import BEGUN, Tree
from rota.core.batch import BatchKey, BatchRun, BatchSpec
from rota.core.ledger_tree import Sums
from rota.core.receipt import Counts

_encode = msgspec.json.Encoder().encode
_spec = msgspec.json.Decoder(BatchSpec)
_groups = msgspec.json.Decoder(tuple[str, ...])


def header_item(run: BatchRun, expires: int) -> Item:
    """A new batch run."""
    place = header_key(run.key)
    item: Item = {"pk": place.pk, "sk": place.sk, "expires": expires, "directory": run.directory}
    item |= {"state": run.state, "wish": run.wish, "revision": run.revision}
    item |= {"planned": 0, "expected": 0, "uncounted": 0, "behind": 0, "begun": BEGUN, "top": 0, "reopened": 0}
    return {**item, "cause": run.cause} if run.cause else item


def spec_item(run: BatchRun, expires: int) -> Item:
    place = spec_key(run.key)
    return {"pk": place.pk, "sk": place.sk, "expires": expires, "spec": zlib.compress(_encode(run.spec))}


def groups_text(groups: Sequence[str]) -> str:
    return _encode(list(groups)).decode()


def batch_run(header: Item, spec: Item, sums: Sums) -> BatchRun:
    """sums: of all its trees."""
    key = header_of(text_of(header, "sk"))
    total = sums + Sums(*(number_of(header, name) or 0 for name in TOTALS.values()))
    fields: dict[str, Any] = {
        name: header[name] for name in ("outcome", "told", "started", "finished", "sealed") if name in header
    }
    return BatchRun(
        name=key.name,
        created=key.created,
        spec=_spec.decode(zlib.decompress(bytes_of(spec, "spec") or b"")),
        directory=text_of(header, "directory"),
        cause=text_of(header, "cause"),
        state=header["state"],  # type: ignore[arg-type]
        wish=header["wish"],  # type: ignore[arg-type]
        planned=number_of(header, "planned") or 0,
        done=total.done,
        expected=number_of(header, "expected") or 0,
        **_total_of(header),
        counts=Counts(total.items, total.succeeded, total.failed, total.skipped),
        results=total.results,
        result_bytes=total.bytes,
        retries=total.retries,
        error=text_of(header, "error"),
        revision=number_of(header, "revision") or 0,
        groups=groups_of(header),
        again=number_of(header, "again") or 0,
        version=number_of(header, "version") or 0,
        root=text_of(header, "root"),
        manifest=text_of(header, "manifest"),
        held=header.get("held") is True,
        **fields,
    )


def _total_of(header: Item) -> dict[str, Any]:
    """about and counted: what the planner counted stands for what was expected once it has come to the end."""
    if "sealed" in header and number_of(header, "uncounted") == 0 and number_of(header, "expected"):
        return {"about": number_of(header, "expected"), "counted": True}
    return {"about": number_of(header, "about") or 0, "counted": bool(number_of(header, "counted"))}


def trees_of(header: Item) -> list[Tree]:
    """All trees that may have marks in them."""
    key, behind = header_of(text_of(header, "sk")), chunks_of(header)
    trees = [Tree(key, 0, behind, begun=number_of(header, "begun"))]
    for number in range(1, (number_of(header, "top") or 0) + 1):
        awaited = number_of(header, awaited_name(number))
        trees.append(Tree(key, number, behind) if awaited is None else Tree(key, number, awaited, sparse=True))
    return trees


def awaited_of(header: Item) -> list[Tree] | None:
    """The trees whose roots must be complete, or None if that is not the end, or not known yet."""
    key, sealed = header_of(text_of(header, "sk")), number_of(header, "sealed")
    revision = number_of(header, "revision") or 0
    if sealed is None or number_of(header, "reopened"):
        return None
    if not revision:
        return [Tree(key, 0, sealed)]
    awaited = number_of(header, awaited_name(revision))
    return None if awaited is None else [Tree(key, 0, sealed), Tree(key, revision, awaited, sparse=True)]


def awaited_name(revision: int) -> str:
    """The attribute that says, once the tree of that redrive is sealed, how far it goes."""
    return f"awaited_{revision}"


def groups_of(header: Item) -> tuple[str, ...]:
    """The failure signatures that the latest redrive is about."""
    text = text_of(header, "groups")
    return _groups.decode(text) if text else ()


def chunks_of(header: Item) -> int:
    """No chunk has this number or a higher one."""
    return number_of(header, "behind") or 0


def is_open(header: Item) -> bool:
    return header["state"] in ("pending", "running", "finishing")


def key_of_header(header: Item) -> BatchKey:
    return header_of(text_of(header, "sk"))
