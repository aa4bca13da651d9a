"""rota batch as users type it."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from rota import wiring

PATIENCE = 180.0
SHOP = """
from rota.app import App
app = App("shop")
@app.task
def enrich(order):
    if order["id"] % 50 == 0 and not __import__("os").path.exists("mended"):
        raise ValueError("fifty")
    return {"id": order["id"]}
@app.task
def deadly(order):
    if order["id"] == 30:
        __import__("os")._exit(7)
    return order["id"]
app.batch("graves", source="orders.jsonl", task=deadly, sink="graves/", chunk_items=20, tolerated_failures=1)
@app.task
def noisy(order):
    print("printed by a task")
@app.task
def hears(receipt):
    print("printed by who is told")
app.batch("noisy", source="orders.jsonl", task=noisy, notify=[hears])
app.batch("orders", source="orders.jsonl", task=enrich, sink="out/{run}/", chunk_items=20, tolerated_failures="5%",
          notify=["queue:told"])
"""


class Shell:
    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "shop.py").write_text(SHOP)
        (root / "orders.jsonl").write_text("".join(f'{{"id": {n}}}\n' for n in range(1, 201)))

    def rota(self, *words: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "rota", "batch", *words]
        done = subprocess.run(command, check=False, cwd=self.root, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stdout + done.stderr if code else done.stdout

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.rota(*words, "--json", code=code))


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_from_start_to_redrive_without_a_server(shell: Shell) -> None:
    run = shell.json("start", "orders", "--app", "shop.py")
    assert (run["state"], run["items"], run["failed"]) == ("succeeded", 200, 4)
    assert shell.json("list")[0]["id"] == run["id"]
    [group] = shell.json("show", run["id"])["failures"]
    assert (group["count"], group["exception"], group["message"]) == (4, "ValueError", "fifty")
    dead = shell.json("show", run["id"], "--group", "1")
    assert shell.json("show", run["id"], "--group", group["id"]) == dead
    assert "a group from 1 to 1 is, or the id of one" in shell.rota("show", run["id"], "--group", "g0", code=2)
    assert [it["item"]["id"] for it in dead] == [50, 100, 150, 200]
    assert "is whole: 200 items, 4 failed" in shell.rota("verify", run["id"])
    (shell.root / "mended").touch()
    again = shell.json("redrive", run["id"], "--group", "1", "--app", "shop.py")
    assert (again["succeeded"], again["failed"], again["version"]) == (200, 0, 2)
    assert shell.json("verify", run["id"])["problems"] == []
    place = f"out/{run['id']}"
    for path in (place, f"{place}/", f"{place}/receipt.json", f"{place}/receipt.v2.json"):
        assert shell.json("verify", path, "--url", "sqlite:///nowhere.db") == {
            "batch_run": run["id"],
            "root": (run if path.endswith("receipt.json") else again)["root"],
            "failed": 4 if path.endswith("receipt.json") else 0,
            "problems": [],
        }
    assert not (shell.root / "nowhere.db").exists()
    part = next((shell.root / "out" / run["id"]).glob("part-*"))
    part.write_text(part.read_text().replace("1", "2"))
    assert "was altered" in shell.rota("verify", run["id"], code=1)


def test_without_a_server_the_command_says_what_one_would_log(shell: Shell) -> None:
    command = [sys.executable, "-m", "rota", "batch", "start", "graves", "--app", "shop.py", "--json"]
    done = subprocess.run(command, check=True, cwd=shell.root, capture_output=True, text=True, timeout=PATIENCE)
    assert json.loads(done.stdout)["failed"] == 1
    warned = [line.partition(": ")[2] for line in done.stderr.splitlines() if "WARNING rota.batch" in line]
    id = json.loads(done.stdout)["id"]
    died, sought = "a worker died (exit status 7) at attempt", "the item that kills workers is looked for by halving"
    assert warned == [
        f"{id}: {died} 1 of chunk 1, which is attempted again",
        f"{id}: {died} 2 of chunk 1: {sought}",
        f"{id}: chunk 1: item 9 kills workers (exit status 7), so it is a dead letter",
    ]


def test_what_tasks_print_is_no_result(shell: Shell) -> None:
    for options in ([], ["--sample", "10"]):
        command = [sys.executable, "-m", "rota", "batch", "start", "noisy", "--app", "shop.py", "--json", *options]
        done = subprocess.run(command, check=True, cwd=shell.root, capture_output=True, text=True, timeout=PATIENCE)
        json.loads(done.stdout)
        assert "printed by a task" in done.stderr
        assert ("printed by who is told" in done.stderr) == (not options)


def test_on_a_terminal_there_is_a_bar_and_room_for_warnings(shell: Shell) -> None:
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "rota", "batch", "start", "graves", "--app", "shop.py", "--json"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "150"}
    process = subprocess.Popen(command, cwd=shell.root, stdout=subprocess.PIPE, stderr=end, env=environment)
    os.close(end)
    shown = b""
    with suppress(OSError):  # that is how a terminal ends of which nobody holds the other side
        while data := os.read(terminal, 1 << 16):
            shown += data
    os.close(terminal)
    answer, _ = process.communicate(timeout=PATIENCE)
    assert json.loads(answer)["failed"] == 1
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert re.search(r"graves@\S+ (pending|running).* items", text)
    assert re.search(r"^[^\n]*WARNING rota.batch: graves@\S+: a worker died \(exit status 7\)", text, re.MULTILINE)


def test_a_failed_batch_run_is_exit_code_1(shell: Shell) -> None:
    said = shell.rota("start", "orders", "--app", "shop.py", "--tolerated-failures", "0", code=1)
    assert "more than the tolerated 0" in said
    assert shell.json("watch", shell.json("list")[0]["id"], code=1)["state"] == "failed"


def test_what_is_shown_says_how_it_is_carried_out(shell: Shell) -> None:
    said = shell.rota("start", "orders", "--app", "shop.py", "--rate-limit", "5000", "--chunk-items", "50")
    found = {name: " ".join(rest) for name, *rest in (line.split() for line in said.splitlines())}
    assert (found["chunk"], found["rate"]) == ("size 50 items", "limit 5000 items/s")
    assert "workers" in found
    shown = shell.json("show", shell.json("list")[0]["id"])
    assert (shown["chunk_items"], shown["chunk_bytes"], shown["rate_limit"], shown["timeout"]) == (50, None, 5000, None)
    assert not {"topology", "max_cost"} & shown.keys(), "they mean something on AWS alone"


def test_looking_before_leaping_stores_nothing(shell: Shell) -> None:
    plan = shell.json("start", "orders", "--app", "shop.py", "--dry-run")["plan"]
    assert (plan["chunks"], plan["items"], plan["complete"]) == (10, 200, True)
    sample = shell.json("start", "orders", "--app", "shop.py", "--sample", "50")
    assert sample["items"]["likely"] == 200
    # How long it takes is the machine's business; a wide spread brings the low end down to nothing.
    assert 0 <= sample["seconds"]["low"] <= sample["seconds"]["likely"] <= sample["seconds"]["high"]
    assert sample["seconds"]["high"] > 0
    assert shell.json("list") == []
    assert not (shell.root / "out").exists()


def test_what_is_left_to_a_server_waits(shell: Shell) -> None:
    run = shell.json("start", "orders", "--app", "shop.py", "--detach")
    assert run["state"] == "pending"
    assert "paused" in shell.rota("pause", run["id"])
    ended = shell.json("resume", run["id"], "--app", "shop.py")
    assert (ended["state"], ended["items"]) == ("succeeded", 200)
    other = shell.json("start", "orders", "--app", "shop.py", "--detach")
    assert f"{other['id']} cancelled" in shell.rota("cancel", other["id"])
    assert "is cancelled already" in shell.rota("resume", other["id"], code=1)


def test_dead_letters_are_kept_until_they_are_purged(shell: Shell) -> None:
    (shell.root / "orders.jsonl").write_text("no json\n" * 3)
    assert shell.rota("start", "orders", "--app", "shop.py", "--tolerated-failures", "3")
    [run] = shell.json("list")
    kept = shell.root / "rota.db.batches" / run["id"]
    assert list(kept.glob("dead/*"))
    assert f"{run['id']} purged" in shell.rota("purge", run["id"])
    assert shell.json("list") == []
    assert not kept.exists()
    assert (shell.root / "out" / run["id"] / "receipt.json").exists()
    assert "no batch run" in shell.rota("purge", run["id"], code=1)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("start", "orders"), 2, "--app is missing: give a module that declares the batch"),
        (("start", "order", "--app", "shop.py"), 1, "the app declares orders"),
        (("start", "orders", "--app", "shop.py", "--source", "nothing.csv"), 1, "nothing.csv"),
        (("start", "orders", "--app", "shop.py", "--source", "."), 2, "source"),
        (("start", "orders", "--app", "shop.py", "--chunk-items", "0"), 2, "chunk_items"),
        (("start", "orders", "--app", "shop.py", "--sample", "0"), 2, "sample"),
        (("start", "orders", "--app", "shop.py", "--sample", "5", "--dry-run"), 2, "either --dry-run or --sample"),
        (("start", "orders", "--app", "shop.py", "--topology", "map"), 2, "topology: 'map' is not allowed; it is for"),
        (("start", "orders", "--app", "shop.py", "--max-cost", "3"), 2, "max_cost: 3.0 is not allowed; it is for"),
        (("start", "orders", "--app", "shop.py", "--payload", "3"), 2, "payload: 3 is not allowed; it is for a source"),
        (("start", "orders", "--app", "shop.py", "--chunk-bytes", "0"), 2, "chunk_bytes: 0"),
        (("start", "orders", "--app", "shop.py", "--rate-limit", "0"), 2, "rate_limit: 0"),
        (("start", "orders", "--app", "shop.py", "--timeout", "0"), 2, "timeout: 0"),
        (("start", "orders", "--app", "shop.py", "--notify", "q"), 2, "notify: 'q' is not allowed; a task"),
        (("start", "orders", "--app", "shop.py", "--notify", "task:q"), 2, "'task:q' is not allowed; a task of"),
        (("show", "orders"), 2, "batch run id: 'orders' is not allowed; BATCH@TIME, such as"),
        (("show", "orders@2026-01-01T00:00:00Z"), 1, "no batch run"),
        (("verify", "orders"), 2, "run id"),
        (("verify", "nowhere/at/all"), 1, "no receipt"),
        (("redrive", "orders@2026-01-01T00:00:00Z"), 1, "no batch run"),
    ],
)
def test_bad_input_is_one_clear_line(shell: Shell, words: tuple[str, ...], code: int, said: str) -> None:
    wiring.database(f"sqlite:///{shell.root / 'rota.db'}").close()
    answer = shell.rota(*words, code=code)
    assert said in answer
    assert len(answer.strip().splitlines()) == 1
