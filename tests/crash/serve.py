"""An engine process: python -m tests.crash.serve DATABASE LOG"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from tests.crash.tasks import Log, make_app

from rota.embedded.engine import Engine
from rota.embedded.settings import Settings
from rota.embedded.sqlite.file import SqliteFile
from rota.embedded.system import ServerLock, SystemClock


def main(database: Path, log: Log) -> None:
    lock = ServerLock(database)
    file = SqliteFile(database)

    def release() -> None:
        file.close()
        lock.release()

    engine = Engine(
        schedules=file.schedules,
        runs=file.runs,
        clock=SystemClock(),
        tasks=make_app(log).tasks,
        calls={},
        settings=Settings(),
        changed=file.database.version,
        release=release,
    )
    log.write("ready")
    engine.start()
    signal.sigwait({signal.SIGTERM})
    engine.stop()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    main(Path(sys.argv[1]), Log(Path(sys.argv[2]), f"{os.getpid()}-{time.time_ns()}"))
