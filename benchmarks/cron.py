"""`next` calls a second of rota, croniter and cronsim, on the same expressions, zone and starts.

    python benchmarks/cron.py [--json]

Each figure is the best of five rounds taken in turn, over 200 starts spread over three years. "stream" takes 1,000
times one after the other from one start, as croniter and cronsim are made for; "ask" builds nothing but asks for the
next time after an unrelated instant, as a scheduler does after a restart. The peers keep their position in an
iterator, so asking means a new one: that is their cost, and it is timed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import perf_counter
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim

from rota.core.triggers import Cron

ZONE = "Europe/Berlin"
EXPRESSIONS = [
    "* * * * *",
    "*/5 * * * *",
    "30 2 * * *",
    "0 9-17 * * 1-5",
    "15 10 1 * *",
    "0 0 1 1 *",
    "0 12 29 2 *",
    "5,35 */3 * 6 *",
]
ROUNDS, ASKED, STREAMED = 5, 200, 1000


def ask(expression: str, starts: list[datetime]) -> dict[str, Callable[[], object]]:
    cron = Cron(expression, dialect="unix", timezone=ZONE)
    in_ms = [int(start.timestamp() * 1000) for start in starts]
    return {
        "rota": lambda: [cron.next(start) for start in starts],
        "rota next_tick": lambda: [cron.next_tick(start) for start in in_ms],
        "croniter": lambda: [croniter(expression, start).get_next(datetime) for start in starts],
        "cronsim": lambda: [next(CronSim(expression, start)) for start in starts],
    }


def stream(expression: str, start: datetime) -> dict[str, Callable[[], object]]:
    cron = Cron(expression, dialect="unix", timezone=ZONE)

    def with_croniter() -> None:
        iterator = croniter(expression, start)
        for _ in range(STREAMED):
            iterator.get_next(datetime)

    def with_cronsim() -> None:
        iterator = CronSim(expression, start)
        for _ in range(STREAMED):
            next(iterator)

    def with_next_tick() -> None:
        at = int(start.timestamp() * 1000)
        for _ in range(STREAMED):
            tick = cron.next_tick(at)
            if tick is None:
                return
            at = tick.at

    return {
        "rota": lambda: cron.upcoming(start, STREAMED),
        "rota next_tick": with_next_tick,
        "croniter": with_croniter,
        "cronsim": with_cronsim,
    }


def rates(ways: dict[str, Callable[[], object]], calls: int) -> dict[str, float]:
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, way in ways.items():
            begin = perf_counter()
            way()
            best[name] = min(best[name], perf_counter() - begin)
    return {name: calls / seconds for name, seconds in best.items()}


def main() -> None:
    info = ZoneInfo(ZONE)
    begin = datetime(2025, 1, 1, tzinfo=UTC)
    starts = [(begin + timedelta(seconds=n * 473_113)).astimezone(info) for n in range(ASKED)]
    results = []
    for expression in EXPRESSIONS:
        for kind in ("ask", "stream"):
            if kind == "stream" and expression in {"0 0 1 1 *", "0 12 29 2 *"}:
                continue  # a thousand years: beyond the calendar of all three
            ways = ask(expression, starts) if kind == "ask" else stream(expression, starts[0])
            rate = rates(ways, ASKED if kind == "ask" else STREAMED)
            peer = max(rate["croniter"], rate["cronsim"])
            results.append({"expression": expression, "kind": kind, **rate, "ratio": rate["rota"] / peer})
    if "--json" in sys.argv:
        print(json.dumps(results))
        return
    columns = ["rota/s", "next_tick/s", "croniter/s", "cronsim/s"]
    print(f"{'expression':<16}{'kind':<8}{''.join(f'{column:>12}' for column in columns)}{'rota / best peer':>18}")
    for row in results:
        print(
            f"{row['expression']:<16}{row['kind']:<8}{row['rota']:>12,.0f}{row['rota next_tick']:>12,.0f}"
            f"{row['croniter']:>12,.0f}{row['cronsim']:>12,.0f}{row['ratio']:>17.1f}x"
        )
    print(f"rota is at least {min(row['ratio'] for row in results):.1f} times the faster peer")


if __name__ == "__main__":
    main()
