"""The AWS engine on this machine, from deploying to tearing down: no account needed, about two minutes in all.

Everything goes through the commands and the client that a user has; only the address of AWS is another.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import boto3
import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

import rota
from rota.aws.bill import Usage
from rota.testing.emulator import Emulator

HERE = Path(__file__).resolve().parent
FILES = ("shop.py", "payments_down.py", "payments_up.py")
ONE_OFFS = int(os.environ.get("ROTA_DEMO_ONE_OFFS", "200"))
SECONDS = float(os.environ.get("ROTA_DEMO_SECONDS", "60"))
PATIENCE = 60.0
console = Console()


def rota_command(*arguments: str, show: bool = True) -> str:
    """Run a command as a user would type it; answers what it printed."""
    if show:
        console.print(f"\n[bold cyan]$ rota {' '.join(arguments)}[/]")
    done = subprocess.run(
        [sys.executable, "-m", "rota", *arguments],
        check=False,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": str(console.width)},
    )
    if show:
        console.print(Text(done.stdout.rstrip()))
    if done.returncode:
        raise SystemExit(f"rota {' '.join(arguments)} exited with {done.returncode}")
    return done.stdout


class Arrivals:
    """Reads the queue that the one-offs go to, and notes how late each message is, in milliseconds."""

    def __init__(self, url: str) -> None:
        self.late: dict[str, float] = {}
        self.repeated = 0
        self._url = url
        self._sqs = boto3.client("sqs")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._over.is_set():
            answer = self._sqs.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageAttributeNames=["All"]
            )
            now = time.time()
            for message in answer.get("Messages", ()):
                at = message["MessageAttributes"]
                due = datetime.fromisoformat(at["rota-scheduled"]["StringValue"]).timestamp()
                run = at["rota-run-id"]["StringValue"]
                self.repeated += run in self.late
                self.late[run] = 1000 * (now - due)
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])


def picture(arrivals: Arrivals, client: rota.Client, left: float) -> Group:
    """What has arrived so far, and what the cron schedule did."""
    late = sorted(arrivals.late.values())
    table = Table("arrived", "of", "late: median", "99 of 100 within", "latest", title_justify="left")
    table.title = f"{ONE_OFFS} one-offs over {SECONDS:.0f} s, {max(0.0, left):.0f} s to go"
    if late:
        most = late[min(len(late) - 1, int(len(late) * 0.99))]
        shown = (f"{statistics.median(late):.0f} ms", f"{most:.0f} ms", f"{late[-1]:.0f} ms")
    else:
        shown = ("", "", "")
    table.add_row(str(len(late)), str(ONE_OFFS), *shown)
    runs = Table("run", "state", "late by", "result", title="the cron schedule", title_justify="left")
    for record in client.runs.list(schedule="stock", limit=6):
        lateness = "" if record.lateness is None else f"{record.lateness} ms"
        runs.add_row(record.id, record.state, lateness, (record.value or b"").decode())
    return Group(table, runs)


def watch(arrivals: Arrivals, client: rota.Client, last: float) -> None:
    """Until all have arrived: live on a terminal, one picture at the end elsewhere."""

    def over() -> bool:
        return len(arrivals.late) >= ONE_OFFS or time.time() > last + PATIENCE

    if console.is_terminal:
        with Live(picture(arrivals, client, last - time.time()), console=console, auto_refresh=False) as live:
            while not over():
                time.sleep(1)
                live.update(picture(arrivals, client, last - time.time()), refresh=True)
    else:
        while not over():
            time.sleep(0.5)
        console.print(picture(arrivals, client, 0))
    if len(arrivals.late) < ONE_OFFS:
        raise SystemExit(f"only {len(arrivals.late)} of {ONE_OFFS} one-offs arrived")


def one_offs(client: rota.Client, emulator: Emulator) -> Usage:
    """200 over the next minute; answers what AWS would have billed meanwhile."""
    url = boto3.client("sqs").get_queue_url(QueueName="shop-arrivals")["QueueUrl"]
    emulator.reset_counts()
    first = time.time() + 5
    rows = [(first + SECONDS * number / ONE_OFFS, {"order": number}) for number in range(ONE_OFFS)]
    began = time.monotonic()
    client.at_many(rows, "queue:arrivals")
    console.print(f"\n{ONE_OFFS} one-offs stored in {1000 * (time.monotonic() - began):.0f} ms")
    arrivals = Arrivals(url)
    watch(arrivals, client, rows[-1][0])
    arrivals.stop()
    console.print(f"{arrivals.repeated} came twice")
    return Usage(**emulator.billed())


def cron_story() -> None:
    rota_command("schedule", "ticks", "stock", "--limit", "3")
    [tick] = msgspec.json.decode(rota_command("schedule", "ticks", "stock", "--limit", "1", "--json", show=False))
    rota_command("schedule", "why", "stock", tick["scheduled"])
    rota_command("schedule", "why", "newsletter", "2030-01-05T09:00:00+01:00")


def dead_letter_story(client: rota.Client) -> None:
    """A Lambda function made on the fly fails, is mended, and its dead letter runs again."""
    rota_command("function", "create", "payments", "--file", "payments_down.py")
    retry = rota.Retry(attempts=2, initial=1)
    charge = client.at(time.time() + 2, "lambda:payments", {"order": 17}, retry=retry)
    wait_for(client, charge, "failed")
    rota_command("dead", "list")
    console.print("\nthe payment service is mended")
    rota_command("function", "update", "payments", "--file", "payments_up.py")
    rota_command("dead", "redrive", charge)
    wait_for(client, charge, "succeeded")
    rota_command("run", "show", charge)


def wait_for(client: rota.Client, run: str, state: str) -> None:
    """Until a run has come to this."""
    until = time.monotonic() + PATIENCE
    while client.runs.get(run).state != state:
        if time.monotonic() > until:
            raise SystemExit(f"{run} is {client.runs.get(run).state}, not {state}")
        time.sleep(0.5)


def show_cost(usage: Usage) -> None:
    """What AWS would have asked for, by its list prices."""
    table = Table("service", "what", "used", "dollars", title_justify="left")
    table.title = f"what that minute would have cost on AWS: {ONE_OFFS} one-offs and the cron schedule"
    for line in usage.lines():
        table.add_row(line.service, line.unit, f"{line.used:,.2f}", f"{line.dollars:.7f}")
    table.add_row("all", "", "", f"{usage.dollars:.7f}")
    console.print()
    console.print(table)
    rota_command("cost")


def story(emulator: Emulator) -> None:
    console.print(f"[bold]rota demo on AWS[/]: AWS on this machine is {emulator.url}")
    function = "arn:aws:lambda:us-east-1:000000000000:function:payments"
    rota_command("deploy", "shop.py", "--stack", "shop", "--installed", "--set", f"ExtraFunctionArns={function}")
    with rota.connect("aws://shop") as client:
        rota_command("schedule", "list")
        usage = one_offs(client, emulator)
        cron_story()
        dead_letter_story(client)
    show_cost(usage)
    rota_command("function", "delete", "payments", "--yes")
    rota_command("destroy", "--stack", "shop", "--yes")
    console.print(f"\nended at {datetime.now(UTC):%H:%M:%S} UTC, nothing is left")


def main() -> None:
    with Emulator() as emulator, tempfile.TemporaryDirectory(prefix="rota-demo-aws-") as place:
        for name in FILES:
            shutil.copy(HERE / name, place)
        os.chdir(place)
        os.environ.update(emulator.environment() | {"ROTA_URL": "aws://shop"})
        try:
            story(emulator)
        finally:
            os.chdir(HERE)


if __name__ == "__main__":
    main()
