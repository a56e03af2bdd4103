"""Money of a loan moves through the payment path: each movement is a payment of its own, visible like any other.

Invariants
- A payment's id is made of the loan's id, its purpose and its number, so a movement happens once.
- Once begun, a movement is waited for, whatever cancels the loan meanwhile; it ends with the payment's own status.
"""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ApplicationError
from temporalio.workflow import ParentClosePolicy

from domain.ids import clearing_account, loan_payment_id, loan_refund_id
from domain.loans.application import Mandate
from domain.loans.loan import Loan
from domain.payments import explain
from domain.payments.payment import CaptureMethod, Payment, PaymentKind
from domain.payments.refund import Refund, RefundStatus
from domain.payments.status import PaymentStatus
from workflows.messages import PaymentOrder, RefundOrder
from workflows.payment import PaymentWorkflow
from workflows.refund import RefundWorkflow
from workflows.saga import shielded
from workflows.visibility import of_payment

PAYOUT_NOT_RETURNED = "PayoutNotReturned"
"""Failure type: money that was paid out could not be taken back. A person must look."""


class LoanMoney:
    """Moves money for one loan. `task_queue` is where payments are served (None: where the loan is)."""

    def __init__(self, task_queue: str | None) -> None:
        self._task_queue = task_queue

    async def collect(self, loan: Loan, amount_minor: int, source: Mandate, purpose: str, number: int) -> Payment:
        """Take money from the borrower to the funding account; returns the payment as it ended, paid or not."""
        currency = loan.currency
        debit = source.source if source.kind is PaymentKind.WALLET else clearing_account(source.gateway, currency)
        return await self._pay(
            loan,
            Payment(
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
            ),
        )

    async def send(self, loan: Loan, amount_minor: int, debit: str, purpose: str, number: int) -> Payment:
        """Pay the borrower's wallet from an account of the lender; returns the payment as it ended."""
        return await self._pay(
            loan,
            Payment(
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
            ),
        )

    async def take_back(self, loan: Loan, payment: Payment) -> None:
        """Refund a payout. Raises ApplicationError of type PAYOUT_NOT_RETURNED when the borrower's wallet has too little."""
        refund = Refund(
            loan.tenant_id,
            loan_refund_id(payment.id),
            payment.id,
            payment.amount_captured_minor,
            payment.currency,
            workflow.now(),
            reason="disbursement_undone",
        )
        ended, _ = await shielded(
            workflow.execute_child_workflow(
                RefundWorkflow.run,
                RefundOrder(refund, payment),
                id=refund.id,
                task_queue=self._task_queue,
                parent_close_policy=ParentClosePolicy.ABANDON,
                static_summary=f"Payout of loan {loan.id} taken back",
            )
        )
        if ended.status is not RefundStatus.SUCCEEDED:
            raise ApplicationError(
                f"The payout {payment.id} was not returned: {ended.failure_message or ended.status}.",
                type=PAYOUT_NOT_RETURNED,
                non_retryable=True,
            )

    async def _pay(self, loan: Loan, payment: Payment) -> Payment:
        ended, _ = await shielded(
            workflow.execute_child_workflow(
                PaymentWorkflow.run,
                PaymentOrder(payment),
                id=payment.id,
                task_queue=self._task_queue,
                parent_close_policy=ParentClosePolicy.ABANDON,
                search_attributes=of_payment(payment),
                static_summary=f"{explain.summary(payment)} ({loan.id})",
            )
        )
        return ended
