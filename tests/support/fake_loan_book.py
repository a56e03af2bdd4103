"""A loan book in memory over the payment book's ledger; it proves the receivables after every single record."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass, field, replace

from domain.ledger.entries import JournalEntry
from domain.loans.account import LoanInstalment, Repayment
from domain.loans.allocation import Portion
from domain.loans.booking import accounts_of
from domain.loans.loan import Loan
from domain.loans.proposals import Proposal
from domain.loans.record import LoanEvent, LoanRecord
from domain.payments.record import RecordOutcome
from tests.support.fake_book import DATABASE_DOWN, FakePaymentBook


@dataclass
class FakeLoanBook:
    """`refuse` answers an event of that name with a result; `fail_times` makes it raise that often before it works."""

    ledger: FakePaymentBook
    refuse: dict[str, str] = field(default_factory=dict)
    fail_times: Counter[str] = field(default_factory=Counter)
    loans: dict[str, Loan] = field(default_factory=dict)
    events: dict[str, LoanEvent] = field(default_factory=dict)
    instalments: dict[tuple[str, int], LoanInstalment] = field(default_factory=dict)
    repayments: dict[tuple[str, int], Repayment] = field(default_factory=dict)
    proposals: dict[tuple[str, int], Proposal] = field(default_factory=dict)
    accrued: Counter[str] = field(default_factory=Counter)
    statuses: dict[str, list[str]] = field(default_factory=dict)
    owed_elsewhere: int = 0

    def story(self, loan_id: str) -> list[str]:
        """The names of a loan's events, in order."""
        return [event.name for key, event in self.events.items() if key.startswith(loan_id)]

    async def record(self, record: LoanRecord) -> RecordOutcome:
        name, loan = record.event.name, record.loan
        if self.fail_times[name] > 0:
            self.fail_times[name] -= 1
            raise ConnectionError(DATABASE_DOWN)
        if name in self.refuse:
            return RecordOutcome(self.refuse[name])
        known = self.loans.get(loan.id)
        if known is not None and known.version >= loan.version:
            return RecordOutcome("exists" if record.event.key in self.events else "loan_is_ahead")
        saved = copy.deepcopy((self.ledger.posted, self.ledger.holds, self.ledger.entries))
        self._accrue(record)
        result = self._book(record.entry)
        if result != "created":
            self.ledger.posted, self.ledger.holds, self.ledger.entries = saved
            return RecordOutcome(result)
        self.loans[loan.id] = loan
        self.events.setdefault(record.event.key, record.event)
        if loan.status != record.from_status:
            self.statuses.setdefault(loan.id, []).append(str(loan.status))
        for number in record.dropped:
            self.instalments.pop((loan.id, number), None)
        self.instalments |= {(loan.id, each.number): each for each in record.instalments}
        self.repayments |= {(loan.id, each.number): each for each in record.repayments}
        self.proposals |= {(loan.id, each.number): each for each in record.proposals}
        self.prove(loan)
        return RecordOutcome("created")

    async def exposure(self, tenant_id: str, customer: str, currency: str, except_loan: str) -> int:
        return self.owed_elsewhere

    def balance(self, account: str) -> int:
        """Credits less debits."""
        return self.ledger.posted[account]

    def prove(self, loan: Loan) -> None:
        """Ledger, row and instalments say the same of what a loan owes."""
        books = accounts_of(loan)
        rows = [each for (owner, _), each in self.instalments.items() if owner == loan.id]
        owed = {portion: -self.balance(books.receivable(portion)) for portion in Portion}
        assert min(owed.values()) >= 0, owed
        if loan.disbursed_on is None:
            return
        assert owed[Portion.PRINCIPAL] == loan.principal_outstanding_minor
        assert owed[Portion.PRINCIPAL] == sum(each.unpaid(Portion.PRINCIPAL) for each in rows)
        assert owed[Portion.INTEREST] == loan.interest_outstanding_minor
        assert owed[Portion.FEE] == loan.fees_outstanding_minor == sum(each.unpaid(Portion.FEE) for each in rows)
        assert owed[Portion.PENALTY] == loan.penalties_outstanding_minor
        assert owed[Portion.PENALTY] == sum(each.unpaid(Portion.PENALTY) for each in rows)
        assert self.balance(books.overpaid) == loan.overpaid_minor
        if loan.charged_off_on is not None:
            assert self.balance(books.allowance) == loan.outstanding_minor
        assert all(each.unpaid(portion) >= 0 for each in rows for portion in Portion)

    def _accrue(self, record: LoanRecord) -> None:
        if record.position is None:
            return
        books = accounts_of(record.loan)
        amount = record.position.accrued_total - self.accrued[record.loan.id]
        already_off = record.position.suspended and record.event.name != "charged_off"
        credit = books.allowance if already_off else books.shared("interest_income")
        self.ledger._move(books.receivable(Portion.INTEREST), credit, amount)
        self.accrued[record.loan.id] = record.position.accrued_total

    def _book(self, entry: JournalEntry | None) -> str:
        if entry is None:
            return "created"
        for transfer in entry.transfers:
            single = replace(entry, key=transfer.key, transfers=(transfer,))
            result = self.ledger._book(single, transfer.key.split(":")[1])
            if result != "created":
                return str(result)
        return "created"
