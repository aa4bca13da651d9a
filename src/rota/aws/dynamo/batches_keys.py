"""Where batch runs and their ledgers lie in the table, as pure functions; see `keys` for what else is in it.

    partition (pk)                      sort key (sk)           item
    BM#{month}                          {time, falling}#{name}  a batch run but for its spec, newest first
    BM                                  {month}                 months in use
    BO                                  {time}#{name}           batch runs that have not ended, oldest first
    BC#{cause}                          C                       the batch run that a run of a schedule started
    BR#{run}                            R                       the spec
    BL#{run}#{leaf}                     A                       planned chunks of a leaf, compressed
                                        C{chunk}                a chunk's mark
    BT#{run}#{tree}.{level}.{number}    T                       a node of the tree that counts (`rota.core.ledger_tree`)
    BF#{run}#{group}                    {chunk}                 failures of a chunk by signature
                                        {chunk}#{edition}#{n}   what of them is too much for one item
    BV#{run}#{round}#{part}             {leaf}                  what chunks come to that have no number yet

What is written for each chunk goes to partitions that change every 200 chunks, so no partition takes the writes of a
whole batch run; what is written for each batch run goes to partitions that are written seldom.
"""

from __future__ import annotations

from rota.aws.dynamo.keys import Key, falling_text, falling_time, hour_end, hour_of, text_time, time_text
from rota.core.batch import BatchKey
from rota.core.ledger_tree import FAN_OUT, Node

_MONTH_HOURS = 720
FAILURES_TOGETHER = 2000
"""Chunks whose failures lie in one partition: few have any, and all are read together."""
LIVE_PARTITIONS = 8
"""Leaves go to them in turn."""
MONTHS = "BM"
OPEN = "BO"
PAGE = "A"
LAST_ROW = "D"


def month_of(created: int) -> str:
    return f"{hour_of(created) // _MONTH_HOURS:05d}"


def month_partition(month: str) -> str:
    return f"{MONTHS}#{month}"


def month_end(month: str) -> int:
    """The first instant after it, epoch ms."""
    return hour_end((int(month) + 1) * _MONTH_HOURS - 1)


def header_sort(key: BatchKey) -> str:
    return f"{falling_text(key.created)}#{key.name}"


def header_key(key: BatchKey) -> Key:
    return Key(month_partition(month_of(key.created)), header_sort(key))


def header_of(sort: str) -> BatchKey:
    time, _, name = sort.partition("#")
    return BatchKey(name, falling_time(time))


def open_key(key: BatchKey) -> Key:
    return Key(OPEN, f"{time_text(key.created)}#{key.name}")


def open_of(sort: str) -> BatchKey:
    time, _, name = sort.partition("#")
    return BatchKey(name, text_time(time))


def cause_key(cause: str) -> Key:
    return Key(f"BC#{cause}", "C")


def spec_key(key: BatchKey) -> Key:
    return Key(f"BR#{_run(key)}", "R")


def leaf_partition(key: BatchKey, leaf: int) -> str:
    return f"BL#{_run(key)}#{leaf}"


def page_key(key: BatchKey, leaf: int) -> Key:
    return Key(leaf_partition(key, leaf), PAGE)


def row_key(key: BatchKey, number: int) -> Key:
    leaf, local = divmod(number, FAN_OUT)
    return Key(leaf_partition(key, leaf), f"C{local:03d}")


def row_number(leaf: int, sort: str) -> int:
    return leaf * FAN_OUT + int(sort[1:])


def node_key(key: BatchKey, tree: int, node: Node) -> Key:
    """tree: 0 for the batch run itself, or the number of a redrive."""
    return Key(f"BT#{_run(key)}#{tree}.{node.level}.{node.number}", "T")


def live_partition(key: BatchKey, round_id: str, part: int) -> str:
    return f"BV#{_run(key)}#{round_id}#{part}"


def live_key(key: BatchKey, round_id: str, leaf: int) -> Key:
    return Key(live_partition(key, round_id, leaf % LIVE_PARTITIONS), f"{leaf:012d}")


def failures_partition(key: BatchKey, group: int) -> str:
    return f"BF#{_run(key)}#{group}"


def failures_key(key: BatchKey, number: int) -> Key:
    group, local = divmod(number, FAILURES_TOGETHER)
    return Key(failures_partition(key, group), f"{local:04d}")


def more_failures_key(key: BatchKey, number: int, edition: int, part: int) -> Key:
    pk, sk = failures_key(key, number)
    return Key(pk, f"{sk}#{edition}#{part}")


def failures_number(group: int, sort: str) -> int:
    return group * FAILURES_TOGETHER + int(sort[:4])


def _run(key: BatchKey) -> str:
    return f"{key.name}@{time_text(key.created)}"
