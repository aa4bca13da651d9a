"""Processes under fire: an engine and a meddler that are killed and started again, then left to settle."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tests.crash.history import read_lines

from rota.core.errors import ConflictError
from rota.embedded.sqlite.file import SqliteFile
from rota.ports.schedules import ScheduleQuery
from rota.service import schedules
from rota.system import SystemClock

ROOT = Path(__file__).parents[2]
PATIENCE = 180.0
MEDDLER_DIES_EVERY = 10
IN_THE_MIDDLE = 0.75
"""How many of the kills wait until the engine serves; the others come at any moment from its very start."""


class Field(NamedTuple):
    """The files of one run under fire."""

    database: Path
    acknowledged: Path
    log: Path
    errors: Path


def field(folder: Path) -> Field:
    found = Field(folder / "rota.db", folder / "acknowledged", folder / "log", folder / "errors")
    for path in (found.acknowledged, found.log):
        path.touch()
    SqliteFile(found.database).close()
    return found


def spawn(place: Field, module: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A Python process of this project's; what it says goes to the field's file of errors."""
    with place.errors.open("ab") as errors:
        return subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=ROOT, stdout=errors, stderr=errors)


def engine(place: Field) -> subprocess.Popen[bytes]:
    return spawn(place, "tests.crash.serve", str(place.database), str(place.log))


def meddler(place: Field, seed: str) -> subprocess.Popen[bytes]:
    return spawn(place, "tests.crash.meddle", str(place.database), str(place.acknowledged), seed)


def wait_for_a_line(log: Path, size: int, serving: subprocess.Popen[bytes]) -> None:
    """Until the log is longer than `size`."""
    deadline = time.monotonic() + PATIENCE
    while log.stat().st_size <= size and serving.poll() is None:
        assert time.monotonic() < deadline, f"the engine does not serve within {PATIENCE:g} s"
        time.sleep(0.005)


def kill(process: subprocess.Popen[bytes]) -> None:
    """As power loss does it. A process that ended by itself before is a failure of the test."""
    ended = process.poll()
    process.kill()
    process.wait()
    assert ended is None, f"{process.args!r} ended by itself, with {ended}"


def bombard(place: Field, kills: int, seed: int) -> int:
    """Kill the engine `kills` times while the meddler goes on, then let all that was begun come to its end; answers how
    many engines had begun to serve."""
    dice = random.Random(seed)
    other = meddler(place, f"{seed}-0")
    try:
        for number in range(1, kills + 1):
            before = place.log.stat().st_size
            serving = engine(place)
            try:
                if dice.random() < IN_THE_MIDDLE:
                    wait_for_a_line(place.log, before, serving)
                    time.sleep(dice.uniform(0, 0.4))
                else:
                    time.sleep(dice.uniform(0.05, 0.4))
            finally:
                kill(serving)
            if number % MEDDLER_DIES_EVERY == 0:
                kill(other)
                other = meddler(place, f"{seed}-{number}")
    finally:
        kill(other)
    settle(place)
    return len({line.life for line in read_lines(place.log) if line.kind == "ready"})


def settle(place: Field) -> None:
    """Serve once more with no new ticks until nothing is open, and stop gracefully."""
    serving = engine(place)
    try:
        file = SqliteFile(place.database)
        deadline = time.monotonic() + PATIENCE
        while any([_pause(file), *(file.runs.counts()[state] for state in ("pending", "held", "running"))]):
            assert time.monotonic() < deadline, f"still open after {PATIENCE:g} s: {file.runs.counts()}"
            time.sleep(0.05)
        file.close()
    except BaseException:
        serving.kill()
        raise
    serving.send_signal(signal.SIGTERM)
    assert serving.wait(PATIENCE) == 0


def _pause(file: SqliteFile) -> bool:
    """Pause what still ticks; True if there was anything."""
    active = file.schedules.list(ScheduleQuery(status="active", limit=1000))
    for row in active:
        try:
            schedules.pause(file.schedules, row.id, "the test", "", SystemClock().now())
        except ConflictError:
            continue
    return bool(active)
