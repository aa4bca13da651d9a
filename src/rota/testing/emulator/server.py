"""The emulator's own process: MiniStack, mended, behind the gateway, on a socket that it is given.

It ends when its standard input does: whoever started it holds the other end, and so an emulator does not outlive its
starter, however that one dies.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import sys
import threading

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack import app as ministack

from rota.testing.emulator.count import Counts
from rota.testing.emulator.fault import Faults
from rota.testing.emulator.gateway import Gateway
from rota.testing.emulator.guard import PatchError
from rota.testing.emulator.metering import Meter
from rota.testing.emulator.patches import mend

_KEEP_ALIVE = 75
_BACKLOG = 1024


def main() -> None:
    """Serve on the socket whose number is the only argument, with files in the folder TMPDIR, until stdin ends."""
    counts, faults = Counts(), Faults()
    try:
        mend(counts, faults)
    except PatchError as error:
        sys.exit(str(error))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    config = Config()
    config.bind = [f"fd://{sys.argv[1]}"]
    config.backlog = _BACKLOG
    config.keep_alive_timeout = _KEEP_ALIVE
    asyncio.run(serve(Gateway(Meter(ministack.app, counts), counts, faults), config))  # type: ignore[arg-type]


def _end_with_stdin() -> None:
    """Ends this process and the functions that it runs, once nobody holds the other end of stdin."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
    os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    main()
