"""What lies where in the table, as pure functions.

    partition (pk)                      sort key (sk)               item
    T#{generation}.{shard}#{hour}       {time}#{id}#{scheduled}         a run; its state changes where it lies
                                        {due}#{id}#{scheduled}          a signpost: the run is due then instead
                                        {at}#{id}#tick{version}         the next tick of a schedule
    D                                   {hour}#{generation}             hours in use: empty ones are not looked into
    S#{id}                              S                               a schedule, its state, and its open runs
    I#{bucket}                          {id}                            ids of schedules, in order
    L#{id}                              {time}                          tick ledger of a schedule, and which runs it had
    A#{id}@{scheduled}                  {started}#{attempt}             attempts that failed
    E#{id}@{scheduled}                  E                               until when a long attempt is known to live
    X#{bucket}                          {time, falling}#{id}            dead letters, newest first
    B#{token}                           B                               a payload or value too large to be moved about
    W#{id}                              {version}#{page}                what is left to do of a large change
    F#{generation}.{shard}              F                               fence, mark and lease of a shard
    G                                   G                               generations

A one-off run is its own entry in the far tier: accepted by one write, found by the feeder in time order, and found
again from its id alone, which says both the shard (a hash) and the hour. No partition takes all writes of a moment,
since `shard` spreads them, and none grows for ever, since `hour` ends it. Runs of schedules lie there too, so that the
newest runs of all are a matter of the newest hours.

Times are epoch milliseconds plus 10^13, in 14 digits: text that sorts as the numbers do, before 1970 as well. Ids
hold no `#`, and all their characters come after it, so keys sort by time, then id.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from rota.core.run import RunKey

_ZERO = 10**13
_LAST = 2 * 10**13 - 1
HOUR = 3_600_000
FIRST_HOUR = 0
LAST_HOUR = _LAST // HOUR
BUCKETS = 8
"""Partitions of the index of schedules and of dead letters, which are written seldom."""
AFTER_ALL = "~"
"""Sorts after every character of a key."""


class Key(NamedTuple):
    """The primary key of an item."""

    pk: str
    sk: str


def time_text(at: int) -> str:
    """Sorts as the time does. Times outside 1653..2286 count as its ends."""
    return f"{min(max(at + _ZERO, 0), _LAST):014d}"


def text_time(text: str) -> int:
    return int(text) - _ZERO


def falling_text(at: int) -> str:
    """Sorts the later time first."""
    return f"{_LAST - min(max(at + _ZERO, 0), _LAST):014d}"


def falling_time(text: str) -> int:
    return _LAST - int(text) - _ZERO


def hour_of(at: int) -> int:
    """The number of the hour that `at` is in."""
    return min(max(at + _ZERO, 0), _LAST) // HOUR


def hour_end(hour: int) -> int:
    """The first instant after it, epoch ms."""
    return (hour + 1) * HOUR - _ZERO


def spread(name: str, parts: int) -> int:
    """Which of `parts` equal parts `name` belongs to."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "big") % parts


def hour_text(hour: int) -> str:
    return f"{hour:07d}"


def time_partition(generation: int, shard: int, hour: int) -> str:
    return f"T#{generation}.{shard}#{hour_text(hour)}"


def run_sort(due: int, key: RunKey) -> str:
    """The place in its partition of a run, or of the signpost to it, that is due at `due`."""
    return f"{time_text(due)}#{key.schedule_id}#{time_text(key.scheduled)}"


def tick_sort(at: int, schedule_id: str, version: int) -> str:
    return f"{time_text(at)}#{schedule_id}#tick{version}"


def entry_of(sort: str) -> tuple[int, str, str]:
    """Time, schedule id and rest of the sort key of an entry."""
    time, name, rest = sort.split("#")
    return text_time(time), name, rest


def run_of(sort: str) -> RunKey:
    """The run that a run's or a signpost's sort key names."""
    _, name, rest = entry_of(sort)
    return RunKey(name, text_time(rest))


DIRECTORY = "D"


def directory_sort(hour: int, generation: int) -> str:
    return f"{hour_text(hour)}#{generation:05d}"


def directory_entry(sort: str) -> tuple[int, int]:
    """Hour and generation."""
    hour, generation = sort.split("#")
    return int(hour), int(generation)


def schedule_key(schedule_id: str) -> Key:
    return Key(f"S#{schedule_id}", "S")


def index_key(schedule_id: str) -> Key:
    return Key(f"I#{spread(schedule_id, BUCKETS)}", schedule_id)


def index_partitions() -> list[str]:
    return [f"I#{bucket}" for bucket in range(BUCKETS)]


def ledger_partition(schedule_id: str) -> str:
    return f"L#{schedule_id}"


def ledger_key(schedule_id: str, scheduled: int) -> Key:
    return Key(ledger_partition(schedule_id), time_text(scheduled))


def attempts_partition(key: RunKey) -> str:
    return f"A#{key.schedule_id}@{time_text(key.scheduled)}"


def attempt_sort(started: int, attempt: int) -> str:
    return f"{time_text(started)}#{attempt:05d}"


def lease_key(key: RunKey) -> Key:
    return Key(f"E#{key.schedule_id}@{time_text(key.scheduled)}", "E")


def dead_key(key: RunKey) -> Key:
    return Key(f"X#{spread(key.schedule_id, BUCKETS)}", f"{falling_text(key.scheduled)}#{key.schedule_id}")


def dead_partitions(schedule_id: str | None) -> list[str]:
    """Where the dead letters of that schedule are, or all."""
    buckets = range(BUCKETS) if schedule_id is None else (spread(schedule_id, BUCKETS),)
    return [f"X#{bucket}" for bucket in buckets]


def dead_run(sort: str) -> RunKey:
    time, _, name = sort.partition("#")
    return RunKey(name, falling_time(time))


def blob_key(token: str) -> Key:
    return Key(f"B#{token}", "B")


def backlog_key(schedule_id: str, version: int, page: int) -> Key:
    return Key(f"W#{schedule_id}", f"{version:020d}#{page:05d}")


def fence_key(generation: int, shard: int) -> Key:
    return Key(f"F#{generation}.{shard}", "F")


GENERATIONS = Key("G", "G")
