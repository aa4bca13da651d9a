"""What may name things, and run ids as text and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.core.errors import InvalidError
from rota.core.ids import check_id, epoch_ms, iso, moment, parse_run_id, run_id, when_ms

FIRST, LAST = epoch_ms(datetime(1970, 1, 1, tzinfo=UTC)), epoch_ms(datetime(2199, 12, 31, tzinfo=UTC))
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,127}", fullmatch=True)
MOMENTS = st.integers(FIRST, LAST)


class TestNames:
    @given(NAMES)
    def test_what_is_allowed_passes(self, name: str) -> None:
        assert check_id("id", name) == name

    @pytest.mark.parametrize(
        "name", ["", " ", "-a", ".a", "a b", "a@b", "a\n", "größe", "a" * 129, "a\x00", None, 7, b"a", ["a"]]
    )
    def test_anything_else_is_refused_by_field_and_value(self, name: object) -> None:
        with pytest.raises(InvalidError, match=r"^schedule id: .* is not allowed; 1 to 128 letters") as caught:
            check_id("schedule id", name)
        assert (caught.value.field, caught.value.value) == ("schedule id", name)
        assert len(str(caught.value)) < 300


class TestRunIds:
    def test_a_run_id_can_be_read(self) -> None:
        at = epoch_ms(datetime(2026, 11, 21, 2, 30, tzinfo=UTC))
        assert run_id("nightly", at) == "nightly@2026-11-21T02:30:00Z"
        assert run_id("nightly", at + 7) == "nightly@2026-11-21T02:30:00.007Z"

    @given(NAMES, MOMENTS)
    def test_there_and_back(self, name: str, at: int) -> None:
        assert parse_run_id(run_id(name, at)) == (name, at)

    def test_any_offset_is_understood(self) -> None:
        assert parse_run_id("a@2026-11-21T03:30:00+01:00") == parse_run_id("a@2026-11-21T02:30:00Z")

    @pytest.mark.parametrize("text", ["", "a", "a@", "@2026-11-21T02:30:00Z", "a@2026-11-21T02:30:00", "a@b", "a@1@2"])
    def test_what_is_no_run_id_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidError, match="SCHEDULE@TIME"):
            parse_run_id(text)


class TestMoments:
    @given(MOMENTS, st.integers(-14 * 60, 14 * 60))
    def test_milliseconds_survive_any_offset(self, at: int, minutes: int) -> None:
        assert epoch_ms(moment(at).astimezone(timezone(timedelta(minutes=minutes)))) == at
        assert when_ms("when", iso(at)) == at
        assert when_ms("when", moment(at)) == at

    @given(MOMENTS)
    def test_epoch_seconds_are_rounded_to_the_millisecond(self, at: int) -> None:
        assert when_ms("when", at / 1000) == at
        assert when_ms("when", at // 1000) == at // 1000 * 1000

    @pytest.mark.parametrize(
        ("value", "allowed"),
        [
            (datetime.fromisoformat("2026-01-01"), "an aware datetime: add a tzinfo"),
            ("2026-01-01T00:00:00", "an ISO 8601 time with an offset or Z"),
            ("tomorrow", "an ISO 8601 time with an offset"),
            (1_767_225_600_000, "this looks like milliseconds, divide by 1000"),
            (1e15, "epoch seconds between"),
            (float("nan"), "epoch seconds between"),
            (float("inf"), "epoch seconds between"),
            (float("-inf"), "epoch seconds between"),
            (True, "an aware datetime, ISO text"),
            (None, "an aware datetime, ISO text"),
            ([], "an aware datetime, ISO text"),
        ],
    )
    def test_what_is_no_moment_is_refused(self, value: object, allowed: str) -> None:
        with pytest.raises(InvalidError, match=allowed):
            when_ms("when", value)
