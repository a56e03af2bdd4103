"""Rescheduling carried out: the loan is closed, and another begins with what it owed.

Invariants
- What is owed moves in the transaction in which the loan is closed; its successor is written and started after that, under an id
  that follows from the loan's, so that doing it again finds what was begun.
- Until the successor is started the loan's workflow does not end.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

from domain.loans import booking, closing
from domain.loans.account import LoanAccount
from domain.loans.changes import Restructure
from domain.loans.loan import Loan
from domain.loans.reschedule import approved_successor, successor_application, successor_terms
from domain.loans.status import LoanAction
from workflows.loans.desk import LoanDesk
from workflows.loans.journal import LoanJournal
from workflows.loans.messages import LoanOrder, LoanState
from workflows.loans.visibility import of_loan, summary
from workflows.saga import shielded

_WORKFLOW = "LoanWorkflow"


class LoanSuccessor(LoanDesk):
    """How a loan gives its place to another."""

    def __init__(self, journal: LoanJournal, payment_task_queue: str | None) -> None:
        super().__init__(journal)
        self._payment_task_queue = payment_task_queue

    async def take_over(self, change: Restructure, maker: str, actor: str, on: date) -> None:
        """Close the loan as rescheduled, and begin the one that takes its place."""
        charged, loan = self._charged(on), self._loan
        terms = successor_terms(loan, charged.account, change, on)
        application = successor_application(loan, terms, workflow.now())
        successor = approved_successor(loan, application, f"{maker}, {actor}")
        owed = charged.account.owed(on)
        await self._write(
            closing.owing_nothing(charged.account, on),
            on,
            "rescheduled",
            f"Rescheduled: {self._amount(owed.total)} is owed on loan {successor.id} from now on",
            loan=replace(loan.moved(LoanAction.RESCHEDULE), closed_on=on),
            entry=booking.reschedule(loan, owed, charged, loan.version + 1, booking.accounts_of(successor)),
            accounts=booking.accounts_to_open(successor),
            actor=actor,
            amount_minor=owed.total,
        )
        await shielded(self._begin(successor, actor, on))

    async def _begin(self, successor: Loan, actor: str, on: date) -> None:
        begun = LoanJournal(LoanState(successor, clock_date=self._journal.state.clock_date), is_of_this_workflow=False)
        account = LoanAccount.open(successor.application.terms)
        active = replace(successor.moved(LoanAction.DISBURSE), disbursed_on=on, served_through=on)
        await LoanDesk(begun).write_first(
            account, on, f"Takes the place of loan {self._loan.id}, with what that one owed", active, actor
        )
        try:
            await workflow.start_child_workflow(
                _WORKFLOW,
                LoanOrder(successor.application, state=begun.state, payment_task_queue=self._payment_task_queue),
                id=successor.id,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                parent_close_policy=ParentClosePolicy.ABANDON,
                search_attributes=of_loan(begun.loan),
                static_summary=summary(successor.application),
            )
        except WorkflowAlreadyStartedError:
            return
