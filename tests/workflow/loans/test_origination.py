"""From the application to the offer: approved, declined, referred, lapsed, withdrawn."""

from __future__ import annotations

import asyncio
from datetime import date

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from activities.screening_port import ScreeningOutcome
from domain.loans.application import Income
from domain.loans.credit import Outcome, Reason
from domain.loans.proposals import ProposalKind
from domain.loans.status import LoanStatus
from tests.support.loan_world import LoanWorld, application
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import (
    AcceptOffer,
    ApproveApplication,
    CheckProposal,
    DeclineApplication,
    WithdrawApplication,
)


def code_of(error: pytest.ExceptionInfo[WorkflowUpdateFailedError]) -> str | None:
    assert isinstance(error.value.cause, ApplicationError)
    return error.value.cause.type


async def test_a_good_application_is_offered_in_one_call(loans: LoanWorld) -> None:
    loan, _ = await loans.apply()
    assert loan.status is LoanStatus.OFFERED
    assert loan.decision is not None
    assert loan.decision.outcome is Outcome.APPROVE
    assert loan.offer_expires_on == date(2026, 2, 14)
    assert loan.apr_percent is not None
    assert loan.first_instalment_minor == 10_662
    assert loans.book.story(loan.id) == ["applied", "kyc_cleared", "offered"]


async def test_the_same_application_twice_is_one_loan(loans: LoanWorld) -> None:
    asked = application()
    first, _ = await loans.apply(asked)
    second, _ = await loans.apply(asked)
    assert first == second


async def test_a_poor_score_is_declined_with_the_reasons_of_a_letter(loans: LoanWorld) -> None:
    loans.providers.score = 500
    loan, handle = await loans.apply()
    assert loan.status is LoanStatus.REJECTED
    assert loan.decision is not None
    assert loan.decision.reasons == (Reason.BUREAU_SCORE,)
    assert loan.letter == ("Poor credit performance in the bureau report",)
    assert (await handle.result()).status is LoanStatus.REJECTED
    assert loans.ledger.entries == {}


async def test_what_the_applicant_owes_us_already_counts(loans: LoanWorld) -> None:
    loans.book.owed_elsewhere = 6_000_000
    loan, _ = await loans.apply()
    assert loan.status is LoanStatus.REJECTED
    assert loan.decision is not None
    assert Reason.EXCESSIVE_OBLIGATIONS in loan.decision.reasons


async def test_a_bureau_that_knows_nothing_leaves_the_decision_to_a_person(loans: LoanWorld) -> None:
    loans.providers.score = None
    loan, handle = await loans.apply()
    assert loan.status is LoanStatus.UNDERWRITING
    assert loan.decision is not None
    assert loan.decision.reasons == (Reason.INCOMPLETE,)
    await handle.execute_update(LoanWorkflow.withdraw, WithdrawApplication())


async def test_a_referred_application_needs_two_persons(loans: LoanWorld) -> None:
    loans.providers.score = 640
    _, handle = await loans.apply()
    await handle.execute_update(LoanWorkflow.approve_application, ApproveApplication("ana", "steady income"))
    (proposal,) = (await handle.query(LoanWorkflow.progress)).proposals
    assert proposal.kind is ProposalKind.APPROVAL
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(LoanWorkflow.check_proposal, CheckProposal(proposal.number, "ana"))
    assert code_of(refused) == "second_person_required"
    loan = await handle.execute_update(LoanWorkflow.check_proposal, CheckProposal(proposal.number, "ben"))
    assert loan.status is LoanStatus.OFFERED
    assert loan.decided_by == "ana, ben"


async def test_a_second_person_may_say_no_to_a_proposal(loans: LoanWorld) -> None:
    loans.providers.score = 640
    _, handle = await loans.apply()
    await handle.execute_update(LoanWorkflow.approve_application, ApproveApplication("ana"))
    loan = await handle.execute_update(LoanWorkflow.check_proposal, CheckProposal(1, "ben", approve=False))
    assert loan.status is LoanStatus.UNDERWRITING
    assert (await handle.query(LoanWorkflow.progress)).proposals == ()
    declined = await handle.execute_update(LoanWorkflow.decline_application, DeclineApplication("ben", "too thin"))
    assert declined.status is LoanStatus.REJECTED
    assert declined.decision is not None
    assert declined.decision.reasons == (Reason.BUREAU_SCORE,)


async def test_a_sanctions_match_is_rejected_without_tipping_off(loans: LoanWorld) -> None:
    loans.providers.outcome = ScreeningOutcome.MATCH
    loan, _ = await loans.apply()
    assert loan.status is LoanStatus.REJECTED
    assert loan.failure_code == "sanctions_match"
    assert "TEST SANCTIONED PARTY" not in str(loan)


async def test_a_weak_match_waits_for_two_persons_and_goes_on(loans: LoanWorld) -> None:
    loans.providers.outcome = ScreeningOutcome.WEAK_MATCH
    loan, handle = await loans.apply()
    assert loan.status is LoanStatus.KYC_PENDING
    assert loan.screening_outcome == "weak_match"
    await handle.execute_update(LoanWorkflow.approve_application, ApproveApplication("ana"))
    cleared = await handle.execute_update(LoanWorkflow.check_proposal, CheckProposal(1, "ben"))
    assert cleared.status is LoanStatus.OFFERED


async def test_a_screening_without_an_answer_is_asked_again(loans: LoanWorld) -> None:
    loans.providers.silent_times = 1
    loan, _ = await loans.apply()
    assert loan.status is LoanStatus.OFFERED


async def test_an_application_is_withdrawn_while_the_screening_is_silent(loans: LoanWorld) -> None:
    loans.providers.silent_times = 1_000
    asked = application()
    applying = asyncio.create_task(loans.apply(asked))
    handle = loans.handle(asked.id)
    async with asyncio.timeout(20):
        while loans.book.story(asked.id) != ["applied"]:
            await asyncio.sleep(0.01)
    withdrawn = await handle.execute_update(LoanWorkflow.withdraw, WithdrawApplication("found another"))
    assert withdrawn.status is LoanStatus.WITHDRAWN_BY_CLIENT
    assert (await applying)[0].status is LoanStatus.WITHDRAWN_BY_CLIENT
    assert (await handle.result()).failure_message == "found another"


async def test_an_offer_lapses_when_nobody_accepts_it(loans: LoanWorld) -> None:
    _, handle = await loans.apply()
    await handle.signal(LoanWorkflow.advance_clock, date(2026, 2, 14))
    assert (await handle.query(LoanWorkflow.progress)).loan.status is LoanStatus.OFFERED
    await handle.signal(LoanWorkflow.advance_clock, date(2026, 2, 15))
    lapsed = await handle.result()
    assert lapsed.status is LoanStatus.WITHDRAWN_BY_CLIENT
    assert lapsed.failure_code == "offer_expired"


async def test_an_offer_can_be_withdrawn_but_not_accepted_afterwards(loans: LoanWorld) -> None:
    _, handle = await loans.apply()
    await handle.execute_update(LoanWorkflow.withdraw, WithdrawApplication())
    assert (await handle.result()).status is LoanStatus.WITHDRAWN_BY_CLIENT


async def test_nobody_accepts_twice(loans: LoanWorld) -> None:
    _, handle = await loans.active()
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(LoanWorkflow.accept, AcceptOffer())
    assert code_of(refused) == "illegal_transition"
    assert loans.ledger.posted["borrower"] == 120_000


async def test_a_low_income_is_declined_by_its_ratios(loans: LoanWorld) -> None:
    loan, _ = await loans.apply(application(income=Income(20_000, 0)))
    assert loan.status is LoanStatus.REJECTED
    assert loan.decision is not None
    assert Reason.INSUFFICIENT_INCOME in loan.decision.reasons
