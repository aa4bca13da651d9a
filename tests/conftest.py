"""What every test stands on: how many examples Hypothesis makes, and that a skip is a failure in CI."""

import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

IN_CI = os.environ.get("CI") == "true"

# No deadlines: the machine is shared, and a slow example says nothing about the code.
settings.register_profile("quick", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
# CI runs the same examples every time, so that a red run is about the change at hand; `make slow` looks for new ones.
settings.register_profile("ci", settings.get_profile("quick"), derandomize=True, print_blob=True)
settings.register_profile("deep", settings.get_profile("quick"), max_examples=1000)
settings.load_profile("ci" if IN_CI else "quick")


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """A service or an extra that is missing skips its tests at home; in CI nothing may be missing."""
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report
