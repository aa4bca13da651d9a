"""The example on AWS on this machine, from the first command to the last: no account needed, half a minute in all.

python run.py
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rota.testing.emulator import Emulator

HERE = Path(__file__).resolve().parent
FIRINGS = 5
PATIENCE = 60.0


def rota(*words: str, show: bool = True) -> str:
    """Run a command as a user would type it; answers what it printed."""
    if show:
        print(f"\n$ rota {' '.join(words)}", flush=True)
    command = [sys.executable, "-m", "rota", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if show:
        print(done.stdout.rstrip(), flush=True)
    if done.returncode:
        raise SystemExit(f"rota {' '.join(words)} exited with {done.returncode}")
    return done.stdout


def fired() -> int:
    """Runs that succeeded; the server makes the database."""
    if not Path("rota.db").exists():
        return 0
    return len(json.loads(rota("run", "list", "--state", "succeeded", "--json", show=False)))


def wait_for_firings(server: subprocess.Popen[bytes]) -> None:
    """Until the schedule has fired as often as it may."""
    until = time.monotonic() + PATIENCE
    while fired() < FIRINGS:
        if server.poll() is not None or time.monotonic() > until:
            raise SystemExit(f"the schedule did not fire: {Path('server.log').read_text()}")
        time.sleep(0.5)


def story() -> None:
    rota("function", "create", "shop-report", "--file", "report.py")
    rota("function", "invoke", "shop-report", "--payload", '{"shop": "Bremen", "until": "now", "run": "by hand"}')
    print("\n$ rota serve shop.py &", flush=True)
    with Path("server.log").open("wb") as log:
        server = subprocess.Popen([sys.executable, "-m", "rota", "serve", "shop.py"], stderr=log)
    try:
        wait_for_firings(server)
    finally:
        server.terminate()
        server.wait(PATIENCE)
    rota("run", "list")
    [first, *_] = json.loads(rota("run", "list", "--json", show=False))
    rota("run", "show", first["id"])
    rota("schedule", "show", "report")
    rota("function", "delete", "shop-report", "--yes")


def main() -> None:
    with Emulator() as emulator, tempfile.TemporaryDirectory(prefix="lambda-cron-") as place:
        for name in ("report.py", "shop.py"):
            shutil.copy(HERE / name, place)
        os.chdir(place)
        os.environ.update(emulator.environment())
        print(f"AWS on this machine: {emulator.url}")
        story()
        os.chdir(HERE)


if __name__ == "__main__":
    main()
