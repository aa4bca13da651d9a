"""A small shop: what it does at certain times and over many items, and what happens when that goes wrong."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import rota

app = rota.App("shop")
PAYMENTS_UP = Path("payments-are-up")
FIX_IS_IN = Path("speed-is-fixed")


@app.task
def count_stock() -> dict[str, int]:
    return {"hammers": 12, "nails": 4000}


@app.task
async def fetch_rates() -> str:
    await asyncio.sleep(0.05)
    return "1 EUR = 1.09 USD"


@app.task
def write_report() -> None:
    """Takes longer than the time between two reports."""
    time.sleep(2.5)


@app.task
def greet(customer: str) -> str:
    rota.current_run().logger.info("sending a greeting to %s", customer)
    return f"Welcome, {customer}!"


@app.task(retry=rota.Retry(attempts=3, initial=0.4, factor=2, jitter="none"))
def charge(order: dict[str, int]) -> str:
    if not PAYMENTS_UP.exists():
        raise ConnectionError("the payment service does not answer")
    return f"charged {order['cents'] / 100:.2f} EUR for order {order['id']}"


@app.task
def speed(flight: dict[str, str]) -> dict[str, object]:
    """Miles an hour of a flight in the air; a flight whose numbers make no sense fails until the fix is in."""
    name = f"{flight['carrier']}{flight['flight']}"
    try:
        minutes, miles = int(flight["air_time"].replace("NA", "0")), int(flight["distance"])
        if minutes < 0:
            raise ValueError("air_time is negative")
    except ValueError:
        if not FIX_IS_IN.exists():
            raise
        minutes = miles = 0
    return {"flight": name, "mph": round(60 * miles / minutes) if minutes else None}


app.batch(
    "flights",
    source="flights-2013-01-broken.csv",
    task=speed,
    sink="results/{run}/",
    tolerated_failures="5%",
    notify=["queue:batch-events"],
)
app.schedule("stock", rota.Cron("0/2 * * * * ?", timezone="Europe/Berlin"), count_stock)
app.schedule("rates", rota.Every(1), fetch_rates)
app.schedule("report", rota.Every(1), write_report, overlap="skip")
app.schedule("tour", rota.Every(3), greet, payload="the first three visitors", max_executions=3)
