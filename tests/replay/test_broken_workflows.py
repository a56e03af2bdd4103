"""The replay tells when a change would break workflows in flight: each broken workflow fails on a recorded history."""

from __future__ import annotations

import logging

import pytest
from temporalio.client import WorkflowHistory

from tests.replay import broken_workflows as broken
from tests.replay.record import HISTORIES
from workers.replay import Failure, replay
from workflows.payments.payment import PaymentWorkflow


@pytest.fixture(autouse=True)
def _no_tracebacks_of_what_is_broken_on_purpose(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "temporalio")


def recorded(name: str) -> WorkflowHistory:
    return WorkflowHistory.from_json(name, (HISTORIES / f"{name}.json").read_text())


async def failures_of(workflow: type, history: str) -> list[Failure]:
    replayed = await replay([recorded(history)], workflows=[workflow])
    assert replayed.histories == 1
    assert replayed.passed is not bool(replayed.failures)
    return replayed.failures


@pytest.mark.parametrize("history", ["charged_at_once", "captured_by_hand", "reviewed_and_retried"])
async def test_a_workflow_derived_without_a_change_replays(history: str) -> None:
    assert await failures_of(broken.Unchanged, history) == []


@pytest.mark.parametrize(
    ("workflow", "history"),
    [
        (broken.LocalActivityRemoved, "captured_by_hand"),
        (broken.LocalActivityRetyped, "charged_at_once"),
        (broken.LocalActivityMadeOrdinary, "captured_by_hand"),
        (broken.ActivityRetyped, "captured_by_hand"),
        (broken.StepsSwapped, "charged_at_once"),
        (broken.TimerAdded, "charged_at_once"),
        (broken.SearchAttributeAdded, "charged_at_once"),
        (broken.EndsEarly, "captured_by_hand"),
        (broken.RefundGivenTwice, "refunded_whole"),
    ],
)
async def test_a_workflow_that_goes_another_way_fails_as_nondeterministic(workflow: type, history: str) -> None:
    (failure,) = await failures_of(workflow, history)
    assert failure.is_nondeterminism, str(failure)
    assert not failure.uncached
    assert failure.workflow_id == history


async def test_a_workflow_that_raises_fails_too() -> None:
    (failure,) = await failures_of(broken.Raises, "charged_at_once")
    assert not failure.is_nondeterminism
    assert "no such thing" in str(failure)


async def test_one_bad_history_among_good_ones_is_named_and_the_others_replay() -> None:
    good, bad = recorded("charged_at_once"), recorded("captured_by_hand")
    swapped = [event for event in bad.events if not event.HasField("marker_recorded_event_attributes")]
    for number, event in enumerate(swapped, start=1):
        event.event_id = number
    replayed = await replay([good, WorkflowHistory(bad.workflow_id, swapped)], workflows=[PaymentWorkflow])
    assert replayed.histories == 2
    assert [failure.workflow_id for failure in replayed.failures] == ["captured_by_hand"]
