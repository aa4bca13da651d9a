"""An engine process: python -m tests.crash.serve DATABASE LOG"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from tests.crash.tasks import Log, make_app

from rota import wiring


def main(database: str, log: Log) -> None:
    serving = wiring.engine(f"sqlite:///{database}", make_app(log))
    log.write("ready")
    serving.start()
    signal.sigwait({signal.SIGTERM})
    serving.stop()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    main(sys.argv[1], Log(Path(sys.argv[2]), f"{os.getpid()}-{time.time_ns()}"))
