"""`import rota` is cheap: what it may load is listed here, so that a heavy import is a decision and not an accident."""

import json
import subprocess
import sys

# Beyond the standard library. msgspec holds the values (and loads typing_extensions where it is installed); the rest
# waits
# until a face or an engine needs it. zoneinfo asks sysconfig where the zones are.
SYSCONFIG = {"_sysconfigdata__linux_x86_64-linux-gnu", "_sysconfigdata__linux_aarch64-linux-gnu"}
THIRD_PARTY = {"msgspec", "rota", "typing_extensions", "tzdata"} | SYSCONFIG
# Parts of the standard library that cost milliseconds, or mean that I/O is about to happen.
HEAVY = {
    "asyncio",
    "concurrent.futures",
    "ctypes",
    "email",
    "http",
    "multiprocessing",
    "socket",
    "sqlite3",
    "ssl",
    "subprocess",
    "unittest",
    "urllib.request",
    "xml",
}
ENGINES_AND_FACES = {
    "rota.embedded",
    "rota.aws",
    "rota.connectors",
    "rota.targets",
    "rota.testing",
    "rota.cli",
    "rota.web",
}


def modules_loaded_by(statement: str) -> set[str]:
    script = (
        "import json, sys; before = set(sys.modules)\n"
        f"{statement}\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def parents(module: str) -> set[str]:
    parts = module.split(".")
    return {".".join(parts[: end + 1]) for end in range(len(parts))}


def test_import_rota_loads_what_is_listed() -> None:
    loaded = modules_loaded_by("import rota")
    packages = {module.partition(".")[0] for module in loaded}
    assert "rota" in packages
    assert packages - sys.stdlib_module_names - THIRD_PARTY == set()
    assert {module for module in loaded if parents(module) & (HEAVY | ENGINES_AND_FACES)} == set()
