"""Lines that are counted by halves are cut where a reader who takes them one by one cuts them."""

import random

from hypothesis import given
from hypothesis import strategies as st

from rota.core.chunk import ChunkSize
from rota.core.cutting import LineCutter

sizes = st.one_of(
    st.builds(ChunkSize, items=st.sampled_from([1, 16, 17, 18, 100, 999])),
    st.builds(ChunkSize, bytes=st.sampled_from([1, 255, 1_000, 9_000])),
    st.builds(ChunkSize, items=st.integers(10, 200), bytes=st.integers(200, 20_000)),
)


def cut_line_by_line(text: bytes, size: ChunkSize) -> list[tuple[int, int]]:
    found, at, begin, lines = [], 0, 0, 0
    for line in text.splitlines(keepends=True):
        at, lines = at + len(line), lines + 1
        full = lines >= (size.items or len(text) + 1) or at - begin >= (size.bytes or len(text) + 1)
        if line.endswith(b"\n") and full:
            found.append((at, lines))
            begin, lines = at, 0
    return found + ([(at, lines)] if at > begin else [])


@given(st.integers(0, 1 << 30), st.sampled_from([0, 3, 30, 700]), sizes, st.sampled_from([1_000, 8_192, 1 << 20]))
def test_cuts_are_those_of_a_reader_of_lines(seed: int, longest: int, size: ChunkSize, block: int) -> None:
    dice = random.Random(seed)
    text = b"\n".join(b"x" * dice.randint(0, longest) for _ in range(dice.randint(0, 2_000)))
    cutter = LineCutter(size)
    found = [cut for at in range(0, len(text), block) for cut in cutter.feed(text[at : at + block])]
    found += cutter.finish()
    assert [(cut.end, cut.lines) for cut in found] == cut_line_by_line(text, size)
