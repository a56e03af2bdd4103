"""Money of a loan that has moved and is not booked on it, and payments ended from outside: it is booked once, and moved once."""

from __future__ import annotations

import asyncio
from datetime import date

import pytest
from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateStage
from temporalio.exceptions import ApplicationError

from domain.ids import loan_payment_id
from domain.loans.application import Mandate
from domain.loans.status import LoanStatus
from domain.payments.payment import PaymentKind
from domain.payments.record import PaymentRecord, RecordOutcome
from domain.payments.status import PaymentStatus
from tests.support.fake_gateway import Fault
from tests.support.loan_world import LoanHandle, LoanWorld, application
from tests.workflow.loans.test_adoption import until
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import (
    AcceptOffer,
    CheckProposal,
    LoanCommand,
    PauseLoan,
    PayOff,
    Recover,
    RefundOverpayment,
    Repay,
    WriteOff,
)

CLOSED_ACCOUNT = "debit_account_closed"


async def refused(handle: LoanHandle, update: object, command: LoanCommand) -> str | None:
    """Send a command and return the code of its refusal."""
    with pytest.raises(WorkflowUpdateFailedError) as error:
        await handle.execute_update(update, command)  # type: ignore[call-overload]
    assert isinstance(error.value.cause, ApplicationError)
    return error.value.cause.type


async def until_it_waits_for(handle: LoanHandle, words: str) -> None:
    async with asyncio.timeout(20):
        while words not in (await handle.query(LoanWorkflow.progress)).waits_for:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(("update", "command"), [(LoanWorkflow.repay, Repay(5_000)), (LoanWorkflow.pay_off, PayOff())])
async def test_a_repayment_that_the_ledger_would_not_book_is_booked_before_anything_else_and_taken_once(
    loans: LoanWorld, update: object, command: Repay | PayOff
) -> None:
    loan, handle = await loans.active()
    amount = command.amount_minor if isinstance(command, Repay) else 120_000
    before = loans.book.balance("borrower")
    loans.book.refuse["repaid"] = CLOSED_ACCOUNT
    assert await refused(handle, update, command) == "LedgerRefused"
    await until_it_waits_for(handle, "a person to look")
    assert await refused(handle, LoanWorkflow.repay, Repay(700)) == "LedgerRefused"
    assert loans.book.balance("borrower") == before - amount
    loans.book.refuse.clear()
    if isinstance(command, Repay):
        await handle.execute_update(LoanWorkflow.pause, PauseLoan(date(2050, 1, 1), "ana"))
    else:
        assert await refused(handle, LoanWorkflow.repay, Repay(700)) == "illegal_transition"
    assert [each.amount for each in loans.book.repayments.values()] == [amount]
    assert loans.book.balance("borrower") == before - amount
    assert loans.book.loans[loan.id].principal_outstanding_minor == 120_000 - amount


async def test_a_collection_that_the_ledger_would_not_book_is_not_made_again(loans: LoanWorld) -> None:
    _, handle = await loans.active()
    kept = loans.take("borrower")
    await loans.advance(handle, date(2026, 2, 16))
    loans.give("borrower", kept)
    before = loans.book.balance("borrower") + loans.ledger.funds["borrower"]
    loans.book.refuse["repaid"] = CLOSED_ACCOUNT
    await handle.signal(LoanWorkflow.advance_clock, date(2026, 2, 18))
    await until_it_waits_for(handle, "a person to look")
    for _ in range(2):
        assert await refused(handle, LoanWorkflow.repay, Repay(700)) == "LedgerRefused"
    loans.book.refuse.clear()
    await handle.execute_update(LoanWorkflow.pause, PauseLoan(date(2050, 1, 1), "ana"))
    (booked,) = [each.amount for each in loans.book.repayments.values()]
    assert loans.book.balance("borrower") + loans.ledger.funds["borrower"] == before - booked


async def test_an_overpayment_whose_return_the_ledger_would_not_book_is_returned_once(loans: LoanWorld) -> None:
    loan, handle = await loans.active()
    loans.give("borrower", 30_000)
    await handle.execute_update(LoanWorkflow.repay, Repay(130_000))
    loans.book.refuse["overpayment_refunded"] = CLOSED_ACCOUNT
    for _ in range(2):
        assert await refused(handle, LoanWorkflow.refund_overpayment, RefundOverpayment("ana")) == "LedgerRefused"
    loans.book.refuse.clear()
    assert await refused(handle, LoanWorkflow.refund_overpayment, RefundOverpayment("ana")) == "illegal_transition"
    assert loans.book.loans[loan.id].status is LoanStatus.CLOSED_OBLIGATIONS_MET
    assert loans.ledger.posted["borrower"] + loans.ledger.funds["borrower"] == 30_000


async def test_a_recovery_that_the_ledger_would_not_book_is_taken_once(loans: LoanWorld) -> None:
    loan, handle = await loans.active()
    await handle.execute_update(LoanWorkflow.write_off, WriteOff("ana"))
    await handle.execute_update(LoanWorkflow.check_proposal, CheckProposal(1, "bea", approve=True))
    before = loans.book.balance("borrower")
    loans.book.refuse["recovered"] = CLOSED_ACCOUNT
    for _ in range(2):
        assert await refused(handle, LoanWorkflow.recover, Recover(900, "ana")) == "LedgerRefused"
    loans.book.refuse.clear()
    await handle.execute_update(LoanWorkflow.recover, Recover(100, "ana"))
    assert loans.book.loans[loan.id].recovered_minor == 1_000
    assert loans.book.balance("borrower") == before - 1_000


# A payment ended from outside


def hang_after_writing(loans: LoanWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every transfer be written, and its activity hear nothing of it."""
    write = loans.ledger.record

    async def hang(record: PaymentRecord) -> RecordOutcome:
        outcome = await write(record)
        if record.payment.status is PaymentStatus.SUCCEEDED:
            await asyncio.Event().wait()
        return outcome

    monkeypatch.setattr(loans.ledger, "record", hang)


async def test_a_payout_whose_workflow_was_terminated_after_it_was_booked_stands(
    loans: LoanWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    loan, handle = await loans.apply()
    hang_after_writing(loans, monkeypatch)
    accepting = asyncio.ensure_future(handle.execute_update(LoanWorkflow.accept, AcceptOffer()))
    payment_id = loan_payment_id(loan.id, "disbursement", 1)
    await until(lambda: payment_id in loans.ledger.payments)
    await loans.client.get_workflow_handle(payment_id).terminate("by hand")
    assert (await accepting).status is LoanStatus.ACTIVE
    assert loans.book.balance("borrower") == 120_000
    assert loans.ledger.held == 0


async def test_a_repayment_whose_workflow_was_terminated_after_it_was_booked_counts(
    loans: LoanWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    loan, handle = await loans.active()
    hang_after_writing(loans, monkeypatch)
    repaying = asyncio.ensure_future(handle.execute_update(LoanWorkflow.repay, Repay(5_000)))
    payment_id = loan_payment_id(loan.id, "repayment", 1)
    await until(lambda: payment_id in loans.ledger.payments)
    await loans.client.get_workflow_handle(payment_id).terminate("by hand")
    assert (await repaying).principal_outstanding_minor == 115_000


async def test_a_repayment_that_was_canceled_in_temporal_is_refused_and_leaves_the_loan_alone(loans: LoanWorld) -> None:
    loan, handle = await loans.active(application(mandate=Mandate(PaymentKind.CARD, "tok_good", "sandbox")))
    loans.gateway.faults["authorize"].append(Fault.HANGS_BEFORE)
    repay = await handle.start_update(LoanWorkflow.repay, Repay(5_000), wait_for_stage=WorkflowUpdateStage.ACCEPTED)
    await loans.gateway.reached.wait()
    await loans.client.get_workflow_handle(loan_payment_id(loan.id, "repayment", 1)).cancel()
    with pytest.raises(WorkflowUpdateFailedError) as error:
        await repay.result()
    assert isinstance(error.value.cause, ApplicationError)
    assert error.value.cause.type == "payment_declined"
    assert loans.gateway.net_captured == 0
    assert "cancellation_ignored" not in loans.book.story(loan.id)
