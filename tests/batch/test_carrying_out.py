"""Commands that follow a batch run, when whoever carries it out is another command, dies, or was never there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rota import wiring
from rota.core.batch import BatchRun
from rota.core.ids import iso

PATIENCE = 180.0
SLOW = """
import time
from pathlib import Path
from rota.app import App
app = App("slow")
@app.task
def work(number):
    while Path("held").exists():
        time.sleep(0.01)
    return number
@app.task
def hears(receipt):
    Path("told").write_text(receipt["outcome"])
app.batch("items", source="items.jsonl", task=work, sink="out/{run}/", chunk_items=10, notify=[hears])
"""


class Desk:
    """A directory where commands are typed. While `hold` is in force, no item ends."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = f"sqlite:///{root / 'rota.db'}"
        self.started: list[subprocess.Popen[str]] = []
        (root / "slow.py").write_text(SLOW)
        (root / "items.jsonl").write_text("".join(f"{n}\n" for n in range(100)))
        self.hold()

    def hold(self) -> None:
        (self.root / "held").touch()

    def let_go(self) -> None:
        (self.root / "held").unlink()

    def type(self, *words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "rota", *words],
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def said(self, *words: str, code: int = 0) -> str:
        out, err = self.type(*words).communicate(timeout=PATIENCE)
        assert self.started[-1].returncode == code, (out, err)
        return out + err

    def start(self) -> subprocess.Popen[str]:
        return self.type("batch", "start", "items", "--app", "slow.py", "--json")

    def runs(self) -> list[BatchRun]:
        if not (self.root / "rota.db").exists():
            return []
        with wiring.connect(self.url) as client:
            return client.batches.list()

    def until(self, look: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not look():
            assert time.monotonic() < deadline, "it never came"
            time.sleep(0.05)

    def is_running(self, count: int = 1) -> bool:
        runs = self.runs()
        return len(runs) == count and any(run.state == "running" for run in runs)

    def detached(self) -> str:
        self.said("batch", "start", "items", "--app", "slow.py", "--detach")
        return self.runs()[0].id


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    for process in made.started:
        process.kill()
        process.wait()


@contextmanager
def served(desk: Desk) -> Iterator[subprocess.Popen[str]]:
    server = desk.type("serve", "slow.py")
    desk.until(lambda: wiring.holder(desk.url))
    yield server
    server.kill()
    server.communicate()


def ended(process: subprocess.Popen[str], code: int = 0) -> dict[str, Any]:
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, (out, err)
    return {**json.loads(out), "stderr": err}


def test_a_second_command_waits_for_the_first_and_then_carries_out_its_own(desk: Desk) -> None:
    first = desk.start()
    desk.until(desk.is_running)
    second = desk.start()
    desk.until(lambda: desk.is_running(2))
    desk.let_go()
    one, two = ended(first), ended(second)
    assert [(it["state"], it["items"]) for it in (one, two)] == [("succeeded", 100)] * 2
    assert f"{two['id']} waits until process {first.pid} on " in two["stderr"]
    assert f"has carried out {one['id']}" in two["stderr"]
    assert (desk.root / "told").read_text() == "succeeded"


def test_when_the_server_dies_the_command_that_follows_goes_on(desk: Desk) -> None:
    with served(desk) as server:
        command = desk.start()
        desk.until(desk.is_running)
        server.kill()
        server.communicate()
    desk.let_go()
    told = ended(command)
    assert (told["state"], told["items"]) == ("succeeded", 100)
    assert "this command does" in told["stderr"]


def test_who_only_watches_is_told_that_nobody_carries_it_out(desk: Desk) -> None:
    id = desk.detached()
    for words in (("watch", id), ("resume", id)):
        said = desk.said("batch", *words, code=1)
        assert f"no process carries {id} out, which is pending: start `rota serve MODULE`" in said
        assert f"`rota batch resume {id} --app MODULE`" in said


def test_resume_is_well_while_a_server_has_the_file(desk: Desk) -> None:
    id = desk.detached()
    desk.said("batch", "pause", id)
    with served(desk):
        assert "pending" in desk.said("batch", "resume", id) or desk.is_running()
        desk.let_go()
        assert "succeeded" in desk.said("batch", "watch", id)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_is_cut_off_is_continued_by_what_the_command_says(desk: Desk, number: int, code: int) -> None:
    command = desk.type("batch", "start", "items", "--app", "slow.py", "--url", desk.url)
    desk.until(desk.is_running)
    os.kill(command.pid, number)
    _, err = command.communicate(timeout=PATIENCE)
    assert command.returncode == code, err
    [run] = desk.runs()
    hint = f"rota batch resume {run.id} --app slow.py --url {desk.url}"
    assert f"rota: {run.id} has not ended; go on with `{hint}`" in err
    desk.let_go()
    assert "succeeded" in desk.said(*hint.split()[1:])


def test_a_timeout_goes_on_while_it_is_paused_and_pause_says_so(desk: Desk) -> None:
    slow = desk.root / "slow.py"
    slow.write_text(slow.read_text().replace("chunk_items=10", "chunk_items=10, timeout=6"))
    command = desk.start()
    desk.until(desk.is_running)
    [run] = desk.runs()
    assert run.started is not None
    said = desk.said("batch", "pause", run.id)
    assert f"the timeout goes on: {run.id} fails if it has not ended 6 s after {iso(run.started)}" in said
    told = ended(command, 1)
    assert (told["state"], told["error"]) == ("failed", "longer than the timeout of 6 s")


@pytest.mark.parametrize("begun", [False, True])
def test_cancel_needs_no_server(desk: Desk, begun: bool) -> None:
    if begun:
        command = desk.start()
        desk.until(desk.is_running)
        command.kill()
        command.communicate()
        id = desk.runs()[0].id
    else:
        id = desk.detached()
    assert f"{id} cancelled" in desk.said("batch", "cancel", id)
    [run] = desk.runs()
    assert (run.state, run.error, run.version) == ("cancelled", "cancelled by request", 1)
    assert not (desk.root / "told").exists(), "the task that is told is in an app that cancel does not know"
    desk.let_go()
    with served(desk):
        desk.until((desk.root / "told").exists)
    assert (desk.root / "told").read_text() == "cancelled"
    assert "succeeded" in desk.said("batch", "redrive", id, "--app", "slow.py")


def test_a_command_with_its_own_batch_run_cancels_others(desk: Desk) -> None:
    id = desk.detached()
    command = desk.start()
    desk.until(lambda: desk.is_running(2))
    desk.said("batch", "cancel", id)
    desk.until(lambda: [run.state for run in desk.runs()] == ["running", "cancelled"])
    desk.let_go()
    assert ended(command)["state"] == "succeeded"
