"""AWS on this machine, for tests and for trying the AWS engine: MiniStack with the gaps mended that rota needs, request
counts and injected faults. Needs the extra rota[emulator]; importing this package does not."""

from rota.testing.emulator.count import Count
from rota.testing.emulator.fault import Fault
from rota.testing.emulator.process import Emulator

__all__ = ["Count", "Emulator", "Fault"]
