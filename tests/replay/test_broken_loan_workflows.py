"""The replay tells when a change would break loans in flight: each broken workflow fails on a recorded history."""

from __future__ import annotations

import logging

import pytest
from temporalio.client import WorkflowHistory

from tests.replay import broken_loan_workflows as broken
from tests.replay.record import HISTORIES
from workers.replay import Failure, replay


@pytest.fixture(autouse=True)
def _no_tracebacks_of_what_is_broken_on_purpose(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "temporalio")


async def failures_of(workflow: type, history: str) -> list[Failure]:
    recorded = WorkflowHistory.from_json(history, (HISTORIES / f"{history}.json").read_text())
    replayed = await replay([recorded], workflows=[workflow])
    assert replayed.histories == 1
    assert replayed.passed is not bool(replayed.failures)
    return replayed.failures


@pytest.mark.parametrize("history", ["loan_paid_off_by_its_mandate", "loan_continued_as_new_second_run"])
async def test_a_loan_derived_without_a_change_replays(history: str) -> None:
    assert await failures_of(broken.Unchanged, history) == []


@pytest.mark.parametrize(
    ("workflow", "history"),
    [
        (broken.ScreenedTwice, "loan_declined"),
        (broken.WrittenByAnother, "loan_declined"),
        (broken.PaidOutTwice, "loan_paid_off_by_its_mandate"),
        (broken.NeverCollects, "loan_missed_then_caught_up"),
        (broken.TimerAdded, "loan_withdrawn"),
        (broken.SearchAttributeAdded, "loan_withdrawn"),
        (broken.NeverContinuesAsNew, "loan_continued_as_new"),
        (broken.AccruedTwice, "loan_accrual"),
        (broken.ClockWaits, "loan_clock_advanced"),
    ],
)
async def test_a_loan_that_goes_another_way_fails_as_nondeterministic(workflow: type, history: str) -> None:
    (failure,) = await failures_of(workflow, history)
    assert failure.is_nondeterminism, str(failure)
    assert not failure.uncached
    assert failure.workflow_id == history


async def test_a_loan_that_raises_fails_too() -> None:
    (failure,) = await failures_of(broken.Raises, "loan_declined")
    assert not failure.is_nondeterminism
    assert "no such thing" in str(failure)
