"""What happens to a running loan. After every record, the fake book proves the receivables against the rows."""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from domain.loans.allocation import Portion
from domain.loans.changes import Restructure, RestructureKind
from domain.loans.restructure import HolidayInterest, PrepaymentEffect
from domain.loans.status import LoanStatus
from tests.support.loan_world import PATIENCE_S, LoanHandle, LoanWorld, application, strict_servicing
from workers.control import count_loans_needing_a_person
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import (
    ChargeOff,
    CheckProposal,
    PauseLoan,
    PayOff,
    Recover,
    RefundOverpayment,
    Repay,
    RestructureLoan,
    ResumeLoan,
    ReverseRepayment,
    WaiveCharge,
    WriteOff,
)
from workflows.visibility import NEEDS_REVIEW


def code_of(error: pytest.ExceptionInfo[WorkflowUpdateFailedError]) -> str | None:
    assert isinstance(error.value.cause, ApplicationError)
    return error.value.cause.type


async def test_a_missed_instalment_is_collected_again_and_costs_a_late_fee(loans: LoanWorld) -> None:
    loan, handle = await loans.active()
    loans.take("borrower")
    late = await loans.advance(handle, date(2026, 2, 21))
    assert late.days_past_due == 6
    assert late.bucket == "1-29"
    assert late.fees_outstanding_minor == 1_500
    assert late.penalties_outstanding_minor > 0
    assert loans.book.story(loan.id).count("collection_failed") == 2
    loans.give("borrower", 20_000)
    caught_up = await loans.advance(handle, date(2026, 2, 22))
    assert caught_up.days_past_due == 0
    assert caught_up.fees_outstanding_minor == 0
    assert caught_up.penalties_outstanding_minor == 0


async def test_a_late_loan_goes_through_the_buckets(loans: LoanWorld) -> None:
    _, handle = await loans.active()
    loans.take("borrower")
    late = await loans.advance(handle, date(2026, 6, 1))
    assert late.days_past_due == 106
    assert late.bucket == "90-119"
    assert late.fees_outstanding_minor == 4 * 1_500


async def test_a_borrower_pays_ahead_and_the_next_collection_takes_the_rest(loans: LoanWorld) -> None:
    loan, handle = await loans.active()
    paid = await handle.execute_update(LoanWorkflow.repay, Repay(5_000))
    assert paid.principal_outstanding_minor == 115_000
    await loans.advance(handle, date(2026, 2, 15))
    assert [each.amount for each in loans.book.repayments.values()] == [5_000, 5_662]
    assert loans.book.loans[loan.id].principal_outstanding_minor == 120_000 - (10_662 - 1_200)


@pytest.mark.parametrize("effect", list(PrepaymentEffect))
async def test_a_prepayment_shortens_the_loan_or_lowers_its_instalments(
    loans: LoanWorld, effect: PrepaymentEffect
) -> None:
    loan, handle = await loans.active()
    await handle.execute_update(LoanWorkflow.repay, Repay(60_000, effect))
    loans.give("borrower", 100_000)
    after = await loans.advance(handle, date(2026, 3, 15))
    if effect is PrepaymentEffect.REDUCE_TERM:
        assert after.maturity_on is not None
        assert after.maturity_on < date(2027, 1, 15)
        assert after.next_due_minor == 10_662
    else:
        assert after.maturity_on == date(2027, 1, 15)
        assert after.next_due_minor < 6_000
    closed = await loans.advance(handle, date(2027, 1, 15))
    assert closed.status is LoanStatus.CLOSED_OBLIGATIONS_MET
    assert loans.book.accrued[loan.id] < 7_942


async def test_a_repayment_that_is_declined_changes_nothing(loans: LoanWorld) -> None:
    _, handle = await loans.active()
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(LoanWorkflow.repay, Repay(500_000))
    assert code_of(refused) == "payment_declined"
    assert (await handle.query(LoanWorkflow.progress)).loan.principal_outstanding_minor == 120_000


async def test_a_payoff_on_any_day_closes_the_loan(loans: LoanWorld) -> None:
    loan, handle = await loans.active()
    loans.give("borrower", 10_000)
    await loans.advance(handle, date(2026, 2, 25))
    quote = await handle.query(LoanWorkflow.payoff_quote, date(2026, 2, 25))
    closed = await handle.execute_update(LoanWorkflow.pay_off, PayOff())
    assert closed.status is LoanStatus.CLOSED_OBLIGATIONS_MET
    assert list(loans.book.repayments.values())[-1].amount == quote.owed.total
    assert closed.outstanding_minor == 0
    assert loans.book.accrued[loan.id] == -loans.book.balance("loans:capital:USD")


async def test_an_overpayment_is_owed_to_the_borrower_and_given_back(loans: LoanWorld) -> None:
    _, handle = await loans.active()
    loans.give("borrower", 30_000)
    overpaid = await handle.execute_update(LoanWorkflow.repay, Repay(130_000))
    assert overpaid.status is LoanStatus.OVERPAID
    assert overpaid.overpaid_minor == 10_000
    closed = await handle.execute_update(LoanWorkflow.refund_overpayment, RefundOverpayment("ana"))
    assert closed.status is LoanStatus.CLOSED_OBLIGATIONS_MET
    assert closed.overpaid_minor == 0
    assert loans.ledger.posted["borrower"] + loans.ledger.funds["borrower"] == 30_000


async def test_a_returned_payment_is_owed_again_since_its_due_date(loans: LoanWorld) -> None:
    _, handle = await loans.active()
    await loans.advance(handle, date(2026, 2, 20))
    back = await handle.execute_update(LoanWorkflow.reverse_repayment, ReverseRepayment(1, "bank", "R01"))
    assert back.status is LoanStatus.ACTIVE
    assert back.days_past_due == 5
    assert back.principal_outstanding_minor == 120_000
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(LoanWorkflow.reverse_repayment, ReverseRepayment(1, "bank", "R01"))
    assert code_of(refused) == "invalid_loan_terms"


async def test_a_returned_payoff_opens_a_closed_loan_again(loans: LoanWorld) -> None:
    _, handle = await loans.active()
    closed = await handle.execute_update(LoanWorkflow.pay_off, PayOff())
    assert closed.status is LoanStatus.CLOSED_OBLIGATIONS_MET
    back = await handle.execute_update(LoanWorkflow.reverse_repayment, ReverseRepayment(1, "bank", "R01"))
    assert back.status is LoanStatus.ACTIVE
    assert back.principal_outstanding_minor == 120_000
    again = await handle.execute_update(LoanWorkflow.pay_off, PayOff())
    assert again.status is LoanStatus.CLOSED_OBLIGATIONS_MET


async def test_a_returned_overpayment_takes_back_what_is_left_of_it(loans: LoanWorld) -> None:
    _, handle = await loans.active()
    loans.give("borrower", 30_000)
    await handle.execute_update(LoanWorkflow.repay, Repay(130_000))
    back = await handle.execute_update(LoanWorkflow.reverse_repayment, ReverseRepayment(1, "bank", "R01"))
    assert back.status is LoanStatus.ACTIVE
    assert back.overpaid_minor == 0
    assert back.outstanding_minor == 120_000


async def test_a_closed_loan_ends_when_no_payment_can_be_taken_back_any_more(loans: LoanWorld) -> None:
    _, handle = await loans.active()
    await handle.execute_update(LoanWorkflow.pay_off, PayOff())
    await handle.signal(LoanWorkflow.advance_clock, date(2026, 7, 14))
    ended = await handle.result()
    assert ended.status is LoanStatus.CLOSED_OBLIGATIONS_MET


async def test_a_waived_late_fee_is_owed_no_more(loans: LoanWorld) -> None:
    _, handle = await loans.active()
    loans.take("borrower")
    await loans.advance(handle, date(2026, 2, 21))
    waived = await handle.execute_update(LoanWorkflow.waive_charge, WaiveCharge(1, Portion.FEE, 1_500, "ana", "first"))
    assert waived.fees_outstanding_minor == 0
    assert loans.book.balance("loans:fee_income:USD") == 0


async def test_a_paused_loan_is_neither_collected_nor_charged(loans: LoanWorld) -> None:
    loan, handle = await loans.active()
    await handle.execute_update(LoanWorkflow.pause, PauseLoan(date(2026, 3, 1), "ana", "flood"))
    paused = await loans.advance(handle, date(2026, 2, 25))
    assert paused.days_past_due == 10
    assert paused.fees_outstanding_minor == paused.penalties_outstanding_minor == 0
    assert not loans.book.repayments
    resumed = await handle.execute_update(LoanWorkflow.resume, ResumeLoan("ana"))
    assert resumed.paused_until is None
    assert loans.book.story(loan.id)[-1] == "resumed"


RESTRUCTURES = [
    Restructure(RestructureKind.RE_AGE, first_due_on=date(2026, 5, 1), instalments=18),
    Restructure(RestructureKind.RE_AGE, first_due_on=date(2026, 5, 1), instalments=6, capitalize_interest=True),
    Restructure(RestructureKind.RE_AMORTIZE),
    Restructure(RestructureKind.CHANGE_RATE, effective_on=date(2026, 5, 1), annual_rate_percent=Decimal(6)),
    Restructure(RestructureKind.PAYMENT_HOLIDAY, instalments=2, holiday_interest=HolidayInterest.DEFERRED),
    Restructure(RestructureKind.PAYMENT_HOLIDAY, instalments=1, holiday_interest=HolidayInterest.WAIVED),
]


@pytest.mark.parametrize("change", RESTRUCTURES, ids=lambda change: f"{change.kind}")
async def test_a_restructured_loan_is_paid_to_the_last_cent(loans: LoanWorld, change: Restructure) -> None:
    loan, handle = await loans.active()
    loans.take("borrower")
    await loans.advance(handle, date(2026, 3, 25))
    proposed = await handle.execute_update(LoanWorkflow.restructure, RestructureLoan(change, "ana"))
    before = proposed.outstanding_minor
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(LoanWorkflow.check_proposal, CheckProposal(1, " ana "))
    assert code_of(refused) == "second_person_required"
    after = await handle.execute_update(LoanWorkflow.check_proposal, CheckProposal(1, "ben"))
    if change.kind in (RestructureKind.RE_AGE, RestructureKind.RE_AMORTIZE):
        assert after.days_past_due == 0
    if change.kind is RestructureKind.RE_AGE:
        assert after.outstanding_minor == before
    loans.give("borrower", 300_000)
    closed = await loans.advance(handle, date(2028, 3, 15))
    assert closed.status is LoanStatus.CLOSED_OBLIGATIONS_MET, closed
    assert loans.book.balance(f"loan:{loan.id}:interest") == 0


@pytest.mark.parametrize("approve", [True, False])
async def test_a_proposal_that_waits_for_a_second_person_is_found_among_what_needs_one(
    loans: LoanWorld, *, approve: bool
) -> None:
    _, handle = await loans.active()
    before = await count_loans_needing_a_person(loans.client)
    change = Restructure(RestructureKind.RE_AMORTIZE)
    for proposed in (LoanWorkflow.restructure, LoanWorkflow.write_off):
        message = RestructureLoan(change, "ana") if proposed is LoanWorkflow.restructure else WriteOff("ana")
        await handle.execute_update(proposed, message)
        assert "second person" in (await handle.query(LoanWorkflow.progress)).waits_for
        assert await _needs_review(handle)
    async with asyncio.timeout(PATIENCE_S):  # lists are written a moment later
        while await count_loans_needing_a_person(loans.client) != before + 1:
            await asyncio.sleep(0.05)
    await handle.execute_update(LoanWorkflow.check_proposal, CheckProposal(1, "ben", approve=approve))
    assert await _needs_review(handle), "the write-off is undecided"
    await handle.execute_update(LoanWorkflow.check_proposal, CheckProposal(2, "ben", approve=approve))
    assert "second person" not in (await handle.query(LoanWorkflow.progress)).waits_for
    assert not await _needs_review(handle)


async def _needs_review(handle: LoanHandle) -> bool:
    return (await handle.describe()).typed_search_attributes[NEEDS_REVIEW]


async def test_a_restructure_with_terms_that_cannot_be_is_refused_at_once(loans: LoanWorld) -> None:
    _, handle = await loans.active()
    change = Restructure(RestructureKind.RE_AGE, first_due_on=date(2026, 1, 1), instalments=6)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(LoanWorkflow.restructure, RestructureLoan(change, "ana"))
    assert code_of(refused) == "invalid_loan_terms"


async def test_a_loan_is_charged_off_written_off_and_recovered(loans: LoanWorld) -> None:
    loan, handle = await loans.active()
    loans.take("borrower")
    await loans.advance(handle, date(2026, 7, 20))
    off = await handle.execute_update(LoanWorkflow.charge_off, ChargeOff("ana"))
    assert off.status is LoanStatus.ACTIVE
    assert off.charged_off_on == date(2026, 7, 20)
    losses = -loans.book.balance("loans:credit_losses:USD")
    assert losses == off.outstanding_minor
    loans.give("borrower", 5_000)
    await handle.execute_update(LoanWorkflow.repay, Repay(5_000))
    assert loans.book.balance("loans:recoveries:USD") == 5_000
    await loans.advance(handle, date(2026, 8, 20))
    await handle.execute_update(LoanWorkflow.write_off, WriteOff("ana"))
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(LoanWorkflow.check_proposal, CheckProposal(1, "ana"))
    assert code_of(refused) == "second_person_required"
    gone = await handle.execute_update(LoanWorkflow.check_proposal, CheckProposal(1, "ben"))
    assert gone.status is LoanStatus.CLOSED_WRITTEN_OFF
    assert gone.outstanding_minor == 0
    assert gone.written_off_minor > 0
    assert loans.book.balance(f"loan:{loan.id}:allowance") == 0
    assert -loans.book.balance("loans:credit_losses:USD") == losses
    loans.give("borrower", 2_000)
    recovered = await handle.execute_update(LoanWorkflow.recover, Recover(2_000, "ana"))
    assert recovered.recovered_minor == 2_000
    assert loans.book.balance("loans:recoveries:USD") == 7_000


async def test_a_write_off_without_a_charge_off_is_a_loss(loans: LoanWorld) -> None:
    _, handle = await loans.active()
    await handle.execute_update(LoanWorkflow.write_off, WriteOff("ana"))
    gone = await handle.execute_update(LoanWorkflow.check_proposal, CheckProposal(1, "ben"))
    assert gone.status is LoanStatus.CLOSED_WRITTEN_OFF
    assert -loans.book.balance("loans:credit_losses:USD") == 120_000


async def test_an_actor_must_be_named(loans: LoanWorld) -> None:
    _, handle = await loans.active()
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(LoanWorkflow.charge_off, ChargeOff("  "))
    assert code_of(refused) == "domain_error"


async def test_reminders_come_before_the_due_date(loans: LoanWorld) -> None:
    loan, handle = await loans.active(application(servicing=strict_servicing(reminder_days=(3,))))
    await loans.advance(handle, date(2026, 2, 12))
    assert loans.book.story(loan.id)[-2:] == ["reminded", "clock_advanced"]


async def test_the_same_command_twice_is_done_once(loans: LoanWorld) -> None:
    _, handle = await loans.active()
    for _ in range(2):
        await handle.execute_update(LoanWorkflow.repay, Repay(1_000), id="upd_1")
    assert len(loans.book.repayments) == 1


async def test_a_loan_tells_what_it_waits_for(loans: LoanWorld) -> None:
    _, handle = await loans.active()
    progress = await handle.query(LoanWorkflow.progress)
    assert progress.wakes_on == date(2026, 2, 15)
    assert progress.waits_for == "the next day of its agenda, or a command"
    assert len(progress.instalments) == 12
