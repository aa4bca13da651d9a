"""Runs the shop for some seconds under a live view, then asks rota what happened. Under a minute in all.

Everything below goes through the same commands and the same client that a user has; the server is a process of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

import rota

HERE = Path(__file__).resolve().parent
SECONDS = 14.0
console = Console()


def rota_command(*arguments: str, show: bool = True) -> str:
    """Run a command as a user would type it; answers what it printed."""
    if show:
        console.print(f"\n[bold cyan]$ rota {' '.join(arguments)}[/]")
    width = {"COLUMNS": str(console.width)}
    done = subprocess.run(
        [sys.executable, "-m", "rota", *arguments],
        check=False,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **width},
    )
    if show:
        console.print(Text(done.stdout.rstrip()))
    if done.returncode:
        raise SystemExit(f"rota {' '.join(arguments)} exited with {done.returncode}")
    return done.stdout


def picture(client: rota.Client, left: float) -> Group:
    """The schedules and the latest runs, as they are now."""
    schedules = Table(
        "schedule", "trigger", "next", "fired", title=f"the shop is open for {left:.0f} s more", title_justify="left"
    )
    for row in client.schedules.list():
        due = "-" if row.next is None else f"{row.next.astimezone():%H:%M:%S}"
        schedules.add_row(row.id, row.schedule.trigger.explain(), due, str(row.state.fired))
    runs = Table("run", "state", "attempt", "late by", "what came of it", title="latest runs", title_justify="left")
    for record in client.runs.list(limit=10):
        came = str(record.failure or "") or (record.value or b"").decode()
        late = "" if record.lateness is None else f"{record.lateness} ms"
        colour = {"succeeded": "green", "failed": "red", "running": "yellow"}.get(record.state, "")
        runs.add_row(
            record.id, f"[{colour}]{record.state}[/]" if colour else record.state, str(record.attempt), late, Text(came)
        )
    return Group(schedules, runs)


def watch(client: rota.Client, seconds: float) -> None:
    """A live view on a terminal; elsewhere a picture at the end."""
    end = time.monotonic() + seconds
    if console.is_terminal:
        with Live(picture(client, seconds), console=console, refresh_per_second=5) as live:
            while (left := end - time.monotonic()) > 0:
                live.update(picture(client, left))
                time.sleep(0.2)
    else:
        time.sleep(seconds)
        console.print(picture(client, 0))


def main() -> None:
    place = Path(tempfile.mkdtemp(prefix="rota-demo-"))
    shutil.copy(HERE / "shop.py", place)
    shutil.copy(HERE.parent / "data" / "flights-2013-01-broken.csv", place)
    os.chdir(place)
    console.print(f"[bold]rota demo[/], in {place}\n")
    console.print("[bold cyan]$ rota serve shop.py --db rota.db &[/]")
    command = [sys.executable, "-m", "rota", "serve", "shop.py", "--db", "rota.db"]
    with Path("server.log").open("w") as log:
        server = subprocess.Popen(command, stderr=log)
    try:
        story(server)
    finally:
        server.terminate()
        server.wait(30)
    console.print(
        f"\nThe server's log is {place / 'server.log'}, the database {place / 'rota.db'}: `rota db check` says", end=" "
    )
    console.print(rota_command("db", "check", show=False).strip())


def story(server: subprocess.Popen[bytes]) -> None:
    client = rota.connect("sqlite:///rota.db")
    deadline = time.monotonic() + 15
    while len(client.schedules.list()) < 4:
        if server.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the server did not come up: {Path('server.log').read_text()}")
        time.sleep(0.05)
    now = time.time()
    greeting = client.at(now + 3, "task:greet", "Ada")
    charge = client.at(now + 4, "task:charge", {"id": 17, "cents": 4200})
    console.print(f"one-offs: {greeting}\n          {charge} (the payment service is down)\n")
    watch(client, SECONDS)

    rota_command("schedule", "list")
    rota_command("schedule", "ticks", "report", "--limit", "6")
    ticks = msgspec.json.decode(rota_command("schedule", "ticks", "report", "--limit", "20", "--json", show=False))
    for outcome in ("skipped", "fired"):
        found = next(tick for tick in ticks if tick["outcome"] == outcome)
        rota_command("schedule", "why", "report", found["scheduled"])
    rota_command("schedule", "why", "stock", "2030-01-01T00:00:01+01:00")
    rota_command("dead", "list")
    console.print("\nthe payment service is up again")
    Path("payments-are-up").touch()
    rota_command("dead", "redrive", charge)
    deadline = time.monotonic() + 10
    while client.runs.get(charge).state != "succeeded":
        if time.monotonic() > deadline:
            raise SystemExit("the redriven run did not succeed")
        time.sleep(0.05)
    rota_command("run", "show", charge)
    batch_story()


def batch_story() -> None:
    """27,004 flights, some with broken records; then the dead letters again, after the fix."""
    rota_command("batch", "start", "flights", "--app", "shop.py")
    [found] = msgspec.json.decode(rota_command("batch", "list", "--json", show=False))
    rota_command("batch", "show", found["id"])
    rota_command("batch", "verify", found["id"])
    look_at(Path("results") / found["id"])
    console.print("\nthe task can handle such records now")
    Path("speed-is-fixed").touch()
    rota_command("batch", "redrive", found["id"], "--app", "shop.py")
    rota_command("batch", "show", found["id"])
    rota_command("batch", "verify", found["id"])
    rota_command("queue", "receive", "batch-events")


def look_at(results: Path) -> None:
    """The first results, and the receipt."""
    part = min(results.glob("part-*"))
    console.print(f"\n[bold cyan]$ head -n 2 {part}[/]")
    with part.open() as lines:
        console.print(Text("".join(islice(lines, 2)).rstrip()))
    console.print(f"\n[bold cyan]$ cat {results / 'receipt.json'}[/]")
    console.print(Text((results / "receipt.json").read_text().rstrip()))


if __name__ == "__main__":
    main()
