"""From an app to the files of its stack: template, bundles, readme. The same app, rota and wheels give the same bytes.

The engine's functions get a bundle of rota alone; the worker's has the user's code too. So what users import neither
slows the functions down that fire, nor runs with their permissions.
"""

from __future__ import annotations

import platform as machine
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from rota.app import App
from rota.aws.bundle import Bundle, make_bundle
from rota.aws.platform import Platform, own_python
from rota.aws.source import Source, read_module
from rota.aws.stack.plan import StackPlan, plan_stack
from rota.aws.stack.template import build_template, encode_template
from rota.core.errors import InvalidError

ENGINE, WORKER = "engine.zip", "worker.zip"
TEMPLATE, README = "template.json", "README.md"
_NOTHING = Source({}, "", None, frozenset())


class Synthesis(msgspec.Struct, frozen=True):
    """What a stack is made of. template: as data; its CodeUri are names of `bundles`."""

    plan: StackPlan
    template: dict[str, Any]
    bundles: dict[str, Bundle]

    @property
    def files(self) -> dict[str, bytes]:
        """What `rota synth` writes, by name."""
        return {
            TEMPLATE: encode_template(self.template),
            README: _readme(self.plan).encode(),
            **{name: bundle.data for name, bundle in self.bundles.items()},
        }

    def write(self, folder: Path) -> dict[str, int]:
        """Write the files, and answer their sizes in bytes. Other files of the folder are left alone. InvalidError if
        it is no folder."""
        if folder.exists() and not folder.is_dir():
            raise InvalidError("output", str(folder), "a directory, which is made if it is missing")
        folder.mkdir(parents=True, exist_ok=True)
        files = self.files
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return {name: len(content) for name, content in files.items()}


def synthesize(
    app: App,
    name: str,
    platform: Platform | None,
    *,
    requirements: Path | None = None,
    fresh: bool = False,
) -> Synthesis:
    """The stack of `app`, which was loaded from `name` ("shop.py", "package.module", either with ":ATTRIBUTE").

    platform: None means an emulator on this machine, for which installed distributions are bundled. requirements: what
    the worker needs, else `requirements.txt` beside the module. fresh: choose versions of dependencies anew. Raises
    InvalidError and NotFoundError for what cannot be bundled, or be named on AWS."""
    place, module = _place_of(name)
    plan = plan_stack(app, module, version("rota"), platform or _own_platform(), engine_code=ENGINE, worker_code=WORKER)
    source = read_module(place)
    bundles = {
        ENGINE: make_bundle(_NOTHING, platform, rota=True, fresh=fresh, upload=False),
        WORKER: make_bundle(source, platform, requirements=requirements, rota=True, fresh=fresh, upload=False),
    }
    return Synthesis(plan, build_template(plan), bundles)


def _place_of(name: str) -> tuple[Path, str]:
    """The file or package directory of the user's app, and what the worker is to load: the bundle's root is where that
    file or package lies."""
    place, _, attribute = name.partition(":")
    suffix = f":{attribute}" if attribute else ""
    if place.endswith(".py"):
        return Path(place), Path(place).stem + suffix
    top = sys.modules[place.partition(".")[0]]
    file = getattr(top, "__file__", None)
    if file is None:
        raise InvalidError("module", name, "in a package with an __init__.py")
    path = Path(file)
    return (path.parent if path.name == "__init__.py" else path), place + suffix


def _own_platform() -> Platform:
    """This machine as Lambda would call it."""
    return Platform("arm64" if machine.machine() in ("aarch64", "arm64") else "x86_64", own_python())


def _readme(plan: StackPlan) -> str:
    return f"""# {plan.app}

The stack of the app `{plan.app}`, written by rota {plan.version}: its schedules, one-offs and batches on Lambda, SQS
and DynamoDB.

    sam deploy --guided --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND

or, from the app itself, `rota deploy`. The parameters say what they are for; the outputs are what
`rota.connect("aws://STACK")` looks up by the stack's name.
"""
