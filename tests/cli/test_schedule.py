"""rota schedule."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.command import Command

NIGHTLY = ("schedule", "create", "nightly", "task:enrich", "--cron", "0 30 2 * * ?", "--timezone", "Europe/Berlin")


def test_create_and_show(rota: Command) -> None:
    assert rota(*NIGHTLY).startswith("nightly created; next tick 20")
    shown = rota.json("schedule", "show", "nightly")
    assert shown["target"] == "task:enrich"
    assert shown["trigger"]["explained"] == "At 02:30, every day, Europe/Berlin time."
    assert shown["status"] == "active"
    assert shown["next"].endswith("Z")
    assert "overlap" in rota("schedule", "show", "nightly")


def test_every_option_of_create_arrives(rota: Command, tmp_path: Path) -> None:
    (tmp_path / "dates.txt").write_text("2030-05-01 # Labour Day\n")
    options = {
        "--every": "15m", "--anchor": "2026-01-01T00:05:00Z", "--start": "2026-01-01T00:00:00Z",
        "--end": "2090-01-01T00:00:00Z", "--exclude": "2026-12-25", "--exclude-file": str(tmp_path / "dates.txt"),
        "--jitter": "2.5", "--payload": '{"a": [1]}', "--misfire": "skip", "--grace": "5", "--overlap": "allow",
        "--max-executions": "7", "--timeout": "30", "--delivery": "at_least_once", "--tag": "blue",
        "--description": "words", "--retry-attempts": "4", "--retry-initial": "0.5", "--retry-factor": "3",
        "--retry-maximum": "60", "--retry-jitter": "equal",
    }  # fmt: skip
    rota("schedule", "create", "x", "queue:q", *(part for option in options.items() for part in option))
    made = rota.json("schedule", "show", "x")
    assert made["trigger"]["exclude"] == ["2026-12-25", "2030-05-01"]
    assert made["trigger"]["jitter"] == 2.5
    assert made["payload"] == {"a": [1]}
    assert (made["misfire"], made["grace"], made["overlap"], made["max_executions"]) == ("skip", 5, "allow", 7)
    assert (made["timeout"], made["tags"], made["description"]) == (30, ["blue"], "words")
    waits = {"initial": 0.5, "factor": 3, "maximum": 60, "jitter": "equal"}
    assert made["retry"] == {"attempts": 4, **waits, "retry_on": [], "give_up_on": []}


def test_list_filters_and_fits(rota: Command) -> None:
    rota(*NIGHTLY, "--tag", "a")
    rota("schedule", "create", "hourly", "queue:q", "--every", "1h")
    assert [row["id"] for row in rota.json("schedule", "list", "--tag", "a")] == ["nightly"]
    assert [row["id"] for row in rota.json("schedule", "list", "--search", "HOUR")] == ["hourly"]
    assert rota.json("schedule", "list", "--status", "paused") == []
    lines = [""]
    for width in (40, 60, 80, 120, 200):
        lines = rota("schedule", "list", width=width).splitlines()
        assert max(map(len, lines)) <= width
        assert lines[2].startswith("nightly")
    assert "Europe/Berlin" in lines[2]
    rota("schedule", "list", "--limit", "1")
    assert "--after hourly" in rota.err


def test_an_empty_list_says_so_on_stderr(rota: Command) -> None:
    rota("db", "migrate")
    assert rota("schedule", "list") == ""
    assert rota.err == "no schedules\n"


def test_update_shows_the_plan_and_changes_nothing_without_consent(rota: Command) -> None:
    rota(*NIGHTLY)
    before = rota.json("schedule", "show", "nightly")
    shown = rota("schedule", "update", "nightly", "--cron", "0 0 3 * * ?", exit_code=1)
    assert "0 added, 0 removed, 364 moved" in shown or "0 added, 0 removed, 365 moved" in shown
    assert "before  At 02:30, every day" in shown
    assert "--yes applies it" in rota.err
    assert rota.json("schedule", "show", "nightly") == before
    assert rota.json("schedule", "update", "nightly", "--cron", "0 0 3 * * ?")["applied"] is False
    assert rota.json("schedule", "show", "nightly") == before


def test_update_applies_with_yes_and_keeps_the_rest(rota: Command) -> None:
    rota(*NIGHTLY, "--payload", "1")
    assert "nightly updated; next tick" in rota("schedule", "update", "nightly", "--cron", "0 0 3 * * ?", "--yes")
    done = rota.json("schedule", "update", "nightly", "--max-executions", "5", "--exclude", "2030-01-01", "--yes")
    assert done["applied"] is True
    assert set(done["plan"]["fields"]) == {"trigger", "max_executions"}
    after = done["schedule"]
    assert (after["trigger"]["timezone"], after["trigger"]["text"]) == ("Europe/Berlin", "0 0 3 * * ?")
    assert (after["payload"], after["max_executions"]) == (1, 5)
    rota("schedule", "update", "nightly", "--max-executions", "none", "--retry-attempts", "2", "-y")
    rota("schedule", "update", "nightly", "--retry-attempts", "none", "--every", "2h", "-y")
    last = rota.json("schedule", "show", "nightly")
    assert (last["max_executions"], last["retry"], last["trigger"]["kind"]) == (None, None, "every")
    assert last["trigger"]["exclude"] == ["2030-01-01"]
    assert "nothing to change" in rota("schedule", "update", "nightly", "--every", "2h")


def test_a_retry_policy_is_shown_whole(rota: Command) -> None:
    rota(*NIGHTLY, "--retry-attempts", "3")
    whole = "attempts 3, initial 1 s, factor 2, maximum 3600 s, jitter full"
    assert whole in rota("schedule", "show", "nightly")
    shape = rota.json("schedule", "show", "nightly")["retry"]
    assert (shape["attempts"], shape["factor"], shape["jitter"]) == (3, 2, "full")
    plan = rota.json("schedule", "update", "nightly", "--retry-factor", "4")["plan"]
    assert plan["fields"]["retry"] == {"before": whole, "after": whole.replace("factor 2", "factor 4")}


def test_none_takes_away_what_was_set(rota: Command) -> None:
    options = {
        "--anchor": "2026-01-01T00:05:00Z", "--start": "2026-01-01T00:00:00Z", "--end": "2090-01-01T00:00:00Z",
        "--exclude": "2030-01-01", "--tag": "blue", "--header": "X-Team: a",
    }  # fmt: skip
    rota(
        "schedule",
        "create",
        "x",
        "https://a.example/",
        "--every",
        "1h",
        *(it for pair in options.items() for it in pair),
    )
    for option in options:
        rota("schedule", "update", "x", option, "none", "--yes")
    left = rota.json("schedule", "show", "x")
    assert left["trigger"] == {"kind": "every", "interval": "PT3600S", "explained": "Every hour."}
    assert left["tags"] == []
    assert "X-Team" not in rota("schedule", "show", "x")


@pytest.mark.parametrize("option", ["--tag", "--exclude", "--header"])
def test_none_stands_alone(rota: Command, option: str) -> None:
    rota("schedule", "create", "x", "https://a.example/", "--every", "1h", option, "none")
    assert '"none" alone' in rota.refused(("schedule", "update", "x", option, "2030-01-01", option, "none"))


def test_pause_resume_trigger_delete(rota: Command) -> None:
    rota(*NIGHTLY)
    assert rota("schedule", "pause", "nightly", "--reason", "moving") == "nightly paused\n"
    assert rota.json("schedule", "show", "nightly")["paused"]["reason"] == "moving"
    assert "is paused by" in rota.refused(["schedule", "pause", "nightly"], 1)
    assert rota("schedule", "resume", "nightly").startswith("nightly resumed; next tick")
    run = rota("schedule", "trigger", "nightly", "--payload", '"now"').strip()
    assert rota.json("run", "show", run)["payload"] == "now"
    assert rota("schedule", "delete", "nightly") == "nightly deleted\n"
    assert rota.json("run", "show", run)["state"] == "cancelled"


def test_ticks_and_why(rota: Command) -> None:
    rota(*NIGHTLY)
    assert rota("schedule", "ticks", "nightly") == ""
    assert rota.err == "no ticks\n"
    assert "does not exist in Europe/Berlin" in rota("schedule", "why", "nightly", "2027-03-28T02:30")
    assert "is not yet due" in rota.json("schedule", "why", "nightly", "2090-01-01T02:30")["why"]


def test_a_wrong_id_says_what_is_near(rota: Command) -> None:
    rota(*NIGHTLY)
    for command in ("show", "pause", "resume", "trigger", "delete", "ticks"):
        assert rota.refused(["schedule", command, "nihgtly"], 1) == "no schedule 'nihgtly'; is it nightly?"
    rota("schedule", "show", "nihgtly", "--json", exit_code=1)
    assert rota.err == (
        '{"error":"no schedule \'nihgtly\'; is it nightly?","kind":"NotFoundError","ids":{"schedule":"nihgtly"}}\n'
    )


BAD = [
    (["--at", "2030-01-01T00:00:00"], "offset"),
    (["--cron", "0 30 2 * * ?", "--timezone", "Europe/Atlantis"], "Europe/Atlantis"),
    (["--every", "1h", "--misfire", "all", "--overlap", "skip"], "overlap"),
    (["--every", "1h", "--misfire", "sometimes"], "skip, once, earliest, all"),
    (["--every", "1h", "--overlap", "maybe"], "queue_one"),
    (["--every", "1h", "--payload", "{not json"], "payload"),
    (["--every", "1h", "--payload", '"' + "x" * 300_000 + '"'], "262144 bytes"),
    (["--cron", "0 " * 5_000], "cron"),
    (["--cron", "0 0 0 31 2 ?"], "trigger"),
    (["--cron", "MON-FRI/2"], "cron"),
    (["--every", "1h", "--end", "2020-01-01T00:00:00Z"], "trigger"),
    (["--every", "1h", "--start", "2027-01-01T00:00:00Z", "--end", "2026-01-01T00:00:00Z"], "before start"),
    (["--every", "0s"], "interval"),
    (["--every", "1h", "--at", "2030-01-01T00:00:00Z"], "only one"),
    ([], "--cron, --every and --at"),
    (["--every", "1h", "--max-executions", "0"], "max_executions"),
    (["--every", "1h", "--max-executions", "few"], "whole number"),
    (["--every", "1h", "--grace", "long"], "grace"),
    (["--every", "1h", "--delivery", "at_most_once", "--retry-attempts", "3"], "delivery"),
    (["--every", "1h", "--dst", "aws"], "dst"),
    (["--cron", "0 30 2 * * ?", "--dst", "mars"], "dst"),
    (["--cron", "0 30 2 * * ?", "--anchor", "2026-01-01T00:00:00Z"], "anchor"),
    (["--every", "1h", "--exclude", "Christmas"], "exclude"),
    (["--every", "1h", "--exclude-file", "/no/such/file"], "/no/such/file"),
    (["--every", "1h", "--tag", "two words"], "tags"),
    (["--every", "1h", "--app", "nowhere.py"], "nowhere.py"),
]


@pytest.mark.parametrize(("options", "said"), BAD, ids=[" ".join(options)[:40] or "nothing" for options, _ in BAD])
def test_bad_input_is_one_line_exit_2_and_nothing_stored(rota: Command, options: list[str], said: str) -> None:
    assert said in rota.refused(["schedule", "create", "x", "task:t", *options])
    assert rota.stores_nothing()


@pytest.mark.parametrize(
    ("id", "target"), [("two words", "task:t"), ("x", "nowhere"), ("x", "http://u:p@h/"), ("@", "task:t")]
)
def test_bad_names(rota: Command, id: str, target: str) -> None:
    rota.refused(["schedule", "create", id, target, "--every", "1h"])
    assert rota.stores_nothing()


def test_a_taken_id(rota: Command) -> None:
    rota(*NIGHTLY)
    assert "exists already" in rota.refused(NIGHTLY)


def test_a_known_app_knows_its_tasks(rota: Command, tmp_path: Path) -> None:
    module = tmp_path / "shop_for_schedule.py"
    module.write_text("import rota\napp = rota.App('shop')\n@app.task\ndef known(): ...\n")
    said = rota.refused(["schedule", "create", "x", "task:unknown", "--every", "1h", "--app", str(module)])
    assert "known" in said
    rota("schedule", "create", "x", "task:known", "--every", "1h", "--app", str(module))


@pytest.mark.parametrize(("body", "said"), [("def", "test_broken"), ("1/0", "ZeroDivisionError"), ("", "exactly one")])
def test_a_module_that_cannot_be_loaded_is_no_traceback(rota: Command, tmp_path: Path, body: str, said: str) -> None:
    module = tmp_path / f"test_broken_{len(body)}.py"
    module.write_text(body)
    assert said in rota.refused(["schedule", "create", "x", "task:t", "--every", "1h", "--app", str(module)])


def test_a_url_is_called_by_a_method_with_headers(rota: Command) -> None:
    stock = ("schedule", "create", "stock", "https://stock.example/", "--every", "1h")
    rota(*stock, "--method", "put", "--header", "Authorization: Bearer s3cr3t", "--header", "X-Team:a:b")
    assert "PUT https://stock.example/ with Authorization, X-Team\n" in rota("schedule", "show", "stock")
    shape = rota.json("schedule", "show", "stock")["http"]
    assert shape == {"method": "PUT", "headers": ["Authorization", "X-Team"], "timeout": 30, "allow_private": False}
    rota("schedule", "update", "stock", "--method", "GET", "--yes")
    assert "GET https://stock.example/ with Authorization, X-Team\n" in rota("schedule", "show", "stock")
    rota("schedule", "update", "stock", "--header", "X-Team: b", "--yes")
    assert "GET https://stock.example/ with X-Team\n" in rota("schedule", "show", "stock")
    rota("at", "2090-01-01T00:00:00Z", "https://stock.example/", "--method", "DELETE", "--id", "once")
    assert "DELETE https://stock.example/\n" in rota("schedule", "show", "once")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("https://a.example/", "--method", "BREW"), "target.method"),
        (("https://a.example/", "--header", "s3cr3t"), "header"),
        (("https://a.example/", "--header", "X Team: s3cr3t"), "target.headers"),
        (("queue:q", "--method", "GET"), "method"),
        (("queue:q", "--allow-private"), "allow-private"),
        (("queue:q", "--header", "X-Team: s3cr3t"), "header"),
    ],
)
def test_bad_methods_and_headers_are_refused(rota: Command, arguments: tuple[str, ...], field: str) -> None:
    said = rota.refused(("schedule", "create", "x", *arguments, "--every", "1h"))
    assert said.startswith(f"{field}: ")
    assert "s3cr3t" not in said
