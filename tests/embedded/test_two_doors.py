"""Two doors to one file in one process: closing one must not take the other's locks."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

from rota import wiring

SEND = "import sys; from rota import wiring; wiring.connect(sys.argv[1]).queues.send('q', 1)"


def test_what_another_process_writes_is_seen_after_a_second_door_was_closed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'rota.db'}"
    with wiring.connect(url) as client:
        assert client.queues.sizes() == {}
        with closing(wiring.database(url)):
            pass
        for sent in (1, 2):
            subprocess.run([sys.executable, "-c", SEND, url], check=True)
            assert client.queues.sizes() == {"q": sent}
