"""Numbers that users give, checked at the door."""

from __future__ import annotations

from rota.core.errors import InvalidError


def check_number(
    field: str, value: object, least: float, most: float, *, whole: bool = False, above: bool = False
) -> None:
    """InvalidError unless `value` is a number from `least` to `most`, both included. whole: an int. above: more than
    `least`."""
    kinds = (int,) if whole else (int, float)
    fits = isinstance(value, kinds) and not isinstance(value, bool) and least <= value <= most
    if not fits or (above and value == least):
        low = f"more than {least:g} and at most" if above else f"from {least:g} to"
        raise InvalidError(field, value, f"a {'whole ' if whole else ''}number {low} {most:g}")
