"""The app that benchmarks of the AWS engine deploy."""

from __future__ import annotations

import rota

app = rota.App("bench")


@app.task
def nothing() -> None:
    pass


app.schedule("never", rota.Cron("0 0 0 1 1 ? 2099"), "queue:bench")
