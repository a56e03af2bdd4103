"""The histories of loans: one for every path that lenders know, and every activity and message in one of them at least."""

from __future__ import annotations

import json

import pytest

from tests.replay.canonical import payload_value
from tests.replay.paths import LOAN_PATHS, LOAN_SECOND_RUNS
from tests.replay.record import HISTORIES
from workers.registry import LOAN_WORKFLOWS
from workflows.loans.loan import LoanWorkflow

MUST_BE_RECORDED = {
    "approved, disbursed, paid off": "loan_paid_off_by_its_mandate",
    "declined": "loan_declined",
    "referred, approved by a second person": "loan_referred_then_approved_by_two",
    "withdrawn": "loan_withdrawn",
    "offer expired": "loan_offer_expired",
    "disbursement fails, tried again": "loan_payout_refused_then_tried_again",
    "disbursement undone after the payout": "loan_payout_failed_while_activating",
    "missed instalment, late fee, catch-up": "loan_missed_then_caught_up",
    "prepayment": "loan_prepaid_for_a_lower_instalment",
    "restructure": "loan_restructured",
    "pause": "loan_paused_and_resumed",
    "charge-off, write-off, recovery": "loan_charged_off_written_off_and_recovered",
    "chargeback": "loan_charged_back",
    "overpayment refund": "loan_overpaid_and_refunded",
    "continue as new": "loan_continued_as_new",
    "the run after": "loan_continued_as_new_second_run",
    "tranches": "loan_paid_out_in_tranches",
    "rescheduled": "loan_rescheduled",
    "the loan that takes its place": "loan_rescheduled_successor",
    "write-off undone": "loan_write_off_undone",
    "payout taken back": "loan_payout_taken_back_by_a_person",
    "real time": "loan_in_real_time",
    "terminated": "loan_terminated",
    "reset after its termination": "loan_terminated_recovered",
    "the reconciliation that found it": "loan_terminated_reconciliation",
    "accrual": "loan_accrual",
    "test clock": "loan_clock_advanced",
}


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {path.stem: path.read_text() for path in sorted(HISTORIES.glob("loan_*.json"))}


@pytest.mark.parametrize("path", MUST_BE_RECORDED.values(), ids=MUST_BE_RECORDED.keys())
def test_each_path_that_lenders_know_has_a_history(texts: dict[str, str], path: str) -> None:
    assert path in texts


def test_the_histories_of_loans_are_those_of_the_recorders_paths(texts: dict[str, str]) -> None:
    assert set(texts) == set(LOAN_PATHS) | LOAN_SECOND_RUNS, "record them anew: python -m tests.replay.record 'loan_*'"


def test_every_workflow_of_loans_has_a_history(texts: dict[str, str]) -> None:
    started = [
        json.loads(text)["events"][0]["workflowExecutionStartedEventAttributes"]["workflowType"]["name"]
        for text in texts.values()
    ]
    assert set(started) == {workflow.__name__ for workflow in LOAN_WORKFLOWS}


def test_every_activity_that_loans_call_is_recorded(texts: dict[str, str]) -> None:
    called = set()
    for text in texts.values():
        for event in json.loads(text)["events"]:
            if scheduled := event.get("activityTaskScheduledEventAttributes"):
                called.add(scheduled["activityType"]["name"])
            if marker := event.get("markerRecordedEventAttributes"):
                called.add(payload_value(marker["details"]["data"]["payloads"][0]["data"])["activity_type"])
    assert called >= {
        *("record_origination", "record_disbursement", "record_servicing", "read_exposure"),
        *("screen_applicant", "ask_bureau", "accrue_portfolio", "show_clock", "advance_loans"),
    }


def test_every_update_that_a_loan_takes_is_recorded(texts: dict[str, str]) -> None:
    sent = {
        accepted["acceptedRequest"]["input"]["name"]
        for text in texts.values()
        for event in json.loads(text)["events"]
        if (accepted := event.get("workflowExecutionUpdateAcceptedEventAttributes"))
        and "acceptedRequest" in accepted  # after a reset, it is in the event of the reset that hands it on
    }
    taken = {defined.name for value in vars(LoanWorkflow).values() if (defined := getattr(value, "_defn", None))}
    assert taken
    assert taken <= sent
