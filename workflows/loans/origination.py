"""From the application to the approval: check the applicant, decide, offer, accept, approve.

Invariant: no missing answer counts as a good one: a check that cannot be had, and a match that is not certain, go to a person.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.credit_bureau_port import BureauReport, BureauRequest
from activities.loan_book import ExposureQuestion, LoanBookActivities
from activities.loan_checks import LoanCheckActivities
from activities.screening_port import ScreeningOutcome, ScreeningRequest, ScreeningResult
from domain.loans.account import LoanAccount
from domain.loans.credit import Decision, Finding, Outcome, Reason, decide
from domain.loans.credit_policies import policy
from domain.loans.loan import Loan
from domain.loans.status import LoanAction, LoanStatus
from workflows.loans.clock import BusinessClock
from workflows.loans.journal import LoanJournal
from workflows.loans.policies import CHECK_RETRY, CHECK_TIMEOUT
from workflows.policies import BOOK_RETRY, BOOK_TIMEOUT
from workflows.saga import reason_of

_RECORD = LoanBookActivities.record_origination


class LoanOrigination:
    """The way to an approved loan."""

    def __init__(self, journal: LoanJournal, clock: BusinessClock) -> None:
        self._journal = journal
        self._clock = clock
        self._screening: workflow.ActivityHandle[ScreeningResult] | None = None

    @property
    def _loan(self) -> Loan:
        return replace(self._journal.loan, business_date=self._clock.today)

    async def apply(self) -> None:
        """Register the application."""
        self._journal.step = "registering the application"
        application = self._loan.application
        await self._journal.write_or_fail(
            _RECORD,
            self._loan.moved(LoanAction.APPLY),
            "applied",
            f"{application.applicant.customer} applies for {self._loan.money}",
            amount_minor=application.terms.principal,
        )

    # Know your customer

    def begin_screening(self) -> workflow.ActivityHandle[ScreeningResult]:
        """Ask whether the applicant is on a sanctions list; the answer may take long, so it is awaited beside commands."""
        if self._screening is None:
            self._journal.step = "checking the applicant against sanctions lists"
            applicant = self._loan.application.applicant
            self._screening = workflow.start_activity_method(
                LoanCheckActivities.screen_applicant,
                ScreeningRequest(self._loan.id, applicant.name, applicant.date_of_birth, applicant.country),
                start_to_close_timeout=CHECK_TIMEOUT,
                retry_policy=CHECK_RETRY,
                summary="Screen the applicant",
            )
        return self._screening

    async def end_screening(self) -> None:
        """Act on the screening's answer: go on, decline, or leave it to a person."""
        try:
            answer = await self.begin_screening()
        except ActivityError as error:
            await self._note_screening(ScreeningOutcome.WEAK_MATCH, f"No answer could be had: {reason_of(error)}")
            return
        self._clock.reach(answer.answered_on)
        match answer.outcome:
            case ScreeningOutcome.CLEAR:
                await self._journal.write_or_fail(
                    _RECORD,
                    replace(self._loan.moved(LoanAction.CLEAR_KYC), screening_outcome=answer.outcome.value),
                    "kyc_cleared",
                    f"No sanctions match ({answer.screening_reference})",
                )
            case ScreeningOutcome.WEAK_MATCH:
                await self._note_screening(
                    answer.outcome, f"Weak match with {answer.list_entry} (score {answer.score}): a person must look"
                )
            case ScreeningOutcome.MATCH:
                # The list entry stays out of what the applicant reads: telling would be tipping off.
                await self.reject(
                    "sanctions_match",
                    "The applicant matches a sanctions list",
                    screening_outcome=answer.outcome.value,
                )

    async def _note_screening(self, outcome: ScreeningOutcome, text: str) -> None:
        await self._journal.write_or_fail(
            _RECORD, replace(self._loan, screening_outcome=outcome.value), "kyc_referred", text
        )

    def stop(self) -> None:
        """Ask no more."""
        if self._screening is not None and not self._screening.done():
            self._screening.cancel()

    # Credit decision

    async def underwrite(self) -> None:
        """Decide by the policy: offer, refer to a person, or decline."""
        self._journal.step = "deciding on the application"
        loan, application = self._loan, self._loan.application
        rules = policy(application.policy_version)
        exposure = await workflow.execute_local_activity_method(
            LoanBookActivities.read_exposure,
            ExposureQuestion(loan.tenant_id, application.applicant.customer, loan.currency, loan.id),
            start_to_close_timeout=BOOK_TIMEOUT,
            retry_policy=BOOK_RETRY,
            summary="Read what the applicant owes us",
        )
        score = await self._bureau_score() if "bureau_score" in rules.required else None
        decision = decide(application.assess(exposure=exposure, bureau_score=score), rules)
        match decision.outcome:
            case Outcome.APPROVE:
                await self.offer(loan.decided(decision, rules.version), f"Approved by {rules.version}")
            case Outcome.REFER:
                await self._journal.write_or_fail(
                    _RECORD,
                    loan.decided(decision, rules.version),
                    "referred",
                    f"Referred to a person by {rules.version}: {_words(decision)}",
                )
            case Outcome.DECLINE:
                await self.reject(
                    "credit_declined",
                    f"Declined by {rules.version}: {_words(decision)}",
                    decision=decision,
                    decided_by=rules.version,
                )

    async def _bureau_score(self) -> int | None:
        application = self._loan.application
        if application.credit.bureau_score is not None:
            return None
        applicant = application.applicant
        try:
            report: BureauReport = await workflow.execute_activity_method(
                LoanCheckActivities.ask_bureau,
                BureauRequest(self._loan.id, applicant.name, applicant.date_of_birth, applicant.country),
                start_to_close_timeout=CHECK_TIMEOUT,
                retry_policy=CHECK_RETRY,
                summary="Ask the credit bureau",
            )
        except ActivityError:
            return None
        return report.score

    async def offer(self, loan: Loan, why: str, actor: str | None = None) -> None:
        """Make the offer, which lapses after its days."""
        application = loan.application
        expires = self._clock.today + timedelta(days=application.servicing.offer_days)
        offered = loan.offered(LoanAccount.promised(application.terms), expires)
        await self._journal.write_or_fail(
            _RECORD,
            offered,
            "offered",
            f"{why}; offered at {offered.apr_percent} % APR until {expires}",
            actor=actor,
            amount_minor=application.terms.principal,
        )

    async def approve_by_person(self, actor: str, maker: str) -> None:
        """Two persons let the application go on: past the check, or to an offer."""
        if self._loan.status is LoanStatus.KYC_PENDING:
            await self._journal.write_or_fail(
                _RECORD,
                self._loan.moved(LoanAction.CLEAR_KYC),
                "kyc_cleared",
                f"Cleared by {maker} and {actor}",
                actor=actor,
            )
            return
        loan = replace(self._loan, decided_by=f"{maker}, {actor}")
        if loan.status is LoanStatus.SUBMITTED_AND_PENDING_APPROVAL:
            await self._journal.write_or_fail(
                _RECORD,
                loan.moved(LoanAction.APPROVE),
                "approved",
                f"Approved for payout by {maker} and {actor}",
                actor=actor,
            )
            self._journal.state = replace(self._journal.state, approval_undone=False)
            return
        await self.offer(loan, f"Approved by {maker} and {actor}", actor)

    async def reject(self, code: str, text: str, *, actor: str | None = None, **changes: object) -> None:
        """End the application with a no."""
        self.stop()
        rejected = replace(self._loan.moved(LoanAction.REJECT), **changes)  # type: ignore[arg-type]
        await self._journal.write_or_fail(_RECORD, rejected.failed(code, text), "rejected", text, actor=actor)

    async def decline_by_person(self, actor: str, note: str) -> None:
        """A person says no; the reasons stay those that made a person look."""
        loan = self._loan
        decision = loan.decision
        if decision is not None:
            findings = tuple(replace(each, outcome=Outcome.DECLINE) for each in decision.findings)
            decision = Decision(Outcome.DECLINE, decision.policy_version, findings)
        elif loan.status is LoanStatus.UNDERWRITING:
            unknown = Finding("person", Outcome.DECLINE, Reason.INCOMPLETE, note or "declined by a person")
            decision = Decision(Outcome.DECLINE, loan.application.policy_version, (unknown,))
        await self.reject(
            "declined_by_person",
            f"Declined by {actor}. {note}".strip(),
            actor=actor,
            decision=decision,
            decided_by=actor,
        )

    # Offer, acceptance, approval

    async def accept(self, actor: str) -> None:
        """The borrower accepts."""
        await self._journal.write_or_fail(
            _RECORD, self._loan.moved(LoanAction.ACCEPT), "accepted", "The borrower accepted the offer", actor=actor
        )

    async def lapse(self) -> None:
        """Nobody accepted in time: a withdrawal by silence."""
        lapsed = self._loan.moved(LoanAction.LAPSE).failed("offer_expired", "The offer was not accepted in time.")
        await self._journal.write_or_fail(_RECORD, lapsed, "offer_expired", "The offer was not accepted in time")

    async def submit(self) -> None:
        """Put the accepted loan up for approval."""
        await self._journal.write_or_fail(
            _RECORD, self._loan.moved(LoanAction.SUBMIT), "submitted", "Submitted for approval"
        )

    async def approve(self) -> None:
        """The lender approves the payout: whoever made the decision has left nothing open."""
        by = self._loan.decided_by or "the lender"
        await self._journal.write_or_fail(
            _RECORD, self._loan.moved(LoanAction.APPROVE), "approved", f"Approved for payout: decided by {by}"
        )

    async def undo_approval(self, actor: str, note: str) -> None:
        """The lender takes the approval back; persons decide on the loan from here."""
        await self._journal.write_or_fail(
            _RECORD,
            self._loan.moved(LoanAction.UNDO_APPROVAL),
            "approval_undone",
            f"{actor} takes the approval back. {note}".strip(),
            actor=actor,
        )
        self._journal.state = replace(self._journal.state, approval_undone=True)

    async def withdraw(self, reason: str) -> None:
        """The borrower wants it no more. What is approved is taken back first."""
        self.stop()
        loan = self._loan
        if loan.status is LoanStatus.APPROVED:
            await self._journal.write_or_fail(
                _RECORD, loan.moved(LoanAction.UNDO_APPROVAL), "approval_undone", "The approval is taken back"
            )
        withdrawn = self._loan.moved(LoanAction.WITHDRAW).failed("withdrawn", reason)
        await self._journal.write_or_fail(_RECORD, withdrawn, "withdrawn", f"Withdrawn: {reason}")


def _words(decision: Decision) -> str:
    return "; ".join(f"{finding.rule} ({finding.explanation})" for finding in decision.findings)
