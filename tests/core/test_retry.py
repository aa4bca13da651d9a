"""When a failed attempt is tried again, and after how long."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.core.errors import InvalidError, TargetError
from rota.core.outcome import Failure, failure_of
from rota.core.retry import NEVER, Jitter, Retry

RETRIES = st.builds(
    Retry,
    attempts=st.integers(1, 1000),
    initial=st.floats(0, 100),
    factor=st.floats(1, 10),
    maximum=st.floats(100, 100_000),
    jitter=st.sampled_from(get_args(Jitter)),
)


class TestDelay:
    def test_exponential_up_to_the_maximum(self) -> None:
        retry = Retry(attempts=9, initial=0.5, factor=2, maximum=3, jitter="none")
        assert [retry.delay(attempt, "s@1") for attempt in range(1, 6)] == [0.5, 1, 2, 3, 3]

    @given(RETRIES, st.integers(1, 1000), st.text())
    def test_never_beyond_its_bounds_and_always_the_same(self, retry: Retry, attempt: int, name: str) -> None:
        wait = retry.delay(attempt, name)
        assert 0 <= wait <= retry.maximum
        assert wait == retry.delay(attempt, name)

    def test_jitter_spreads_over_its_range(self) -> None:
        names = [f"s@{n}" for n in range(2000)]
        full = [Retry(initial=10, jitter="full").delay(1, name) for name in names]
        equal = [Retry(initial=10, jitter="equal").delay(1, name) for name in names]
        assert min(full) < 0.5
        assert max(full) > 9.5
        assert 5 <= min(equal) < 5.3
        assert 9.7 < max(equal) <= 10
        assert abs(sum(full) / len(full) - 5) < 0.5

    def test_runs_and_attempts_draw_on_their_own(self) -> None:
        retry = Retry(initial=10, factor=1)
        assert len({retry.delay(attempt, name) for attempt in (1, 2, 3) for name in ("a@1", "a@2", "b@1")}) == 9

    def test_nothing_to_wait_for(self) -> None:
        assert Retry(initial=0).delay(1, "s@1") == 0


def _failure(error: BaseException) -> Failure:
    return failure_of(error)


class TestAgain:
    def test_attempts_count_the_first(self) -> None:
        retry = Retry(attempts=3)
        assert [retry.again(attempt, _failure(ValueError("no"))) for attempt in (1, 2, 3, 4)] == [
            True,
            True,
            False,
            False,
        ]
        assert not NEVER.again(1, _failure(ValueError("no")))

    def test_what_cannot_be_helped_is_not_tried_again(self) -> None:
        assert not Retry().again(1, _failure(TargetError("404", transient=False)))
        assert Retry().again(1, _failure(TargetError("503")))

    @pytest.mark.parametrize(
        ("error", "again"),
        [(ConnectionResetError(), True), (OSError(), True), (ValueError(), False), (KeyError(), False)],
    )
    def test_retry_on_names_the_only_ones_and_their_subclasses(self, error: Exception, *, again: bool) -> None:
        assert Retry(retry_on=(OSError,)).again(1, _failure(error)) is again

    def test_give_up_on_wins(self) -> None:
        retry = Retry(retry_on=(OSError,), give_up_on=(FileNotFoundError,))
        assert retry.again(1, _failure(ConnectionResetError()))
        assert not retry.again(1, _failure(FileNotFoundError()))

    def test_classes_and_their_names_are_the_same(self) -> None:
        assert Retry(retry_on=(OSError, TargetError)) == Retry(retry_on=("OSError", "rota.core.errors.TargetError"))
        assert Retry(give_up_on=("rota.core.errors.RotaError",)).again(1, _failure(TargetError("x"))) is False


class TestBadInput:
    @pytest.mark.parametrize(
        ("field", "given"),
        [
            ("attempts", 0),
            ("attempts", 1001),
            ("attempts", 1.5),
            ("attempts", True),
            ("initial", -1),
            ("initial", "1"),
            ("initial", float("nan")),
            ("initial", True),
            ("factor", 0.5),
            ("factor", float("inf")),
            ("maximum", -1),
            ("maximum", 31_536_001),
            ("jitter", "some"),
            ("retry_on", (int,)),
            ("retry_on", ("",)),
            ("give_up_on", (7,)),
        ],
    )
    def test_each_field_is_named(self, field: str, given: object) -> None:
        arguments: dict[str, Any] = {field: given}
        with pytest.raises(InvalidError) as caught:
            Retry(**arguments)
        assert caught.value.field == f"retry.{field}"

    def test_waiting_longer_than_the_maximum_from_the_start_is_a_contradiction(self) -> None:
        with pytest.raises(InvalidError, match=r"at most retry\.maximum, which is 5"):
            Retry(initial=6, maximum=5)
