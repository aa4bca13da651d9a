"""What somebody without rights is told: python -m tests.crash.unprivileged DATABASE

Root may write everything, so root becomes nobody first, once all is imported that nobody might not be able to read.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from rota import wiring
from rota.app import App
from rota.core.errors import StoreError
from rota.core.triggers import Every

NOBODY = 65534


def told(doing: str, what: Callable[[], object]) -> None:
    try:
        what()
    except StoreError as error:
        print(f"{doing} {type(error).__name__}: {error}")
    else:
        print(f"{doing} went well")


def main(url: str, spare: Path) -> None:
    serving = wiring.engine(f"sqlite:///{spare}", App("shop"))
    serving.start()
    serving.stop()
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    told("serve", lambda: wiring.engine(url, App("shop")).start())
    told("create", lambda: wiring.connect(url).schedules.create("a", Every(60), "queue:q"))


if __name__ == "__main__":
    main(f"sqlite:///{sys.argv[1]}", Path(sys.argv[2]))
