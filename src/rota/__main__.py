"""The command `rota`, which is also `python -m rota`.

Loading the command takes a quarter of a second, in which a signal would end a server that has just been started, or
is replacing itself: it holds them back before that.
"""

import importlib
import sys

from rota.cli.signals import hold


def main() -> None:
    """The entry point of the command."""
    if sys.argv[1:2] == ["serve"]:
        hold()
    importlib.import_module("rota.cli.main").main()


if __name__ == "__main__":
    main()
