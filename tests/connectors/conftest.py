"""AWS on this machine for the connectors: one emulator a session, empty before each test that asks for `aws`."""

from rota.testing.emulator.fixtures import aws, emulator

__all__ = ["aws", "emulator"]
