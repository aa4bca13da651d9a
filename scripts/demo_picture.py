"""Make docs/images/demo.svg anew, from the view of the demo while its shop is open.

.venv/bin/python scripts/demo_picture.py
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

import msgspec
from rich.console import Console
from rich.terminal_theme import MONOKAI

import rota
from rota.system import SystemClock

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "examples/demo"
PICTURE = ROOT / "docs/images/demo.svg"
WIDTH = 112
SECONDS = 5.6
# Rich's own format loads a font from elsewhere; a picture in a page may load nothing.
FORMAT = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
    font-size: {char_height}px;
    line-height: {line_height}px;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main() -> None:
    demo = loaded(DEMO / "run.py")
    console = Console(record=True, width=WIDTH, force_terminal=True)
    vars(demo)["console"] = console
    place = Path(tempfile.mkdtemp(prefix="rota-picture-"))
    shutil.copy(DEMO / "shop.py", place)
    os.chdir(place)
    with Path("server.log").open("w") as log:
        server = subprocess.Popen([sys.executable, "-m", "rota", "serve", "shop.py"], stderr=log)
    try:
        with rota.connect() as client:
            while len(client.schedules.list()) < 4:
                time.sleep(0.05)
            client.at(SystemClock().now() / 1000 + 1, "task:charge", {"id": 17, "cents": 4200})
            time.sleep(SECONDS)
            console.print(demo.picture(client, SECONDS))
        demo.rota_command("schedule", "ticks", "report", "--limit", "5")
        ticks = msgspec.json.decode(demo.rota_command("schedule", "ticks", "report", "--json", show=False))
        skipped = next(tick for tick in ticks if tick["outcome"] == "skipped")
        demo.rota_command("schedule", "why", "report", skipped["scheduled"])
    finally:
        server.terminate()
        server.wait(30)
    console.save_svg(str(PICTURE), title="make demo", theme=MONOKAI, code_format=FORMAT, unique_id="rota")


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
