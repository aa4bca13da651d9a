"""What triggers accept, refuse and say."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rota.connectors.calendar import excluded_dates
from rota.core.errors import InvalidError
from rota.core.triggers import AnyTrigger, At, Cron, Every, Tick, parse_trigger
from rota.core.triggers.exclusions import parse_dates

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def upcoming(trigger: AnyTrigger, n: int = 3, after: datetime = NOW) -> list[str]:
    return [time.strftime("%m-%d %H:%M") for time in trigger.upcoming(after, n)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@daily", ["01-02 00:00", "01-03 00:00"]),
        ("30 4 1,15 * 5", ["01-01 04:30", "01-02 04:30"]),  # Vixie: either day
        ("0 0 */2 * mon", ["01-05 00:00", "01-19 00:00"]),  # a star: both
        ("0 0 * * 7", ["01-04 00:00", "01-11 00:00"]),
        ("0 0 13 * ?", None),
        ("0 12 ? * MON-FRI *", None),
        ("cron(0 12 ? * MON-FRI *)", ["01-01 12:00", "01-02 12:00"]),
        ("cron(15 10 ? * 6L 2026-2030)", ["01-30 10:15", "02-27 10:15"]),
        ("rate(5 minutes)", ["01-01 00:05", "01-01 00:10"]),
        ("rate(1 hours)", None),
        ("rate(5 minute)", None),
        ("rate(0 minutes)", None),
        ("at(2026-02-03T04:05:06)", ["02-03 04:05"]),
        ("at(2026-02-30T04:05:06)", None),
        ("every 15m", ["01-01 00:15", "01-01 00:30"]),
        ("every 1h30m", ["01-01 01:30", "01-01 03:00"]),
        ("every PT90M", ["01-01 01:30", "01-01 03:00"]),
        ("at 2026-02-03T04:05:06+01:00", ["02-03 03:05"]),
        ("at 2026-02-03T04:05:06", None),
        ("0 30 2 * * ?", ["01-01 02:30", "01-02 02:30"]),
        ("0 0 12 LW * ? 2026", ["01-30 12:00", "02-27 12:00"]),
        ("0 0 12 1,15W,L * ?", ["01-01 12:00", "01-15 12:00"]),
        ("0 0 22-2/2 ? * SAT-SUN", ["01-03 00:00", "01-03 02:00"]),
        ("@reboot", None),
        ("0 0 * * fri-mon", None),
        ("*/90 * * * *", None),
        ("/5 * * * *", None),
        ("nonsense", None),
        ("every never", None),
        ("", None),
        ("0 " * 5000, None),
    ],
)
def test_text(text: str, expected: list[str] | None) -> None:
    if expected is None:
        with pytest.raises(InvalidError):
            parse_trigger(text)
    else:
        assert upcoming(parse_trigger(text), 2) == expected


def test_an_aws_time_is_read_in_the_zone() -> None:
    assert parse_trigger("at(2026-03-29T02:30:00)", timezone="Europe/Berlin") == At(
        "2026-03-29T03:00:00+02:00", timezone="Europe/Berlin"
    )


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Cron("0 0 0 ? * MON-FRI/2"), "cron day-of-week"),
        (lambda: Cron("0 0 0 ? * 6#3,2"), "cron day-of-week"),
        (lambda: Cron("*/0 * * * * ?"), "cron second"),
        (lambda: Cron("0 0 0 * * *"), "cron day-of-week"),
        (lambda: Cron("0 0 25 * * ?"), "cron hour"),
        (lambda: Cron("0 0 0 L-31 * ?"), "cron day-of-month"),
        (lambda: Cron("0 30 2 * * ? 2200"), "cron year"),
        (lambda: Cron("30 2 * * *"), "cron text"),
        (lambda: Cron("0 0 12 * * ? " + "2026," * 2000), "cron text"),
        (lambda: Cron("0 0 0 * * ?", timezone="Mars/Olympus"), "timezone"),
        (lambda: Cron("0 0 0 * * ?", timezone="../etc/passwd"), "timezone"),
        (lambda: Cron("0 0 0 * * ?", timezone="Europe"), "timezone"),
        (lambda: Cron("0 0 0 * * ?", dialect="vixie"), "dialect"),  # type: ignore[arg-type]
        (lambda: Cron("0 0 0 * * ?", dst="never"), "dst"),  # type: ignore[arg-type]
        (lambda: Cron(None), "cron text"),  # type: ignore[arg-type]
        (lambda: Every("15m", start=datetime(2026, 1, 1)), "start"),  # noqa: DTZ001
        (lambda: Every("15m", start="2026-01-02T00:00Z", end="2026-01-01T00:00Z"), "end"),
        (lambda: Every("15m", anchor="2026-01-02T00:00"), "anchor"),
        (lambda: Every(0), "interval"),
        (lambda: Every(-5), "interval"),
        (lambda: Every(float("nan")), "interval"),
        (lambda: Every("P1Y"), "interval"),
        (lambda: Every(timedelta(microseconds=1500)), "interval"),
        (lambda: Every(60, jitter=-1), "jitter"),
        (lambda: Every(60, exclude=["2026-02-30"]), "exclude"),
        (lambda: Every(60, exclude="2026-02-03"), "exclude"),
        (lambda: Every(60, exclude=[("2026-02-03", "2026-02-01")]), "exclude"),
        (lambda: At(datetime(2026, 1, 1)), "when"),  # noqa: DTZ001
        (lambda: At("tomorrow"), "when"),
        (lambda: At(1e30), "when"),
        (lambda: Every(60).next(datetime(2026, 1, 1)), "after"),  # noqa: DTZ001
        (lambda: Every(60).upcoming(NOW, -1), "n"),
    ],
)
def test_bad_input_names_its_field(make: Any, field: str) -> None:
    with pytest.raises(InvalidError) as caught:
        make()
    assert caught.value.field == field


def test_bad_json_is_refused() -> None:
    for document in (
        b'{"kind":"cron","text":"no"}',
        b'{"kind":"every","interval":"PT1S","misspelt":1}',
        b'{"kind":"never"}',
    ):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(document, type=AnyTrigger)


def test_the_window_includes_both_ends() -> None:
    every = Every("1h", start="2026-01-01T01:00:00Z", end="2026-01-01T03:00:00Z")
    assert upcoming(every, 9) == ["01-01 01:00", "01-01 02:00", "01-01 03:00"]
    assert every.count_ticks(0, at("2027-01-01T00:00Z")) == 3
    assert every.latest_tick(0, at("2027-01-01T00:00Z")) == Tick(at("2026-01-01T03:00Z"), None)
    assert every.latest_tick(at("2026-01-01T03:00Z"), at("2027-01-01T00:00Z")) is None
    assert every.explain_absence(at("2026-01-01T00:00Z")) == (
        "2026-01-01T00:00:00+00:00 is before the start, 2026-01-01T01:00:00+00:00"
    )
    assert "is after the end" in str(every.explain_absence(at("2026-01-01T04:00Z")))
    assert every.explain_absence(at("2026-01-01T02:30Z")) is None


def test_excluded_dates_are_ticks_that_do_not_fire() -> None:
    cron = Cron(
        "0 0 12 * * ?",
        timezone="Asia/Tokyo",
        exclude=[date(2026, 1, 2), ("2026-01-04", "2026-01-06"), "2026-01-07T12:00+09:00"],
    )
    assert upcoming(cron, 3, datetime(2025, 12, 31, 12, tzinfo=UTC)) == ["01-01 12:00", "01-03 12:00", "01-08 12:00"]
    assert cron.next_tick(at("2026-01-02T00:00+09:00")) == Tick(at("2026-01-02T12:00+09:00"), "excluded")
    assert cron.count_ticks(at("2026-01-01T00:00+09:00"), at("2026-01-09T00:00+09:00")) == 8
    assert cron.explain_absence(at("2026-01-05T12:00+09:00")) == "2026-01-05T12:00:00+09:00 is excluded"


def test_excluded_seconds_are_not_walked() -> None:
    cron = Cron("* * * * * ?", timezone="Europe/Berlin", exclude=["2026-01-01/2199-12-31"])
    assert cron.next(NOW) is None
    cron = Cron("* * * * * ?", timezone="Europe/Berlin", exclude=["2026-01-01/2026-12-31"])
    assert cron.next(NOW) == datetime(2026, 12, 31, 23, tzinfo=UTC)
    excluded, last = at("2026-01-01T00:00+01:00"), at("2026-12-31T12:00+01:00")
    assert cron.latest_fired(excluded - 60_000, last) == excluded - 1000
    assert cron.latest_fired(excluded, last) is None


@pytest.mark.parametrize(
    ("cron", "when", "said"),
    [
        (Cron("0 30 2 * * ?", timezone="Europe/Berlin"), "2026-03-29T01:30Z", "02:30:00 does not exist"),
        (Cron("0 30 2 * * ?", timezone="Europe/Berlin"), "2026-03-29T00:30Z", "its tick stands at the end of the gap"),
        (Cron("0 30 2 * * ?", timezone="Europe/Berlin", dst="aws"), "2026-03-29T01:00Z", 'dst="aws" skips it'),
        (Cron("0 30 2 * * ?", timezone="Europe/Berlin"), "2026-10-25T01:30Z", "first time, at 2026-10-25T02:30"),
        (Cron("0 30 2 * * ?", timezone="Europe/Berlin", dst="quartz"), "2026-10-25T00:30Z", "fires the second time"),
        (Cron("0 30 2 * * ?", timezone="Europe/Berlin"), "2026-10-25T00:30Z", None),
        (Cron("0 30 2 * * ?", timezone="Europe/Berlin"), "2026-10-26T00:30Z", None),
    ],
)  # fmt: skip
def test_why_there_is_no_tick(cron: Cron, when: str, said: str | None) -> None:
    reason = cron.explain_absence(at(when))
    assert reason is None if said is None else said in str(reason)


@pytest.mark.parametrize(
    ("trigger", "said"),
    [
        (Cron("0 30 2 * * ?", timezone="Europe/Berlin"), "At 02:30, every day, Europe/Berlin time."),
        (Cron("0 */5 * * * ?"), "Every 5 minutes, every day."),
        (Cron("0 0 9 ? * MON-FRI"), "At 09:00, on Monday to Friday."),
        (Cron("0 0 * ? 1,6 6#3"), "At minute 0, every hour, on the third Friday of the month in January and June."),
        (Cron("30 * * * * ?"), "At second 30, every minute, every day."),
        (Cron("0 0 12 L-3W * ? 2026/2"), None),
        (Cron("0 0 1,15 * mon", dialect="unix"), "At 00:00, on days 1 and 15 of the month, and also on Monday."),
        (Every("1h30m"), "Every 1 hour 30 minutes."),
        (Every(60), "Every minute."),
        (At("2026-01-01T00:00:00Z", jitter=2), "Once, at 2026-01-01T00:00:00+00:00, delayed by up to 2 s."),
    ],
)
def test_in_words(trigger: AnyTrigger, said: str | None) -> None:
    assert trigger.explain() == said if said is not None else trigger.explain()


def test_files_of_excluded_dates(tmp_path: Path) -> None:
    text = tmp_path / "holidays.txt"
    text.write_text("# company\n2026-12-25\n2026-12-27/2027-01-03  # closed\n\n")
    assert excluded_dates(text) == ("2026-12-25", "2026-12-27/2027-01-03") == parse_dates(text.read_text())
    calendar = tmp_path / "holidays.ics"
    lines = [
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//rota//test//EN",
        "BEGIN:VEVENT", "UID:1", "DTSTART;VALUE=DATE:20261225", "DTEND;VALUE=DATE:20261227", "END:VEVENT",
        "BEGIN:VEVENT", "UID:2", "DTSTART;VALUE=DATE:20270101", "END:VEVENT",
        "BEGIN:VEVENT", "UID:3", "DTSTART:20270105T220000Z", "DTEND:20270106T020000Z", "END:VEVENT", "END:VCALENDAR",
    ]  # fmt: skip
    calendar.write_text("\r\n".join(lines) + "\r\n")
    assert excluded_dates(calendar) == ("2026-12-25/2026-12-26", "2027-01-01", "2027-01-05/2027-01-06")
    yearly = [*lines[:6], "RRULE:FREQ=YEARLY;COUNT=4", "EXDATE;VALUE=DATE:20271225", *lines[6:8], lines[-1]]
    calendar.write_text("\r\n".join(yearly) + "\r\n")
    assert excluded_dates(calendar) == ("2026-12-25/2026-12-26", "2028-12-25/2028-12-26", "2029-12-25/2029-12-26")
    calendar.write_text("not a calendar")
    for path in (calendar, tmp_path / "missing.ics", tmp_path):
        with pytest.raises(InvalidError):
            excluded_dates(path)
