"""Recurring schedules on the deployed stack: what one machine does, the functions do."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.aws.stack.site import Site

import rota
from rota.core.errors import ConflictError
from rota.core.ids import iso
from rota.core.schedule import Misfire, TickRow

pytestmark = pytest.mark.xdist_group("stack")
EVERY_SECOND = rota.Cron("* * * * * ?")


def outcomes(rows: list[TickRow]) -> set[tuple[str, str | None]]:
    return {(row.outcome, row.reason) for row in rows}


def covered(rows: list[TickRow], step: int) -> None:
    """Each tick has one row."""
    ticks = sorted(at for row in rows for at in range(row.scheduled, row.until + 1, step))
    assert ticks == list(range(ticks[0], ticks[-1] + 1, step))


def test_a_cron_fires_each_second_and_max_executions_ends_it(site: Site) -> None:
    site.client.schedules.create("thrice", EVERY_SECOND, "queue:orders", payload={"n": 1}, max_executions=3)
    queue = site.outputs["QueuePrefix"] + "orders"
    runs = sorted(it["MessageAttributes"]["rota-run-id"]["StringValue"] for it in site.received(queue, 3))
    ticks = site.client.schedules.ticks("thrice", limit=1000)
    assert sorted(f"thrice@{iso(row.scheduled)}" for row in ticks if row.outcome == "fired") == runs
    assert site.received(queue, 1, wait=2) == []
    assert site.client.schedules.get("thrice").state.next_tick is None
    why = site.client.schedules.why("thrice", ticks[-1].scheduled / 1000)
    assert "fired" in why


def test_triggering_runs_it_now(site: Site) -> None:
    run = site.client.schedules.trigger("declared")
    queue = site.outputs["QueuePrefix"] + "orders"
    assert [it["MessageAttributes"]["rota-run-id"]["StringValue"] for it in site.received(queue)] == [run]
    assert site.ended(run).state == "succeeded"


def test_ticks_that_overlap_are_skipped_and_say_so(site: Site, tmp_path: Path) -> None:
    go = tmp_path / "go"
    given = {"to": str(tmp_path / "done"), "until": str(go)}
    site.client.schedules.create("slow", EVERY_SECOND, "task:linger", payload=given, overlap="skip", max_executions=2)
    site.until(
        lambda: ("skipped", "overlap") in outcomes(site.client.schedules.ticks("slow", limit=1000)),
        "a tick during the first execution",
    )
    go.touch()
    site.until(lambda: site.client.schedules.get("slow").state.next_tick is None, "the second execution")
    rows = site.client.schedules.ticks("slow", limit=1000)
    covered(rows, 1000)
    assert {("fired", None), ("skipped", "overlap")} <= outcomes(rows)
    skipped = next(row for row in rows if row.reason == "overlap")
    assert "still" in site.client.schedules.why("slow", skipped.scheduled / 1000)


@pytest.mark.slow
def test_queued_ticks_wait_for_each_other(site: Site, tmp_path: Path) -> None:
    done = tmp_path / "done"
    site.client.schedules.create(
        "queued", EVERY_SECOND, "task:slow", payload={"to": str(done)}, overlap="queue_all", max_executions=3
    )
    site.until(lambda: done.exists() and len(done.read_text().splitlines()) == 3, "the third execution")
    runs = site.client.runs.list(schedule="queued")
    assert len(runs) == 3
    first, second, third = sorted((site.ended(it.id) for it in runs), key=lambda it: it.scheduled)
    assert first.finished is not None
    assert second.started is not None
    assert second.finished is not None
    assert third.started is not None
    assert first.finished <= second.started
    assert second.finished <= third.started


def test_a_pause_holds_and_its_ticks_are_on_record(site: Site, tmp_path: Path) -> None:
    done = tmp_path / "done"
    # A run that is still open when the next tick comes is no matter here.
    site.client.schedules.create("paused", EVERY_SECOND, "task:note", payload={"to": str(done)}, overlap="allow")
    site.until(done.exists, "the first execution")
    site.client.schedules.pause("paused", "the shop is closed")
    # Runs that were accepted before go on.
    site.until(lambda: not site.unfinished("paused"), "the end of the runs that were accepted before the pause")
    at_pause = done.read_text()
    time.sleep(2)
    assert done.read_text() == at_pause
    with pytest.raises(ConflictError):
        site.client.schedules.pause("paused")
    site.client.schedules.resume("paused")
    site.until(lambda: done.read_text() != at_pause, "an execution after the pause")
    site.client.schedules.delete("paused")
    rows = site.client.schedules.ticks("paused", limit=1000)
    covered(rows, 1000)
    assert outcomes(rows) == {("fired", None), ("skipped", "paused")}


@pytest.mark.parametrize("misfire", ["once", pytest.param("skip", marks=pytest.mark.slow), "all"])
def test_what_passed_while_nothing_ran_is_treated_as_the_policy_says(site: Site, misfire: Misfire) -> None:
    """The dispatcher is held up for some seconds, as an outage would."""
    queue = site.outputs["QueuePrefix"] + "orders"
    name = f"missed-{misfire}"
    source = site.mapping("DispatchQueueUrl")
    site.functions.update_event_source_mapping(UUID=source, Enabled=False)
    try:
        site.client.schedules.create(
            name, EVERY_SECOND, "queue:orders", misfire=misfire, grace=1.5, max_executions=4, overlap="allow"
        )
        time.sleep(4)
    finally:
        site.functions.update_event_source_mapping(UUID=source, Enabled=True)
    site.until(lambda: site.client.schedules.get(name).state.next_tick is None, "the last execution")
    site.received(queue, 4)
    rows = site.client.schedules.ticks(name, limit=1000)
    covered(rows, 1000)
    assert sum(row.outcome == "fired" for row in rows) == 4
    # A tick that is late enough to be decided together with the fourth firing is on record too.
    skipped = {row.reason for row in rows if row.outcome == "skipped"} - {"max_executions"}
    assert skipped == ({"misfire"} if misfire != "all" else set())


def test_a_precise_schedule_keeps_its_second(site: Site, tmp_path: Path) -> None:
    done = tmp_path / "done"
    site.client.schedules.create(
        "precise", EVERY_SECOND, "task:note", payload={"to": str(done)}, precise=True, max_executions=3
    )
    site.until(lambda: site.client.schedules.get("precise").state.next_tick is None, "the last execution")
    for run in site.client.runs.list(schedule="precise"):
        record = site.ended(run.id)
        assert record.started is not None
        assert record.started >= record.due
