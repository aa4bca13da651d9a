"""Numbers, texts, switches and lists that users give, checked at the door."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rota.core.errors import InvalidError


def check_number(
    field: str, value: object, least: float, most: float, *, whole: bool = False, above: bool = False
) -> None:
    """InvalidError unless `value` is a number from `least` to `most`, both included. whole: an int. above: more than
    `least`."""
    kinds = (int,) if whole else (int, float)
    fits = isinstance(value, kinds) and not isinstance(value, bool) and least <= value <= most
    if not fits or (above and value == least):
        low = f"more than {_plain(least)} and at most" if above else f"from {_plain(least)} to"
        raise InvalidError(field, value, f"a {'whole ' if whole else ''}number {low} {_plain(most)}")


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:g}"


def check_text(field: str, value: object, most: int = 1000) -> str:
    """`value` if it is text of at most `most` characters that can be stored, else InvalidError."""
    if isinstance(value, str) and len(value) <= most:
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidError(field, value, "text without lone surrogates") from None
        return value
    raise InvalidError(field, value, f"text of at most {most} characters")


def check_flag(field: str, value: object) -> bool:
    """`value` if it is True or False, else InvalidError: most other things would pass for True."""
    if not isinstance(value, bool):
        raise InvalidError(field, value, "True or False")
    return value


def check_list(field: str, value: object, what: str) -> list[object] | tuple[object, ...]:
    """The entries of a list or another iterable, else InvalidError. Text and mappings are none, though they can be
    walked over: that would take every character, or the keys alone. what: the plural that is allowed."""
    if isinstance(value, list | tuple):
        return value
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | bytearray | memoryview | Mapping):
        raise InvalidError(field, value, f"a list of {what}")
    return list(value)
