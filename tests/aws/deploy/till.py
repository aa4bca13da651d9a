"""An app for a stack that really runs: a task that works, one that never does, a queue of its own."""

from __future__ import annotations

import rota

app = rota.App("till")


@app.task
def charge(order: int) -> dict[str, int]:
    return {"charged": order}


@app.task
def refuse(order: int) -> None:
    raise ValueError(f"order {order} is refused")


app.schedule("closing", rota.Cron("0 0 0 1 1 ?"), "queue:closed")
