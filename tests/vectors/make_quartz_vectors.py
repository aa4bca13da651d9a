"""Make quartz.jsonl.gz: generated cron expressions with the answers of the real Quartz 2.3.2.

    apt-get install libquartz2-java default-jdk-headless
    python tests/vectors/make_quartz_vectors.py

A line is [zone, expression, starts, answers]; answers is null where Quartz refuses the expression, otherwise for each
start a list of following fire times in epoch seconds, ended by null where there is none ("error" and "endless" as in
QuartzVectors.java). The seed is fixed: the same generator makes the same questions.
"""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

HERE = Path(__file__).parent
JARS = "/usr/share/java/quartz2.jar:/usr/share/java/slf4j-api.jar"
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kolkata"]
MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
VALID, BROKEN, DAYLIGHT = 3200, 1300, 900
CLASSICS = [
    "0 0 0 ? * MON-FRI/2", "0 0 0 ? * 6#3,2", "*/0 * * * * ?", "0 0/0 * * * ?", "0 0 0 * * *", "0 0 0 ? * ?",
    "0 0 0 ? * 0", "0 0 0 ? * 8", "60 0 0 * * ?", "0 60 0 * * ?", "0 0 24 * * ?", "0 0 0 32 * ?", "0 0 0 0 * ?",
    "0 0 0 ? 13 MON", "0 0 0 ? 0 MON", "*/60 * * * * ?", "0 0 */24 * * ?", "0 0 0 */32 * ?", "0 0 0 ? * */8",
    "0 0 0 1 */13 ?", "0 0 0 L-31 * ?", "0 0 0 32W * ?", "0 0 0 ? * 6#6", "0 0 0 ? * 6#0", "0 0 0 L,15 * ?",
    "0 0 0 ? * 2L,3L", "0 0 0 ? * MONDAY", "0 0 0 1 JANUARY ?", "0 0 0 1 * ? 2030-2020", "0 0 12", "",
    "0 0 0 1-5W * ?", "0 0 0 1 * ? 2030 5", "0 0 0 ? * 5-0", "0 0 0 1 * ? 1969", "0 0 0 1 * ? 2200", "0 5X * * * ?",
    "0 *5 * * * ?", "L 0 0 * * ?", "0 0 0 ? * LW", "0 0 0 ?5 * MON", "0 0 0 5,? * MON", "0 1,,2 * * * ?",
    "0 10-20/60 * * * ?", "0 0 0 0W * ?", "0 0 0 ? * 0#2", "0 0 0 ? * 9#2", "0 0 0 ? * L-3", "0 0 0 L-W * ?",
    "0 */-5 * * * ?", "0 */+5 * * * ?", "0 0 0 ? * MON-5", "0 0 0 ? * 1-FRI", "0 0 0 ? JAN-MAR/2 MON",
    "0 0 0 ? * MON/2", "0 0 0 W * ?", "0 0 0 LL * ?",
]  # fmt: skip


def plain(rng: random.Random, low: int, high: int, names: list[str] | None = None) -> str:
    """One item of a field: a number, a range, a step."""
    a, b = rng.randint(low, high), rng.randint(low, high)
    step = rng.randint(1, max(2, (high - low) // 2))
    if names and rng.random() < 0.4:
        first, last = names[a - low], names[b - low]
        return rng.choice([first, f"{first}-{last}", first.lower()])
    return rng.choice(
        [str(a), str(a), f"{a}-{b}", f"{a}-{b}/{step}", f"{a}/{step}", f"*/{step}", f"/{step}", f"{a:02}"]
    )


def field(rng: random.Random, low: int, high: int, wild: float, names: list[str] | None = None) -> str:
    if rng.random() < wild:
        return "*"
    return ",".join(plain(rng, low, high, names) for _ in range(rng.choice([1, 1, 1, 2, 3])))


def month_day(rng: random.Random) -> str:
    n = rng.randint(1, 31)
    special = [
        "L",
        "LW",
        f"L-{rng.randint(1, 30)}",
        f"L-{rng.randint(1, 12)}W",
        f"{n}W",
        f"{n}W",
        f"{n},{n % 28 + 1}W",
        "1,15W,L",
    ]
    return rng.choice(special) if rng.random() < 0.45 else field(rng, 1, 31, 0.3)


def week_day(rng: random.Random) -> str:
    n, name = rng.randint(1, 7), rng.choice(WEEKDAYS)
    special = ["L", f"{n}L", f"{name}L", f"{n}#{rng.randint(1, 5)}", f"{name}#{rng.randint(1, 5)}"]
    return rng.choice(special) if rng.random() < 0.4 else field(rng, 1, 7, 0.2, WEEKDAYS)


def year(rng: random.Random) -> str:
    first = rng.randint(2005, 2040)
    return rng.choice(
        ["*", str(first), f"{first}-{first + rng.randint(0, 9)}", f"{first}/{rng.randint(1, 7)}", "2019-2031/3"]
    )


def expression(rng: random.Random) -> str:
    days = (month_day(rng), "?") if rng.random() < 0.5 else ("?", week_day(rng))
    second = rng.choice(["0", "0", "0", field(rng, 0, 59, 0.1)])
    parts = [second, field(rng, 0, 59, 0.2), field(rng, 0, 23, 0.3), days[0], field(rng, 1, 12, 0.6, MONTHS), days[1]]
    return " ".join(parts + ([year(rng)] if rng.random() < 0.25 else []))


def night(rng: random.Random) -> str:
    """An expression with times where clocks change."""
    second = rng.choice(["0", "0", "30", "*/20"])
    minute = rng.choice(["0", "15", "30", "59", "0,30", "*/15", "5/20", "*", "10-40/10"])
    hour = rng.choice(["0", "1", "2", "3", "1-3", "0,2", "*", "*/2", "0/3", "23-2", "2,14", "0-23"])
    return " ".join(
        [second, minute, hour, *rng.choice([("*", "*", "?"), ("?", "*", "SUN"), ("?", "*", "1L"), ("L", "*", "?")])]
    )


def broken(rng: random.Random) -> str:
    """A valid expression with one or two characters put in, taken out or exchanged, or one of the classics."""
    if rng.random() < 0.25:
        return rng.choice(CLASSICS)
    text = list(expression(rng))
    for _ in range(rng.choice([1, 1, 2])):
        place = rng.randrange(len(text))
        letter = rng.choice("0123456789*/-,?LW#AMX ")
        match rng.randrange(3):
            case 0:
                text[place] = letter
            case 1:
                text.insert(place, letter)
            case _:
                del text[place]
    return "".join(text)


def changes(zone: str) -> list[int]:
    """Where clocks change in 2017-2018 and 2024-2026, in epoch seconds."""
    info = ZoneInfo(zone)
    found = []
    for year_number in (2017, 2018, 2024, 2025, 2026):
        begin = int(datetime(year_number, 1, 1, tzinfo=UTC).timestamp())
        found += [
            at
            for at in range(begin, begin + 365 * 86_400, 1800)
            if datetime.fromtimestamp(at, info).utcoffset() != datetime.fromtimestamp(at - 1, info).utcoffset()
        ]
    return found


def questions() -> list[tuple[str, str, list[int]]]:
    rng = random.Random(20261121)
    near = {zone: changes(zone) for zone in ZONES}
    asked = []
    for _ in range(VALID):
        starts = [rng.randint(1_500_000_000, 1_850_000_000) for _ in range(2)]
        asked.append(("UTC", expression(rng), starts))
    asked += [("UTC", broken(rng), [1_700_000_000]) for _ in range(BROKEN)]
    for _ in range(DAYLIGHT):
        zone = rng.choice([name for name in ZONES if near[name]])
        starts = [at + rng.randint(-100_000, 20_000) for at in rng.sample(near[zone], 3)]
        asked.append((zone, night(rng), starts))
    for _ in range(DAYLIGHT // 3):
        zone = rng.choice(ZONES)
        asked.append((zone, expression(rng), [rng.randint(1_500_000_000, 1_850_000_000)]))
    return list(dict.fromkeys((zone, text, tuple(starts)) for zone, text, starts in asked if "\t" not in text))  # type: ignore[misc]


def answers(asked: list[tuple[str, str, list[int]]]) -> list[str]:
    lines = "".join(f"{zone}\t{text}\t{' '.join(map(str, starts))}\n" for zone, text, starts in asked)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["javac", "-cp", JARS, "-d", folder, HERE / "QuartzVectors.java"], check=True)
        java = ["java", "-cp", f"{JARS}:{folder}", "QuartzVectors"]
        done = subprocess.run(java, input=lines, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def parsed(answer: str) -> list[list[int | str | None]] | None:
    if answer == "invalid":
        return None
    words = {"null": None, "error": "error", "endless": "endless"}
    return [[words[word] if word in words else int(word) for word in start.split()] for start in answer.split(";")]


def main() -> None:
    asked = questions()
    replies = answers(asked)
    assert len(asked) == len(replies)
    rows = [
        json.dumps([zone, text, starts, parsed(reply)], separators=(",", ":"))
        for (zone, text, starts), reply in zip(asked, replies, strict=True)
    ]
    # No time stamp in the archive, so that the same answers give the same file.
    (HERE / "quartz.jsonl.gz").write_bytes(gzip.compress("\n".join(rows).encode(), 9, mtime=0))
    print(f"{len(rows)} vectors")


if __name__ == "__main__":
    main()
