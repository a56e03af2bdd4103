"""Writing a loan down: each step's one database record, what its workflow carries, and what operators see of it.

Invariants
- A record, once begun, is always finished, whatever cancels the workflow; the state is replaced only by what was written.
- What comes of a command is written only once the history has the command: its first record is an ordinary activity. A local one
  runs before; if its workflow task were lost, and with it the update, the rows would be ahead of the workflow for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from activities.loan_book import LoanBookActivities
from domain.ids import effect_key
from domain.ledger.accounts import Account
from domain.ledger.entries import JournalEntry
from domain.loans.account import LoanAccount, Repayment
from domain.loans.loan import Loan
from domain.loans.payout import Payout
from domain.loans.proposals import Proposal, ProposalStatus
from domain.loans.record import LoanEvent, LoanPosition, LoanRecord, position_of
from domain.money import Money
from domain.payments import explain
from domain.payments.record import RecordOutcome
from workflows.loans.messages import LoanState
from workflows.loans.visibility import changes
from workflows.policies import BOOK_RETRY, BOOK_TIMEOUT
from workflows.saga import shielded
from workflows.visibility import DETAILS_END

RecordActivity = Callable[[LoanBookActivities, LoanRecord], Awaitable[RecordOutcome]]

LEDGER_REFUSED = "LedgerRefused"
"""Failure type: the ledger would not book a step."""


class LoanJournal:
    """The loan as last written, and how to write its next step. `step` says in plain words what is being done."""

    def __init__(self, state: LoanState, *, is_of_this_workflow: bool = True) -> None:
        self.state = state
        self._is_of_this_workflow = is_of_this_workflow
        self.step = "received"
        self.needs_person = False
        self._cancelled = False
        self._is_kept = True

    @property
    def loan(self) -> Loan:
        """The loan as last written."""
        return self.state.loan

    def next_attempt(self) -> int:
        """Return the number of the next payout to try."""
        self.state = replace(self.state, attempts=self.state.attempts + 1)
        return self.state.attempts

    def next_take_back(self) -> int:
        """Return the number of the next refund of a payout."""
        self.state = replace(self.state, take_backs=self.state.take_backs + 1)
        return self.state.take_backs

    def note_payout(self, payout: Payout) -> None:
        """Remember a payout that stands."""
        self.state = replace(self.state, paid_out=(*self.state.paid_out, payout))

    def forget_payouts(self) -> None:
        """Forget payouts that were taken back."""
        self.state = replace(self.state, paid_out=())

    @property
    def account(self) -> LoanAccount:
        """The account of a loan that was paid out."""
        if self.state.account is None:
            raise ApplicationError("The loan has no account yet.", type="loan_not_booked", non_retryable=True)
        return self.state.account

    async def write(
        self,
        activity: RecordActivity,
        after: Loan,
        name: str,
        text: str,
        *,
        account: LoanAccount | None = None,
        drop_account: bool = False,
        entry: JournalEntry | None = None,
        accounts: tuple[Account, ...] = (),
        proposal: Proposal | None = None,
        actor: str | None = None,
        amount_minor: int | None = None,
        payment_id: str | None = None,
    ) -> RecordOutcome:
        """Write one step; when it stands, `after` is the loan and `account`, if given, its account."""
        before, had = self.state.loan, self.state.account
        has = account if account is not None else None if drop_account else had
        loan = replace(after, version=before.version + 1)
        record = LoanRecord(
            loan,
            LoanEvent(
                effect_key(loan.id, name, loan.version),
                name,
                text,
                workflow.now(),
                loan.business_date,
                actor,
                amount_minor,
                entry.key if entry else None,
                payment_id,
            ),
            before.status,
            entry,
            accounts,
            has.changed_since(had) if has is not None and has is not had else (),
            _dropped(has, had),
            _changed_repayments(has, had),
            () if proposal is None else (proposal,),
            _position(before, loan, has, had),
        )
        execute = workflow.execute_local_activity_method if self._is_kept else workflow.execute_activity_method
        self._is_kept = True
        outcome, cancelled = await shielded(
            execute(activity, record, start_to_close_timeout=BOOK_TIMEOUT, retry_policy=BOOK_RETRY, summary=text)
        )
        self._cancelled = self._cancelled or cancelled
        if outcome.booked:
            self.state = replace(
                self.state, loan=loan, account=has, proposals=_with_proposal(self.state.proposals, proposal)
            )
            self._publish(before)
        return outcome

    async def write_or_fail(self, activity: RecordActivity, after: Loan, name: str, text: str, **rest: object) -> None:
        """Write a step that the ledger has no reason to refuse; if it does, fail with LEDGER_REFUSED."""
        outcome = await self.write(activity, after, name, text, **rest)  # type: ignore[arg-type]
        if not outcome.booked:
            raise ApplicationError(
                f"The ledger refused the booking: {explain.refusal(outcome)}",
                type=LEDGER_REFUSED,
                non_retryable=True,
            )

    def begin(self) -> None:
        """Say that what is begun now comes of something the history may not have yet."""
        self._is_kept = False

    def note_kept(self) -> None:
        """Say that the history has it: another workflow was started meanwhile."""
        self._is_kept = True

    def stop_if_cancelled(self) -> None:
        """Raise the cancellation that came while a record was written."""
        if self._cancelled:
            self._cancelled = False
            raise asyncio.CancelledError

    def require_person(self, needed: bool) -> None:
        """Say in the search attributes whether a person must act."""
        if needed != self.needs_person:
            workflow.upsert_search_attributes(
                changes(self.loan, self.loan, needs_person=needed, needed_person=self.needs_person)
            )
            self.needs_person = needed

    def _publish(self, before: Loan) -> None:
        if not self._is_of_this_workflow:
            return
        found = changes(before, self.loan, needs_person=self.needs_person, needed_person=self.needs_person)
        if found:
            workflow.upsert_search_attributes(found)

    def show(self, waits_for: str, wakes_on: date | None, compensations: list[str]) -> None:
        """Tell an operator, in the Temporal UI, where the loan stands and what to press."""
        loan = self.loan
        lines = [
            f"Loan of **{loan.money}** for `{loan.application.applicant.customer}`: **{loan.status}** ({loan.business_date})",
            f"Waits for {waits_for}." if waits_for else f"Now {self.step}.",
        ]
        if wakes_on is not None:
            clock = "when the test clock shows it" if self.state.clock_date is not None else "by itself"
            lines.append(f"Goes on {clock} on {wakes_on}.")
        if self.state.account is not None:
            lines.append(
                f"Owed: {Money(loan.outstanding_minor, loan.currency)}"
                + (f", {loan.days_past_due} days past due" if loan.days_past_due else "")
                + (f", charged off on {loan.charged_off_on}" if loan.charged_off_on else "")
                + (f", paused until {loan.paused_until}" if loan.paused_until else "")
                + (f". Next due on {loan.next_due_on}" if loan.next_due_on else "")
                + "."
            )
        lines += [
            f"Proposal {each.number} ({each.kind.value}) by {each.maker} waits for a second person:"
            f" send the update `check_proposal`."
            for each in self.state.proposals
        ]
        if compensations:
            lines.append("If it fails now: " + "; ".join(compensations) + ".")
        if loan.failure_message:
            lines.append(f"Last: {loan.failure_message}")
        workflow.set_current_details("\n\n".join([*lines, DETAILS_END]))


def _position(before: Loan, loan: Loan, has: LoanAccount | None, had: LoanAccount | None) -> LoanPosition | None:
    if has is None and had is not None and before.disbursed_on is not None:
        return LoanPosition(False, loan.business_date, 0, had.schedule.plan.rounding, False, ())
    if has is None or (had is None and loan.disbursed_on is None):
        return None
    return position_of(loan, has)


def _dropped(has: LoanAccount | None, had: LoanAccount | None) -> tuple[int, ...]:
    if had is None:
        return ()
    return tuple(each.number for each in had.instalments) if has is None else has.dropped_since(had)


def _changed_repayments(has: LoanAccount | None, had: LoanAccount | None) -> tuple[Repayment, ...]:
    if has is None:
        return ()
    known = set() if had is None else set(had.repayments)
    return tuple(each for each in has.repayments if each not in known)


def _with_proposal(open_ones: tuple[Proposal, ...], changed: Proposal | None) -> tuple[Proposal, ...]:
    if changed is None:
        return open_ones
    others = tuple(each for each in open_ones if each.number != changed.number)
    return (*others, changed) if changed.status is ProposalStatus.PENDING else others
