"""A small shop on AWS, and what it does at certain times. `rota serve shop.py` runs the same on one machine."""

from __future__ import annotations

import rota

app = rota.App("shop")


@app.task
def count_stock() -> dict[str, int]:
    return {"hammers": 12, "nails": 4000}


app.schedule("stock", rota.Cron("0/10 * * * * ?", timezone="Europe/Berlin"), count_stock)
app.schedule(
    "newsletter", rota.Cron("0 0 9 ? * MON-FRI", timezone="Europe/Berlin"), "queue:arrivals", payload={"send": "news"}
)
