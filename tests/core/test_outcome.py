"""Failures as users read them."""

from __future__ import annotations

from rota.core.errors import StoreFullError, TargetError, public_name
from rota.core.outcome import failure_of
from rota.core.retry import Retry


def test_errors_of_rota_are_shown_by_their_public_names() -> None:
    failure = failure_of(TargetError("no rate for USD"), "prices.py:31 in price")
    assert str(failure) == "rota.TargetError: no rate for USD (prices.py:31 in price)"
    assert str(failure_of(ValueError("no"))) == "ValueError: no"
    assert public_name("shop.rota.core.errors.Mine") == "shop.rota.core.errors.Mine"


def test_what_is_stored_keeps_the_full_names() -> None:
    assert failure_of(StoreFullError("full")).types == (
        "rota.core.errors.StoreFullError",
        "rota.core.errors.StoreError",
        "rota.core.errors.RotaError",
        "Exception",
    )


def test_a_policy_may_use_the_name_that_is_shown() -> None:
    failure = failure_of(TargetError("x"))
    assert not Retry(give_up_on=("rota.RotaError",)).again(1, failure)
    assert Retry(retry_on=("rota.TargetError",)).again(1, failure)
    assert not Retry(retry_on=("rota.SourceError",)).again(1, failure)
