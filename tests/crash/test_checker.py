"""The checker finds nothing wrong with a history that is sound, and finds each thing that can be wrong with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from tests.crash.checker import check
from tests.crash.fire import Field, field
from tests.crash.history import Acknowledged, OneOff, read_history

from rota.core.outcome import Result
from rota.core.run import Claim, Delivery, Run, RunSpec
from rota.core.schedule import Overlap, Schedule
from rota.core.target import TaskTarget
from rota.core.triggers import Every
from rota.embedded.sqlite.file import SqliteFile
from rota.service import schedules
from rota.service.tick import tick
from rota.service.work import no_task_policy, recover, settle
from rota.testing import FakeClock

TARGET = TaskTarget("t")


class Story:
    """A history made step by step, without processes: everything happens when the clock says so."""

    def __init__(self, place: Field) -> None:
        self.place = place
        self.file = SqliteFile(place.database, "process")
        self.clock = FakeClock()
        self.life = 0

    def acknowledge(self, value: Acknowledged | OneOff) -> None:
        with self.place.acknowledged.open("ab") as out:
            out.write(msgspec.json.encode(value) + b"\n")

    def log(self, kind: str, run: str = "-", attempt: int = 0) -> None:
        with self.place.log.open("a") as out:
            out.write(f"{run} {attempt} life-{self.life} {kind} {self.clock.now()}\n")

    def schedule(self, id: str, overlap: Overlap = "skip", most: int | None = None) -> None:
        made = Schedule(id=id, trigger=Every(1), target=TARGET, overlap=overlap, max_executions=most)
        (stored,) = schedules.create(self.file.schedules, [made], self.clock.now())
        self.acknowledge(Acknowledged(stored))

    def one_off(self, id: str, delivery: Delivery = "at_least_once") -> None:
        run = Run(id, self.clock.now(), self.clock.now(), RunSpec(TARGET, delivery=delivery))
        self.file.runs.accept([run])
        self.acknowledge(OneOff(run.id, delivery))

    def serve(self) -> None:
        """An engine begins, and settles what the last one left."""
        self.life += 1
        self.log("ready")
        recover(self.file.runs, no_task_policy, self.clock.now())

    def work(self) -> None:
        """Decide on what is due, and run it."""
        now = self.clock.now()
        tick(self.file.schedules, now)
        for run in self.file.runs.due(now, 100):
            self.begin(run)
            self.log("end", run.id, run.attempt + 1)
            settle(self.file.runs, [(run, Result(now, now))], no_task_policy)

    def begin(self, run: Run) -> None:
        self.file.runs.claim([Claim(run, self.clock.now())])
        self.log("begin", run.id, run.attempt + 1)


@pytest.fixture
def place(tmp_path: Path) -> Field:
    """Five seconds of `each` and `three`, a pause of four, a crash during `once-cut`, a deletion, and a run by hand of
    `each`, of which nobody wrote down that it was acknowledged, beside a tick."""
    story = Story(field(tmp_path))
    story.serve()
    story.schedule("each")
    story.schedule("three", most=3)
    story.schedule("gone", overlap="allow")
    story.one_off("once-cut")
    story.begin(story.file.runs.due(story.clock.now(), 1)[0])
    story.serve()
    story.one_off("once-many")
    story.one_off("once-one", "at_most_once")
    for _ in range(5):
        story.clock.advance(1000)
        story.work()
    schedules.delete(story.file.schedules, story.file.runs, "gone", story.clock.now())
    schedules.pause(story.file.schedules, "each", "ann", "", story.clock.advance(500))
    schedules.resume(story.file.schedules, "each", story.clock.advance(4000))
    now = story.clock.advance(500)
    tick(story.file.schedules, now)
    by_hand = schedules.trigger(story.file.schedules, story.file.runs, "each", None, now)
    story.clock.advance(1)
    story.begin(by_hand)
    story.work()
    story.log("end", by_hand.id, 1)
    settle(story.file.runs, [(by_hand, Result(now, now))], no_task_policy)
    story.file.close()
    return story.place


def found(place: Field) -> str:
    return "\n".join(check(read_history(place.database, place.acknowledged, place.log)))


def test_a_sound_history_is_accepted(place: Field) -> None:
    assert found(place) == ""


RUN = "schedule_id, scheduled, due, spec, payload, attempt, recurring"
EACH = "schedule_id = 'each'"
FIRST = f"{EACH} AND scheduled = (SELECT min(scheduled) FROM ticks WHERE {EACH})"
SECOND = f"{EACH} AND scheduled = (SELECT min(scheduled) + 1000 FROM ticks WHERE {EACH})"


@pytest.mark.parametrize(
    ("sql", "complaint"),
    [
        (f"DELETE FROM ticks WHERE {SECOND}", "has 0 ledger rows"),
        (
            "DELETE FROM ticks WHERE schedule_id = 'gone' AND scheduled IN (SELECT min(scheduled) FROM ticks)",
            "has 0 ledger",
        ),
        (f"UPDATE ticks SET until = until + 1000, count = 2 WHERE {FIRST}", "has 2 ledger rows"),
        (f"UPDATE ticks SET until = until + 1000, count = 2 WHERE {FIRST}", "has two ledger rows that cover"),
        (f"UPDATE ticks SET until = until + 1000, count = 2 WHERE {FIRST}", "stands for several firings"),
        ("UPDATE ticks SET count = count + 1 WHERE count > 1", "covers 4 ticks"),
        (f"UPDATE ticks SET scheduled = scheduled + 1, until = until + 1 WHERE {SECOND}", "does not begin and end at"),
        (f"UPDATE ticks SET outcome = 'skipped', reason = 'overlap' WHERE {SECOND}", "its tick did not fire"),
        ("UPDATE schedules SET next_tick = next_tick + 1000 WHERE id = 'each'", "has 0 ledger rows"),
        ("UPDATE schedules SET fired = fired - 1 WHERE id = 'each'", "6 ticks fired, but it counts 5"),
        ("UPDATE ticks SET schedule_id = 'ghost' WHERE schedule_id = 'gone'", "ledger rows of ghost"),
        (f"DELETE FROM runs_done WHERE {FIRST}", "was fired, but there is no such run"),
        (f"DELETE FROM runs_done WHERE {FIRST}", "ran, but was never accepted"),
        ("DELETE FROM runs_done WHERE schedule_id = 'once-many'", "was acknowledged, but is not stored"),
        ("UPDATE runs_done SET outcome = 2 WHERE schedule_id = 'once-many'", "was cancelled, which nobody asked for"),
        ("UPDATE runs_done SET outcome = 3 WHERE schedule_id = 'once-many'", "was given up as interrupted"),
        ("UPDATE runs_done SET attempt = 1 WHERE schedule_id = 'once-cut'", "attempt 2 was seen, 1 is recorded"),
        (f"INSERT INTO runs_open ({RUN}, held) SELECT {RUN}, 1 FROM runs_done LIMIT 1", "is both open and finished"),
        (
            "INSERT INTO runs_pending SELECT due, 'once-new', scheduled, spec, payload, 0, 0, 0 FROM runs_done LIMIT 1",
            "is pending still",
        ),
    ],
)
def test_a_tampered_database_is_rejected(place: Field, sql: str, complaint: str) -> None:
    with sqlite3.connect(place.database) as connection:
        assert connection.execute(sql).rowcount > 0
    connection.close()
    assert complaint in found(place)


def again(lines: list[str], which: str) -> list[str]:
    """The lines with the first one that holds `which` once more, right behind it."""
    at = next(index for index, line in enumerate(lines) if which in line)
    return [*lines[: at + 1], lines[at], *lines[at + 1 :]]


def without(lines: list[str], *words: str) -> list[str]:
    return [line for line in lines if not all(word in line for word in words)]


def changed(lines: list[str], which: str, old: str, new: str) -> list[str]:
    return [line.replace(old, new) if which in line else line for line in lines]


def early(lines: list[str]) -> list[str]:
    at = next(index for index, line in enumerate(lines) if line.startswith("each@") and " begin " in line)
    *rest, when = lines[at].split(" ")
    return [*lines[:at], " ".join([*rest, str(int(when) - 1)]), *lines[at + 1 :]]


def overlapping(lines: list[str]) -> list[str]:
    """The first run of `each` ends last of all."""
    at = next(index for index, line in enumerate(lines) if line.startswith("each@") and " end " in line)
    return [*lines[:at], *lines[at + 1 :], lines[at]]


def one_more(lines: list[str]) -> list[str]:
    """A fourth run of `three`, whose ticks ended with the third."""
    last = next(line for line in lines if line.startswith("each@2026-01-01T00:00:04"))
    return [*lines, last.replace("each", "three")]


@pytest.mark.parametrize(
    ("tamper", "complaint"),
    [
        (lambda lines: without(lines, "once-many"), "was acknowledged, but never ran"),
        (lambda lines: without(lines, "once-many"), "succeeded, but never ran"),
        (lambda lines: again(lines, "once-one@"), "ran 2 times, of at most once"),
        (lambda lines: again(lines, "once-many@"), "ran attempt 1 twice"),
        (lambda lines: changed(lines, "once-cut", " 2 life", " 3 life"), "attempt 3 came after attempt 1"),
        (lambda lines: changed(lines, "once-cut", " 1 life", " 2 life")[:2] + lines, "attempt 1 came after attempt 2"),
        (lambda lines: changed(lines, "once-one", "once-one", "once-two"), "ran, but was never accepted"),
        (early, "began 1 ms early"),
        (overlapping, "began while each@"),
        (one_more, "ran, but was never accepted"),
        (lambda lines: [*lines, lines[0]], "wrote after its successor"),
    ],
)
def test_a_tampered_log_is_rejected(place: Field, tamper: Callable[[list[str]], list[str]], complaint: str) -> None:
    lines = place.log.read_text().splitlines()
    place.log.write_text("\n".join(tamper(lines)) + "\n")
    assert complaint in found(place)


def test_an_attempt_that_was_cut_off_may_have_left_no_trace(place: Field) -> None:
    lines = place.log.read_text().splitlines()
    place.log.write_text("\n".join(without(lines, "once-cut", " 1 life")) + "\n")
    assert found(place) == ""
    with sqlite3.connect(place.database) as connection:
        connection.execute("DELETE FROM attempts")
    connection.close()
    assert "attempt 2 came after attempt 0" in found(place)


def test_more_than_max_executions_is_rejected(place: Field) -> None:
    limit = "json_set(definition, '$.max_executions', 2)"
    with sqlite3.connect(place.database) as connection:
        connection.execute(f"UPDATE schedules SET definition = {limit} WHERE id = 'three'")
    connection.close()
    acknowledged = place.acknowledged.read_bytes().replace(b'"max_executions":3', b'"max_executions":2')
    place.acknowledged.write_bytes(acknowledged)
    problems = found(place)
    assert "three: 3 ticks fired, of at most 2" in problems
    assert "three: 3 of its runs were seen, of at most 2" in problems
