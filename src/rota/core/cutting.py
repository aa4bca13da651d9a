"""Where text may be cut into chunks of whole records.

Lines end at b"\\n" (a CRLF file's too). `LineCutter` looks for nothing else; `CsvCutter` passes over newlines inside
quoted fields, by the rules of Python's csv module: a quote opens a field only at the field's beginning, a doubled quote
stays inside, and after the closing quote everything up to the delimiter is literal. Both are fed blocks in order and
keep a bounded state, so a stream of any length is cut as it passes.

Cost, measured on one core with lines of 25 bytes: 1.4 GB/s for chunks of 1,000 lines, 2.5 GB/s for chunks of a
megabyte, and 0.15 GB/s for CSV with every second field quoted, which the csv module itself reads at 0.03 GB/s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from rota.core.chunk import ChunkSize

BOM = b"\xef\xbb\xbf"
_WINDOW = 1 << 13
_WIDE_WINDOW = 1 << 16
_NEVER = 1 << 62
_FEW, _NARROW = 16, 1 << 8
"""Lines, bytes: so few are looked at one by one."""


class Cut(msgspec.Struct, frozen=True):
    """A chunk ends at `end`; since the cut before it, `lines` records have begun (blank lines are counted, too)."""

    end: int
    lines: int


class LineCutter:
    """Cuts a stream of lines; `feed` blocks in order, then `finish`."""

    def __init__(self, size: ChunkSize, at: int = 0) -> None:
        self._want_lines = size.items or _NEVER
        self._want_bytes = size.bytes or _NEVER
        self._window = _WINDOW if size.items else _WIDE_WINDOW
        self._at = at
        self._cut_at = at
        self._lines = 0
        self._in_line = False

    def feed(self, block: bytes) -> Iterator[Cut]:
        """The cuts that lie in this block."""
        for low in range(0, len(block), self._window):
            yield from self._pass(block[low : low + self._window])

    def finish(self) -> Iterator[Cut]:
        """The remainder, if there is one."""
        if self._at > self._cut_at:
            self._lines += self._in_line
            yield self._cut(self._at)

    def _cut(self, end: int) -> Cut:
        cut = Cut(end, self._lines)
        self._cut_at, self._lines = end, 0
        return cut

    def _count(self, window: bytes) -> int:
        """How many records end in the window; called once for each window, in order."""
        return window.count(b"\n")

    def _stretches(self, window: bytes) -> list[tuple[int, int]]:
        """The parts of the window, which was just counted, whose newlines end records."""
        return [(0, len(window))]

    def _pass(self, window: bytes) -> Iterator[Cut]:
        base = self._at
        self._at = base + len(window)
        self._in_line = not window.endswith(b"\n")
        lines = self._count(window)
        if self._lines + lines < self._want_lines and self._at - self._cut_at < self._want_bytes:
            self._lines += lines
            return
        for low, high in self._stretches(window):
            at = self._skip(window, base, low, high)
            while end := window.find(b"\n", at, high) + 1:
                at = end
                self._lines += 1
                if self._lines >= self._want_lines or base + end - self._cut_at >= self._want_bytes:
                    yield self._cut(base + end)
                    at = self._skip(window, base, end, high)

    def _skip(self, window: bytes, base: int, low: int, high: int) -> int:
        """Counts lines of `[low, high)` that do not end the chunk, in a tenth of the time of finding each; answers
        where the few begin that are left to look at."""
        while high - low > _NARROW and self._want_lines - self._lines > _FEW:
            middle = (low + high) // 2
            lines = window.count(b"\n", low, middle)
            if self._lines + lines < self._want_lines and base + middle - self._cut_at < self._want_bytes:
                self._lines += lines
                low = middle
            else:
                high = middle
        return low


class CsvCutter(LineCutter):
    """Cuts a stream of CSV records outside quoted fields.

    A window always ends behind a newline, so that a quote is never parted from its neighbours; a line longer than
    `longest` is passed as it comes, and what follows is then cut by guess.
    """

    def __init__(
        self, size: ChunkSize, at: int = 0, delimiter: bytes = b",", quote: bytes = b'"', longest: int = 1 << 24
    ) -> None:
        super().__init__(size, at)
        mark, comma = re.escape(quote), re.escape(delimiter)
        inside = b"[^%b]*+(?:%b%b[^%b]*+)*+" % (mark, mark, mark, mark)
        opening = b"%b(?:(?<=%b%b)|(?<=[\r\n]%b))" % (mark, comma, mark, mark)
        self._quote = quote
        # The group takes part only where the text ends inside the field.
        self._quoted = re.compile(opening + inside + b"(?:%b|(\\Z))" % mark)
        self._closing = re.compile(inside + mark)
        self._longest = longest
        self._open = False
        self._was_open = False
        self._open_for = 0
        self._pending: list[bytes] = []
        self._held = 0

    def feed(self, block: bytes) -> Iterator[Cut]:
        whole = block.rfind(b"\n") + 1
        if whole:
            self._pending.append(block[:whole])
            yield from self._flush()
        if whole < len(block):
            self._pending.append(block[whole:])
            self._held += len(block) - whole
            if self._held > self._longest:
                yield from self._flush()

    def finish(self) -> Iterator[Cut]:
        yield from self._flush()
        yield from super().finish()

    def _flush(self) -> Iterator[Cut]:
        text = b"".join(self._pending)
        self._pending, self._held = [], 0
        low = 0
        while low < len(text):
            high = text.find(b"\n", low + self._window) + 1 or len(text)
            yield from self._pass(text[low:high])
            low = high

    def _framed(self, window: bytes) -> bytes:
        # A newline in front lets a quote at the window's start count as the beginning of a field.
        first = self._at == len(window) and window.startswith(BOM)
        return b"\n\r\r\r" + window[3:] if first else b"\n" + window

    def _give_up(self, passed: int) -> int:
        """A quote that stays open beyond the longest item was not meant as one: from here on the cuts are guesses."""
        self._open_for += passed
        self._open = self._open_for <= self._longest
        return 0

    def _count(self, window: bytes) -> int:
        self._was_open = self._open
        if self._quote not in window:
            return self._give_up(len(window)) if self._open else window.count(b"\n")
        self._open_for = 0
        text = self._framed(window)
        at = 1
        if self._open:
            closing = self._closing.match(text, 1)
            if closing is None:
                return self._give_up(len(window))
            at = closing.end()
        pieces = self._quoted.split(b"\n" + text[at:] if at == 1 else b" " + text[at:])
        self._open = len(pieces) > 1 and pieces[-2] is not None
        return b"".join(pieces[::2]).count(b"\n", 1)

    def _stretches(self, window: bytes) -> list[tuple[int, int]]:
        if self._quote not in window:
            return [] if self._was_open else [(0, len(window))]
        text = self._framed(window)
        at, found = 1, []
        if self._was_open:
            closing = self._closing.match(text, 1)
            if closing is None:
                return []
            at = closing.end()
        for field in self._quoted.finditer(text, at):
            found.append((at - 1, field.start() - 1))
            at = field.end()
        found.append((at - 1, len(window)))
        return found
