"""Against the answers of the real Quartz 2.3.2, thousands of them; where rota differs, a rule says so."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from rota.core.errors import InvalidError
from rota.core.triggers import Cron

VECTORS = Path(__file__).parents[2] / "vectors" / "quartz.jsonl.gz"

Answer = list[int | str | None]

ITEM = r"(?:(?:\*|[0-9]+(?:-[0-9]+)?)?(?:/[0-9]+)?|[A-Z]{3}(?:-[A-Z]{3})?)"
DAY_ITEM = rf"(?:L(?:-[0-9]+)?W?|[0-9]+W|\?|{ITEM})"
WEEKDAY_ITEM = rf"(?:(?:[0-9]|[A-Z]{{3}})(?:L|#[0-9])|L|\?|{ITEM})"
MISREAD: dict[str, Callable[[list[str]], bool]] = {
    "more than seven fields: the rest is ignored": lambda parts: len(parts) > 7,
    "? among other characters": lambda parts: any("?" in part and part != "?" for part in parts),
    "a step of zero or below counts as one": lambda parts: any(re.search(r"/(0+(?!\d)|-)", part) for part in parts),
    "a step after a range is not checked": lambda parts: any(
        int(step) > limit
        for part, limit in zip(parts, (59, 59, 23, 31, 12, 7, 2199), strict=False)
        for step in re.findall(r"-[0-9]+/([0-9]+)", part)
    ),
    "a step after a name is dropped": lambda parts: any(re.search(r"[A-Z]/", part) for part in parts),
    "an empty item of a list is passed over": lambda parts: any("" in part.split(",") for part in parts),
    "a range to 0 where counting begins at 1": lambda parts: any(re.search(r"-0+(?!\d)", part) for part in parts[3:6]),
    "day 0 and day 8 pass beside W and #": lambda parts: (
        re.search(r"\b0W", parts[3]) is not None or re.search(r"[089]#", parts[5]) is not None
    ),
    "years are not checked": lambda parts: any(
        not 1970 <= int(year) <= 2199 for year in re.findall(r"(?<![/0-9])[0-9]+", " ".join(parts[6:7]))
    ),
    "# in a list holds for the first day only": lambda parts: "#" in parts[5] and "," in parts[5],
    "L beside other characters in day-of-week, L outside the days": lambda parts: (
        "L" in parts[:3] or (parts[5] != "L" and re.search(r"(?<![0-9A-Z])L|L.", parts[5]) is not None)
    ),
    "characters after an item are passed over": lambda parts: any(
        not re.fullmatch({3: DAY_ITEM, 5: WEEKDAY_ITEM}.get(place, ITEM), item)
        for place, part in enumerate(parts)
        for item in part.split(",")
    ),
}  # fmt: skip


def vectors() -> Iterator[tuple[str, str, list[int], list[Answer] | None]]:
    for line in gzip.decompress(VECTORS.read_bytes()).decode().splitlines():
        zone, text, starts, answers = json.loads(line)
        yield zone, text, starts, answers


def fired(cron: Cron, start: int, n: int) -> Answer:
    found: Answer = []
    at = start * 1000
    while len(found) < n:
        tick = cron.next_tick(at)
        if tick is None:
            found.append(None)
            break
        at = tick.at
        if tick.skip is None:
            found.append(at // 1000)
    return found


def begins_in_first_pass(zone: str, start: int) -> bool:
    """Quartz reads such a start on the wall and jumps into the second pass at the same minute, losing the ticks
    before it. rota answers what Quartz itself answers from any start before the overlap."""
    shown = datetime.fromtimestamp(start, ZoneInfo(zone))
    return shown.utcoffset() != shown.replace(fold=1).utcoffset() and shown.fold == 0


def means_every_item(text: str) -> bool:
    """1,15W,L: Quartz 2.3 refuses L in a list, and of a list with W reads the smallest day only. rota reads it as
    Quartz 2.5 does."""
    day = text.split()[3].upper()
    return "," in day and ("L" in day or "W" in day)


def nears_the_month_after(text: str) -> bool:
    """31W in a month of 30 days: Quartz takes the weekday of the 1st that follows and may fire on the 30th. rota
    skips such a month, as Quartz does for 31 without W."""
    found = re.fullmatch(r"(\d+)W", text.split()[3].upper())
    return found is not None and int(found[1]) > 28


def test_thousands_of_expressions_give_the_times_of_quartz() -> None:
    seen: Counter[str] = Counter()
    for zone, text, starts, answers in vectors():
        if answers is None:
            continue
        try:
            cron = Cron(text, timezone=zone, dst="quartz")
        except InvalidError:
            continue
        for start, answer in zip(starts, answers, strict=True):
            if fired(cron, start, len(answer)) == answer:
                seen["same"] += 1
                continue
            reason = next(
                (
                    rule.__name__
                    for rule, holds in (
                        (begins_in_first_pass, begins_in_first_pass(zone, start)),
                        (means_every_item, means_every_item(text)),
                        (nears_the_month_after, nears_the_month_after(text)),
                    )
                    if holds
                ),
                None,
            )
            assert reason is not None, (zone, text, start, answer, fired(cron, start, len(answer)))
            seen[reason] += 1
    assert seen["same"] > 8_000
    assert seen["begins_in_first_pass"] > 0
    assert seen["means_every_item"] > 0
    assert seen["nears_the_month_after"] > 0


def test_what_quartz_refuses_is_refused_save_lists_with_l() -> None:
    both = 0
    for zone, text, _, answers in vectors():
        if answers is not None:
            continue
        try:
            Cron(text, timezone=zone)
        except InvalidError:
            both += 1
        else:
            assert means_every_item(text), text
    assert both > 500


def test_what_only_rota_refuses_is_misread_by_quartz_in_a_known_way() -> None:
    rules: Counter[str] = Counter()
    for zone, text, _, answers in vectors():
        if answers is None:
            continue
        try:
            Cron(text, timezone=zone)
        except InvalidError:
            parts = text.upper().split()
            reason = next((name for name, misread in MISREAD.items() if misread(parts)), None)
            assert reason is not None, text
            rules[reason] += 1
    assert set(rules) == set(MISREAD), set(MISREAD) - set(rules)
