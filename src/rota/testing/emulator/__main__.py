"""python -m rota.testing.emulator [PORT]: the emulator in the foreground, until Ctrl-C."""

import contextlib
import signal
import sys

from rota.testing.emulator.process import Emulator


def main() -> None:
    """Start it, print what makes AWS's tools use it, and wait."""
    with contextlib.suppress(KeyboardInterrupt), Emulator(int(sys.argv[1]) if sys.argv[1:] else 0) as emulator:
        sys.stdout.writelines(f"export {name}={value}\n" for name, value in emulator.environment().items())
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    main()
