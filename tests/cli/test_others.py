"""rota at, run, queue, dead, cron and db."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pytest
from tests.cli.command import Command

from rota.core.ids import parse_run_id
from rota.core.outcome import Failure
from rota.core.run import RunKey, Settlement
from rota.wiring import database

NEW_YEAR = "2090-01-01T00:00:00Z"


def die(rota: Command, id: str) -> None:
    """Let the run of a one-off fail for good."""
    file = database(rota.url)
    for run in file.runs.due(1 << 50, 100):
        if run.id == id:
            file.runs.settle([Settlement(run, 1, 1, 5, "failed", failure=Failure(("ValueError",), "no"), dead=True)])
    assert file.runs.dead_letter(RunKey(*parse_run_id(id))) is not None
    file.close()


def test_at(rota: Command) -> None:
    run = rota("at", NEW_YEAR, "queue:q", "--payload", '{"a": 1}').strip()
    assert run.endswith(f"@{NEW_YEAR}")
    assert rota.json("run", "show", run)["payload"] == {"a": 1}
    assert rota.json("at", "3786912000", "queue:q", "--id", "named") == {"run": f"named@{NEW_YEAR}"}
    assert rota.json("schedule", "show", "named")["trigger"]["kind"] == "at"


@pytest.mark.parametrize(
    "arguments",
    [
        ["2090-01-01T00:00:00", "queue:q"],
        ["tomorrow", "queue:q"],
        ["3786912000000", "queue:q"],
        [NEW_YEAR, "nowhere"],
        [NEW_YEAR, "queue:q", "--payload", "{"],
        [NEW_YEAR, "queue:q", "--tag", "a"],
        [NEW_YEAR, "queue:q", "--timeout", "-1"],
    ],
)
def test_bad_one_offs(rota: Command, arguments: list[str]) -> None:
    rota.refused(["at", *arguments])
    assert rota.stores_nothing()


@pytest.mark.parametrize(
    "command",
    [
        ["at", "{}", "queue:q"],
        ["schedule", "create", "x", "queue:q", "--at", "{}"],
        ["schedule", "create", "x", "queue:q", "--every", "1h", "--anchor", "{}"],
        ["schedule", "create", "x", "queue:q", "--every", "1h", "--start", "{}", "--end", "2100-01-01T00:00Z"],
        ["cron", "next", "every 1h", "--after", "{}"],
        ["run", "list", "--start", "{}"],
    ],
)
def test_times(rota: Command, command: list[str]) -> None:
    rota("db", "migrate")
    for text in ("0", "20270101", "2027-01-01T09:00:00", "noon"):
        said = rota.refused([text if part == "{}" else part for part in command])
        assert "or epoch seconds of at least 9 digits" in said
        assert "tzinfo" not in said
    assert "milliseconds" in rota.refused(["3786912000000" if part == "{}" else part for part in command])
    rota(*("3786912000" if part == "{}" else part for part in command))


def test_runs(rota: Command) -> None:
    run = rota("at", NEW_YEAR, "queue:q").strip()
    assert [row["id"] for row in rota.json("run", "list", "--state", "pending", "--start", "2089-01-01T00:00Z")] == [
        run
    ]
    assert "pending" in rota("run", "list", width=60)
    assert "2090-01-01T00:00:00+00:00" in rota("run", "show", run)
    assert rota("run", "cancel", run) == f"{run} cancelled\n"
    assert "ended already" in rota.refused(["run", "cancel", run], 1)
    rota.refused(["run", "show", "nonsense"])
    rota.refused(["run", "show", f"x@{NEW_YEAR}"], 1)
    rota.refused(["run", "list", "--state", "lost"])


def test_dead_letters(rota: Command) -> None:
    runs = [rota("at", NEW_YEAR, "queue:q").strip() for _ in range(3)]
    for run in runs:
        die(rota, run)
    assert {row["id"] for row in rota.json("dead", "list")} == set(runs)
    assert "ValueError: no" in rota("dead", "list")
    assert "ValueError: no" in rota("dead", "show", runs[0])
    assert rota("dead", "redrive", runs[0]) == f"{runs[0]} redriven\n"
    assert rota.json("run", "show", runs[0])["state"] == "pending"
    assert rota.json("dead", "purge", runs[1]) == {"purged": [runs[1]]}
    for which in ([], ["--all", runs[2]], ["--all", "--schedule", "x"]):
        for command in ("redrive", "purge"):
            assert rota.refused(["dead", command, *which]).endswith("; either run ids, or --schedule, or --all")
    rota.refused(["dead", "purge", runs[1]], 1)
    assert rota("dead", "redrive", "--all") == f"{runs[2]} redriven\n"
    assert rota("dead", "list") == ""


def test_queues(rota: Command) -> None:
    rota("queue", "send", "orders", '{"id": 17}')
    rota("queue", "send", "orders", "18")
    assert rota.json("queue", "list") == {"orders": 2}
    receipt, body = rota("queue", "receive", "orders", "--visibility", "60").split("  ")
    assert json.loads(body) == {"id": 17}
    assert rota("queue", "receive", "orders", "--ack", "--wait", "1") == "18\n"
    assert rota("queue", "receive", "orders", "--wait", "0.05") == ""
    assert rota("queue", "ack", receipt) == "1 acknowledged\n"
    rota("queue", "ack", receipt, exit_code=1)
    assert "void" in rota.err
    for arguments in (["send", "a b", "1"], ["send", "q", "{"], ["receive", "q", "--wait", "-1"]):
        rota.refused(["queue", *arguments])


def test_payloads_from_files_and_stdin(rota: Command, tmp_path: Path) -> None:
    file = tmp_path / "order.json"
    file.write_text('{"id": 17}\n')
    run = rota("at", NEW_YEAR, "queue:q", "--payload", f"@{file}").strip()
    assert rota.json("run", "show", run)["payload"] == {"id": 17}
    rota("queue", "send", "orders", "-", stdin="18\n")
    rota("queue", "send", "orders", "@-", stdin='"nineteen"')
    assert rota("queue", "receive", "orders", "-n", "2", "--ack") == '18\n"nineteen"\n'
    assert "No such file" in rota.refused(["queue", "send", "orders", f"@{tmp_path}/none.json"])
    file.write_text("{not json")
    assert "a file of JSON" in rota.refused(["queue", "send", "orders", f"@{file}"])
    rota.refused(["queue", "send", "orders", "-"])


def test_cron(rota: Command) -> None:
    arguments = ["0 30 7 ? * MON-FRI", "--timezone", "Europe/Berlin", "-n", "2", "--after", "2026-11-21T00:00:00Z"]
    assert rota("cron", "next", *arguments) == "2026-11-23T07:30:00+01:00\n2026-11-24T07:30:00+01:00\n"
    assert rota("cron", "explain", "every 15m") == "Every 15 minutes.\n"
    assert rota.json("cron", "explain", "30 2 * * *")["explained"] == "At 02:30, every day."
    assert rota("cron", "next", "every 1h", "--end", "2020-01-01T00:00:00Z") == ""
    assert rota.err == "never\n"
    assert rota.refused(["cron", "next", "every 1h", "-n", "0"]).startswith("limit: 0 ")
    rota.refused(["cron", "next", "now and then"])
    rota.refused(["cron", "explain", "every 1h", "--dst", "aws"])
    assert not rota.database.exists()


@pytest.mark.parametrize(
    "line",
    [
        "schedule list", "schedule show x", "schedule update x --every 1h", "schedule delete x", "run list",
        "dead list", "dead purge --all", "queue list", "queue receive q", "queue ack 1", "batch list",
        "batch show x@2090-01-01T00:00:00Z", "batch watch x@2090-01-01T00:00:00Z",
        "batch resume x@2090-01-01T00:00:00Z", "db check",
    ],
)  # fmt: skip
def test_a_mistyped_url_is_no_empty_database(rota: Command, line: str) -> None:
    assert "no database" in rota.refused(line.split(), 1)
    assert not rota.database.exists()


@pytest.mark.parametrize(
    "line", ["schedule create x queue:q --every 1h", f"at {NEW_YEAR} queue:q", "queue send q 1", "db migrate"]
)
def test_what_puts_something_in_makes_the_database(rota: Command, line: str) -> None:
    rota(*line.split())
    rota("db", "check")


def test_db(rota: Command, tmp_path: Path) -> None:
    assert "no database" in rota.refused(["db", "check"], 1)
    rota.refused(["db", "backup", str(tmp_path / "copy.db")], 1)
    assert "has schema" in rota("db", "migrate")
    assert rota("db", "check") == f"{rota.database} is sound\n"
    rota("db", "backup", str(tmp_path / "copy.db"))
    rota.refused(["db", "backup", str(tmp_path / "copy.db")])
    assert rota.json("db", "check")["problems"] == []


@pytest.mark.parametrize(
    "url", ["postgres://x", "sqlite:///", "sqlite:///x.db?colour=red", "sqlite:///x.db?workers=many"]
)
def test_bad_urls(rota: Command, url: str) -> None:
    rota.refused(["schedule", "list", "--url", url])


def test_a_file_that_is_no_database(rota: Command) -> None:
    rota.database.write_bytes(b"not a database, but a text that is long enough to be looked at as one" * 50)
    rota.refused(["schedule", "list"], 1)
    rota("db", "check", exit_code=1)
    assert rota.out == f"{rota.database} is damaged or not a database: file is not a database\n"
    assert rota.err == f"rota: error: {rota.database} has 1 problem; restore a backup\n"


def test_a_damaged_file(rota: Command) -> None:
    rota("db", "migrate")
    whole = bytearray(rota.database.read_bytes())
    whole[-8192:] = b"\xa5" * 8192
    rota.database.write_bytes(whole)
    rota("db", "check", exit_code=1)
    assert "rota db check" not in rota.out + rota.err
    assert rota.err.endswith("restore a backup\n")


def test_bad_usage_is_2_and_help_is_0(rota: Command) -> None:
    rota("schedule", "frobnicate", exit_code=2)
    rota("schedule", "list", "--limit", "many", exit_code=2)
    assert "Usage: rota" in rota("--help")
    for group in ("schedule", "run", "queue", "dead", "cron", "db", "serve", "at"):
        assert "Usage:" in rota(group, "--help")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("run list --limit abc --json", "--limit"),
        ("schedule lst --json", "lst"),
        ("nonsense --json", "nonsense"),
        ("schedule create --json x", "TARGET"),
        ("at --json --colour red", "--colour"),
    ],
)
def test_bad_usage_is_json_where_that_was_asked_for(rota: Command, line: str, said: str) -> None:
    rota(*line.split(), exit_code=2)
    assert rota.out == ""
    error = json.loads(rota.err)
    assert said in error["error"]
    assert (error["kind"], error["ids"]) == ("UsageError", {})
    rota(*line.replace("--json", "-- --json").split(), exit_code=2)
    assert not rota.err.startswith("{")


def test_version(rota: Command) -> None:
    assert rota("--version") == f"rota {version('rota')}\n"
    assert "Runs work later" in rota("--help")
