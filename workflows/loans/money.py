"""Money of a loan moves through the payment path: each movement is a payment of its own, visible like any other.

Invariants
- A payment's id is made of the loan's id, its purpose and its number, so a movement happens once.
- Once begun, a movement is waited for, whatever cancels the loan meanwhile; it ends with the payment's own status.
- A payment or refund that exists already, because the loan's workflow was reset, is waited for and not begun again. One whose
  workflow was ended from outside is too: its row says how it ended, or reconciliation ends it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, ChildWorkflowError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

from activities.payment_book import PaymentBookActivities
from activities.payment_book_port import RefundRecord
from domain.ids import chargeback_id, clearing_account, effect_key, loan_payment_id, loan_refund_id
from domain.loans.account import Repayment
from domain.loans.application import Mandate
from domain.loans.booking import accounts_of
from domain.loans.loan import Loan
from domain.loans.payout import Payout
from domain.payments import explain
from domain.payments.booking import charge_back
from domain.payments.payment import CaptureMethod, Payment, PaymentKind
from domain.payments.record import TimelineEvent
from domain.payments.refund import Refund, RefundStatus
from domain.payments.status import PaymentStatus
from workflows.loans.journal import LEDGER_REFUSED
from workflows.loans.policies import ADOPTION_PAUSE_MAX, ADOPTION_PAUSE_MIN, MAX_ADOPTION_POLLS, MAX_UNWRITTEN_POLLS
from workflows.payments.messages import PaymentOrder, RefundOrder
from workflows.payments.payment import PaymentWorkflow
from workflows.payments.refund import RefundWorkflow
from workflows.policies import BOOK_RETRY, BOOK_TIMEOUT
from workflows.saga import shielded
from workflows.visibility import of_payment

PAYOUT = "disbursement"
"""The purpose of payments that pay a loan out."""

Movement = TypeVar("Movement", Payment, Refund)
Read = Callable[[PaymentBookActivities, str, str], Awaitable[Movement | None]]
"""The activity that reads one."""

PAYOUT_NOT_RETURNED = "PayoutNotReturned"
"""Failure type: money that was paid out could not be taken back. A person must look."""


class LoanMoney:
    """Moves money for one loan. `task_queue` is where payments are served (None: where the loan is)."""

    def __init__(self, task_queue: str | None) -> None:
        self._task_queue = task_queue

    async def collect(self, loan: Loan, amount_minor: int, source: Mandate, purpose: str, number: int) -> Payment:
        """Take money from the borrower to the funding account; returns the payment as it ended, paid or not."""
        return await self._pay(loan, self._from_borrower(loan, amount_minor, source, purpose, number))

    def _from_borrower(self, loan: Loan, amount_minor: int, source: Mandate, purpose: str, number: int) -> Payment:
        currency = loan.currency
        debit = source.source if source.kind is PaymentKind.WALLET else clearing_account(source.gateway, currency)
        return Payment(
            loan.tenant_id,
            loan_payment_id(loan.id, purpose, number),
            source.kind,
            amount_minor,
            currency,
            CaptureMethod.AUTOMATIC,
            debit,
            loan.application.funding_account,
            workflow.now(),
            PaymentStatus.REQUIRES_CONFIRMATION,
            gateway=source.gateway,
            payment_method=source.source,
            customer=loan.application.applicant.customer,
            description=f"{purpose.replace('_', ' ').capitalize()} of loan {loan.id}",
            metadata={"loan_id": loan.id, "purpose": purpose},
            trace_id=loan.application.trace_id,
        )

    async def send(self, loan: Loan, amount_minor: int, debit: str, purpose: str, number: int) -> Payment:
        """Pay the borrower's wallet from an account of the lender; returns the payment as it ended."""
        return await self._pay(loan, self._to_borrower(loan, amount_minor, debit, purpose, number))

    def _to_borrower(self, loan: Loan, amount_minor: int, debit: str, purpose: str, number: int) -> Payment:
        return Payment(
            loan.tenant_id,
            loan_payment_id(loan.id, purpose, number),
            PaymentKind.WALLET,
            amount_minor,
            loan.currency,
            CaptureMethod.AUTOMATIC,
            debit,
            loan.application.payout_account,
            workflow.now(),
            PaymentStatus.REQUIRES_CONFIRMATION,
            payment_method=debit,
            description=f"{purpose.replace('_', ' ').capitalize()} of loan {loan.id}",
            metadata={"loan_id": loan.id, "purpose": purpose},
            trace_id=loan.application.trace_id,
        )

    async def pay_out(self, loan: Loan, payout: Payout) -> Payment:
        """Pay what was reserved for a payout to the borrower's wallet; returns the payment as it ended."""
        return await self.send(loan, payout.amount, accounts_of(loan).payout, PAYOUT, payout.number)

    def payout_of(self, loan: Loan, payout: Payout) -> Payment:
        """Return the payment that a payout was, as it ended, also years later."""
        paid = self._to_borrower(loan, payout.amount, accounts_of(loan).payout, PAYOUT, payout.number)
        return replace(paid, status=PaymentStatus.SUCCEEDED, amount_captured_minor=payout.amount)

    async def take_back(self, loan: Loan, payment: Payment, number: int) -> None:
        """Refund a payout. Raises ApplicationError of type PAYOUT_NOT_RETURNED when the borrower's wallet has too little.

        `number` is never used twice for a loan: a refund that failed has ended, and another try is another refund.
        """
        refund = Refund(
            loan.tenant_id,
            loan_refund_id(payment.id, number),
            payment.id,
            payment.amount_captured_minor,
            payment.currency,
            workflow.now(),
            reason="disbursement_undone",
        )
        ended, _ = await shielded(self._refund_once(loan, refund, payment))
        if ended.status is not RefundStatus.SUCCEEDED:
            raise ApplicationError(
                f"The payout {payment.id} was not returned: {explain.shortfall(ended)}",
                type=PAYOUT_NOT_RETURNED,
                non_retryable=True,
            )

    async def _refund_once(self, loan: Loan, refund: Refund, payment: Payment) -> Refund:
        try:
            return await workflow.execute_child_workflow(
                RefundWorkflow.run,
                RefundOrder(refund, payment),
                id=refund.id,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                task_queue=self._task_queue,
                parent_close_policy=ParentClosePolicy.ABANDON,
                static_summary=f"Payout of loan {loan.id} taken back",
            )
        except WorkflowAlreadyStartedError:
            return await self._adopt("refund", refund, PaymentBookActivities.read_refund, is_over=False)
        except ChildWorkflowError:
            return await self._adopt("refund", refund, PaymentBookActivities.read_refund, is_over=True)

    async def charge_back(self, loan: Loan, repayment: Repayment, reason: str) -> None:
        """Note on a repayment's payment that its money was taken back, and move it: the payment counts as refunded then.

        Raises ApplicationError of type LEDGER_REFUSED when it was refunded already, or the lender's account is short of it.
        """
        source = Mandate(PaymentKind.WALLET, repayment.source)  # by now, cards are a ledger account as well
        payment = self._from_borrower(loan, repayment.amount, source, "repayment", repayment.number)
        payment, now = replace(payment, id=repayment.payment_id), workflow.now()
        refund = Refund(
            loan.tenant_id,
            chargeback_id(payment.id),
            payment.id,
            repayment.amount,
            loan.currency,
            now,
            RefundStatus.SUCCEEDED,
            reason=f"chargeback: {reason}",
        )
        entry = charge_back(payment, refund.id, repayment.amount)
        event = TimelineEvent(
            effect_key(refund.id, "charged_back", refund.version),
            "charged_back",
            f"Taken back ({reason}): repayment {repayment.number} of loan {loan.id} is owed again",
            now,
            refund.id,
            repayment.amount,
            entry.key,
        )
        outcome, _ = await shielded(
            workflow.execute_activity_method(
                PaymentBookActivities.open_refund,
                RefundRecord(refund, (event,), entry, open=True),
                task_queue=self._task_queue,
                start_to_close_timeout=BOOK_TIMEOUT,
                retry_policy=BOOK_RETRY,
                summary=event.text,
            )
        )
        if not outcome.booked:
            raise ApplicationError(
                f"The payment {payment.id} cannot be charged back: {outcome.result}. {outcome.detail}".strip(),
                type=LEDGER_REFUSED,
                non_retryable=True,
            )

    async def _pay(self, loan: Loan, payment: Payment) -> Payment:
        ended, _ = await shielded(self._pay_once(loan, payment))
        return ended

    async def _pay_once(self, loan: Loan, payment: Payment) -> Payment:
        try:
            return await workflow.execute_child_workflow(
                PaymentWorkflow.run,
                PaymentOrder(payment),
                id=payment.id,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                task_queue=self._task_queue,
                parent_close_policy=ParentClosePolicy.ABANDON,
                search_attributes=of_payment(payment),
                static_summary=f"{explain.summary(payment)} ({loan.id})",
            )
        except WorkflowAlreadyStartedError:
            return await self._adopt("payment", payment, PaymentBookActivities.read_payment, is_over=False)
        except ChildWorkflowError:
            return await self._adopt("payment", payment, PaymentBookActivities.read_payment, is_over=True)

    async def _adopt(self, what: str, begun: Movement, read: Read[Movement], *, is_over: bool) -> Movement:
        """Wait until the row of a payment or refund says how it ended, and return it as it is written.

        An earlier run of the loan began it (after a reset, the same step finds it by its id), or its workflow was ended from
        outside (`is_over`); one that had written nothing by then has failed.
        """
        pause = ADOPTION_PAUSE_MIN
        for poll in range(MAX_ADOPTION_POLLS):
            known = await workflow.execute_activity_method(
                read,
                args=[begun.tenant_id, begun.id],
                task_queue=self._task_queue,
                start_to_close_timeout=BOOK_TIMEOUT,
                retry_policy=BOOK_RETRY,
                summary=f"Find {what} {begun.id}, which was begun before",
            )
            if known is not None and known.status.is_final:
                return known
            if known is None and is_over and poll >= MAX_UNWRITTEN_POLLS:
                text = "Its workflow was ended before anything of it was written."
                status = type(begun.status)("failed")
                return replace(begun, status=status, failure_code="workflow_terminated", failure_message=text)
            await workflow.sleep(pause, summary=f"{what} {begun.id} to end")
            pause = min(pause * 2, ADOPTION_PAUSE_MAX)
        raise ApplicationError(
            f"The {what} {begun.id} did not come to its end.", type=f"{what}_not_ended", non_retryable=True
        )
