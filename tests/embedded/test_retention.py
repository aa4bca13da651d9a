"""The engine forgets what is older than its retention, and nothing else."""

from __future__ import annotations

from pathlib import Path

from tests.embedded.running import now, one_off, running, wait_for

from rota.app import App
from rota.core.triggers import Every
from rota.service.reap import STEP

HOUR = 3_600_000


def test_old_runs_and_ticks_go_while_it_runs(tmp_path: Path) -> None:
    app = App("shop")

    @app.task
    def note() -> None: ...

    @app.task
    def fail() -> None:
        raise ValueError

    start = now()
    old = [one_off("note", at=start - 2 * HOUR + n) for n in range(STEP + 100)]
    dead, young = one_off("fail", at=start - 2 * HOUR), one_off("note", at=start)
    with running(tmp_path / "rota.db", app) as before:
        before.accept(*old, dead, young)
        before.create("s", Every("30m"), "note", at=start - 3 * HOUR, misfire="all", grace=86_400, overlap="allow")
        for run in (*old, dead, young):
            before.ended(run)
        wait_for(lambda: len(before.ticks("s")) >= 6, "all ticks are decided")
        assert before.file.runs.get(old[0].key) is not None
    with running(tmp_path / "rota.db", app, retention=3600, reap_every=0.05) as it:
        wait_for(lambda: all(it.file.runs.get(run.key) is None for run in old), "old runs are forgotten")
        wait_for(lambda: it.ticks("s")[0].scheduled >= start - HOUR, "old ticks are forgotten")
        assert it.state(young) == "succeeded"
        assert it.state(dead) == "failed"
        assert it.file.runs.dead_letter(dead.key) is not None
        assert it.ticks("s")
