"""The status graph of a loan, against the published one."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest

from domain.errors import IllegalTransition
from domain.loans.status import CODES, TRANSITIONS, LoanAction, LoanStatus, allowed_actions, is_final, transition

PUBLISHED = json.loads((Path(__file__).parents[2] / "vectors" / "loan_states.json").read_text())
ORIGINATION = (
    LoanStatus.DRAFT,
    LoanStatus.KYC_PENDING,
    LoanStatus.UNDERWRITING,
    LoanStatus.OFFERED,
    LoanStatus.ACCEPTED,
)


def test_the_published_transitions_are_met_exactly() -> None:
    ours = {
        (status.value, action.value, target.value)
        for (status, action), target in TRANSITIONS.items()
        if status not in ORIGINATION
    }
    assert ours == {tuple(each) for each in PUBLISHED["transitions"]}


def test_the_published_codes_are_met_exactly() -> None:
    ours = {status.value: code for status, code in CODES.items() if status not in ORIGINATION}
    assert ours == PUBLISHED["codes"]
    assert set(CODES) == set(LoanStatus)


def test_origination_leads_to_an_active_loan() -> None:
    status = LoanStatus.DRAFT
    for action in ("apply", "clear_kyc", "offer", "accept", "submit", "approve", "disburse"):
        status = transition(status, LoanAction(action))
    assert status is LoanStatus.ACTIVE


@pytest.mark.parametrize("status", [*ORIGINATION, LoanStatus.SUBMITTED_AND_PENDING_APPROVAL])
def test_an_applicant_can_withdraw_at_any_time_before_approval(status: LoanStatus) -> None:
    assert transition(status, LoanAction.WITHDRAW) is LoanStatus.WITHDRAWN_BY_CLIENT


def test_an_approved_loan_is_withdrawn_by_taking_the_approval_back_first() -> None:
    submitted = transition(LoanStatus.APPROVED, LoanAction.UNDO_APPROVAL)
    assert transition(submitted, LoanAction.WITHDRAW) is LoanStatus.WITHDRAWN_BY_CLIENT


def test_every_other_transition_is_illegal() -> None:
    for status, action in product(LoanStatus, LoanAction):
        if (status, action) not in TRANSITIONS:
            with pytest.raises(IllegalTransition) as refusal:
                transition(status, action)
            assert (refusal.value.kind, refusal.value.state, refusal.value.action) == (
                "loan",
                status.value,
                action.words,
            )


def test_every_status_can_be_reached_from_a_draft() -> None:
    reached, fresh = set(), {LoanStatus.DRAFT}
    while fresh:
        reached |= fresh
        fresh = {TRANSITIONS[status, action] for status in fresh for action in allowed_actions(status)} - reached
    assert reached == set(LoanStatus)


def test_nothing_leads_out_of_a_final_status() -> None:
    assert {status for status in LoanStatus if is_final(status)} == {
        LoanStatus.REJECTED,
        LoanStatus.WITHDRAWN_BY_CLIENT,
        LoanStatus.CLOSED_RESCHEDULED,
    }
