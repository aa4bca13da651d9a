"""What commands print: JSON, or text and tables that fit the terminal. Results go to stdout, all else to stderr."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

import msgspec
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from rota.core.errors import InvalidError, RotaError

_PIPED_WIDTH = 200
_GAP = 2
_NARROWEST = 10
_STYLES = {
    "succeeded": "green",
    "fired": "green",
    "active": "green",
    "failed": "red",
    "interrupted": "red",
    "paused": "yellow",
    "skipped": "yellow",
    "running": "cyan",
}


class _StderrHandler(logging.Handler):
    """Writes to what stderr is at the time: a progress bar puts itself there, and makes room for lines."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(self.format(record) + "\n")


def log_to_stderr(level: str) -> None:
    """Show what the engine logs from this level on."""
    logging.basicConfig(
        handlers=[_StderrHandler()], level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


def print_json(value: object) -> None:
    """One JSON value, indented."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def say(text: str) -> None:
    """A result in words."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """What is not a result."""
    sys.stderr.write(text + "\n")


def print_error(error: RotaError, *, as_json: bool) -> None:
    """One line, or one JSON object with the ids that the error is about."""
    if not as_json:
        note(f"rota: error: {' '.join(str(error).split())}")
        return
    said: dict[str, object] = {"error": str(error), "kind": type(error).__name__, "ids": error.ids}
    if isinstance(error, InvalidError):
        said |= {"field": error.field, "allowed": error.allowed}
    note(msgspec.json.encode(said).decode())


def print_refusal(message: str, kind: str = "UsageError") -> None:
    """One JSON object that says why no command ran to its end."""
    note(msgspec.json.encode({"error": message, "kind": kind, "ids": {}}).decode())


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]], cut: Sequence[str] = ()) -> None:
    """Rows under headers, a line each, that fit the terminal's width. Columns named in `cut` give way first; where that
    is not enough, the last columns are left out, for half a time or half an id is worth nothing."""
    console = _console()
    cells = [[" ".join(cell.split()) for cell in row] for row in rows]
    natural = [max(map(cell_len, column)) for column in zip(headers, *cells, strict=True)]
    widths = _fit(natural, [index for index, header in enumerate(headers) if header in cut], console.width)
    console.print(Text(_line(headers, widths), style="bold"), soft_wrap=True)
    for row in cells:
        line = Text(_line(row, widths))
        for word in row:
            if word in _STYLES:
                line.highlight_words([word], _STYLES[word])
        console.print(line, soft_wrap=True)
    if len(widths) < len(headers):
        note(f"left out for want of width: {', '.join(headers[len(widths) :])}")


def fits(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether `print_table` would show them whole."""
    natural = [max(map(cell_len, column)) for column in zip(headers, *rows, strict=True)]
    return sum(natural) + _GAP * (len(natural) - 1) <= _console().width


def print_fields(fields: Sequence[tuple[str, str]]) -> None:
    """Names and values, a line each; values are not cut, for they are what was asked for."""
    width = max(len(name) for name, _ in fields)
    console = _console()
    for name, value in fields:
        line = Text(name.ljust(width), style="bold")
        console.print(line.append(f"  {value}", style=_STYLES.get(value, "not bold")), soft_wrap=True)


def _console() -> Console:
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False, width=_PIPED_WIDTH if piped else None)


def _fit(natural: list[int], flexible: list[int], width: int) -> list[int]:
    """Column widths that fit, fewer than were asked for if need be."""
    for columns in range(len(natural), 0, -1):
        widths = natural[:columns]
        room = width - _GAP * (columns - 1)
        while sum(widths) > room:
            widest = max((column for column in flexible if column < columns), key=lambda it: widths[it], default=-1)
            if widest < 0 or widths[widest] <= _NARROWEST:
                break
            widths[widest] -= 1
        if sum(widths) <= room:
            return widths
    return [max(1, width)]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return (" " * _GAP).join(_cut(cell, width) for cell, width in zip(cells, widths, strict=False)).rstrip()


def _cut(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text + " " * (width - cell_len(text))
    return set_cell_size(text, width - 1) + "…"
