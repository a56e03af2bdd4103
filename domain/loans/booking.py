"""How each event of a loan is booked: the only place that turns loans into journal entries.

Each loan has receivables of its own, so that the ledger alone proves what it owes; income and expense are shared.

    disbursement   hold, then capture       funding → the loan's payout account; the payment path pays it to the borrower
    booking        principal receivable     ← capital lent; fees withheld: capital lent ← fee income
    accrual        interest receivable      ← interest income (by the database, see 0004_loan_accrual.sql)
    charge         fee, penalty receivable  ← fee, penalty income
    repayment      capital lent             ← receivables, overpayment
    charge-off     credit losses            ← allowance, for all that is owed; from then on the allowance equals what is owed
    write-off      allowance, credit losses ← receivables
    recovery       capital lent             ← recoveries
    reschedule     principal receivable of the successor ← receivables

`capital` is what the lender has out on loans: all that was paid out less all that came back. It mirrors, in the books of
lending, what loans took from and gave to the funding account through the payment path.

Invariant: a key is `<loan id>:<step>:<number>` and names the same entry for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from domain.ids import effect_key
from domain.ledger.accounts import Account, NormalSide
from domain.ledger.entries import JournalEntry, Transfer, capture, hold, post, void
from domain.loans.account import Owed, Repayment
from domain.loans.allocation import Portion
from domain.loans.charges import Charged
from domain.loans.loan import Loan
from domain.loans.payout import Payout

RECEIVABLES = {
    Portion.PRINCIPAL: "principal",
    Portion.INTEREST: "interest",
    Portion.FEE: "fees",
    Portion.PENALTY: "penalties",
}


@dataclass(frozen=True, slots=True)
class LoanAccounts:
    """The ledger accounts a loan is booked on."""

    loan_id: str
    currency: str

    def receivable(self, portion: Portion) -> str:
        """What the borrower owes of a portion."""
        return f"loan:{self.loan_id}:{RECEIVABLES[portion]}"

    @property
    def payout(self) -> str:
        """Money taken from the funding account, on its way to the borrower."""
        return f"loan:{self.loan_id}:payout"

    @property
    def overpaid(self) -> str:
        """What we owe the borrower."""
        return f"loan:{self.loan_id}:overpaid"

    @property
    def allowance(self) -> str:
        """What is not expected to be paid any more."""
        return f"loan:{self.loan_id}:allowance"

    def shared(self, name: str) -> str:
        """An account of all loans of a tenant in one currency."""
        return f"loans:{name}:{self.currency}"


def accounts_of(loan: Loan) -> LoanAccounts:
    """Return the accounts of a loan."""
    return LoanAccounts(loan.id, loan.currency)


def accounts_to_open(loan: Loan) -> tuple[Account, ...]:
    """Return every account that a loan is booked on, to be opened before it is paid out."""
    books, tenant = accounts_of(loan), loan.tenant_id
    debit, credit = NormalSide.DEBIT, NormalSide.CREDIT

    def account(name: str, side: NormalSide, purpose: str, *, negative: bool = False) -> Account:
        return Account(tenant, name, loan.currency, side, purpose, negative)

    own = [account(books.receivable(portion), debit, f"loan_{name}") for portion, name in RECEIVABLES.items()]
    own += [
        account(books.payout, credit, "loan_payout"),
        account(books.overpaid, credit, "loan_overpaid"),
        account(books.allowance, credit, "loan_allowance"),
    ]
    shared = [
        account(books.shared("capital"), credit, "loan_capital", negative=True),
        account(books.shared("interest_income"), credit, "interest_income", negative=True),
        account(books.shared("fee_income"), credit, "fee_income", negative=True),
        account(books.shared("penalty_income"), credit, "penalty_income", negative=True),
        account(books.shared("credit_losses"), debit, "credit_losses", negative=True),
        account(books.shared("recoveries"), credit, "recoveries", negative=True),
    ]
    return (*own, *shared)


class _Entry:
    """A journal entry in the making: transfers numbered under the entry's key; nothing is booked for nothing."""

    def __init__(self, loan: Loan, step: str, number: int, description: str) -> None:
        self._loan, self._key = loan, effect_key(loan.id, step, number)
        self._description = description
        self._transfers: list[Transfer] = []

    def post(self, debit: str, credit: str, amount: int) -> None:
        """Move an amount, the other way round when it is negative."""
        if amount < 0:
            debit, credit, amount = credit, debit, -amount
        if amount:
            key = f"{self._key}:{len(self._transfers) + 1}"
            self._transfers.append(post(key, debit, credit, amount, self._loan.currency))

    def add(self, transfer: Transfer) -> None:
        self._transfers.append(transfer)

    def made(self) -> JournalEntry | None:
        if not self._transfers:
            return None
        loan = self._loan
        return JournalEntry(loan.tenant_id, self._key, tuple(self._transfers), loan.id, self._description)


def _hold_key(loan: Loan, payout: Payout) -> str:
    return effect_key(loan.id, "reserve", payout.number)


def reserve(loan: Loan, payout: Payout) -> JournalEntry:
    """Hold what will be paid out on the lender's funding account."""
    books, key = accounts_of(loan), _hold_key(loan, payout)
    held = hold(key, loan.application.funding_account, books.payout, payout.amount, loan.currency)
    return JournalEntry(loan.tenant_id, key, (held,), loan.id, f"Reserve funds for {loan.id}")


def release(loan: Loan, payout: Payout) -> JournalEntry:
    """Give the reserved funds back."""
    key = effect_key(loan.id, "release", payout.number)
    return JournalEntry(
        loan.tenant_id, key, (void(key, _hold_key(loan, payout)),), loan.id, f"Release funds for {loan.id}"
    )


def book(loan: Loan, payout: Payout) -> JournalEntry:
    """Book a payout: the reserved funds move to the loan's payout account, the borrower owes the principal."""
    books = accounts_of(loan)
    entry = _Entry(loan, "book", payout.number, f"Book {loan.id}")
    entry.add(capture(effect_key(loan.id, "fund", payout.number), _hold_key(loan, payout)))
    capital = books.shared("capital")
    entry.post(books.receivable(Portion.PRINCIPAL), capital, payout.principal)
    entry.post(capital, books.shared("fee_income"), payout.withheld)
    return _required(entry)


def unbook(loan: Loan, payout: Payout) -> JournalEntry:
    """Undo the booking: the money goes back to the funding account, nothing is owed for it."""
    books = accounts_of(loan)
    entry = _Entry(loan, "unbook", payout.number, f"Undo the booking of {loan.id}")
    capital = books.shared("capital")
    entry.post(books.payout, loan.application.funding_account, payout.amount)
    entry.post(capital, books.receivable(Portion.PRINCIPAL), payout.principal)
    entry.post(books.shared("fee_income"), capital, payout.withheld)
    return _required(entry)


def charge(loan: Loan, charged: Charged, number: int, *, charged_off: bool) -> JournalEntry | None:
    """Book fees and penalties charged (or waived): as income, or into the allowance once the loan is charged off."""
    entry = _Entry(loan, "charge", number, f"Charges of {loan.id}")
    _charge(entry, accounts_of(loan), charged, charged_off=charged_off)
    return entry.made()


def _charge(entry: _Entry, books: LoanAccounts, charged: Charged, *, charged_off: bool) -> None:
    fee_income, penalty_income = books.shared("fee_income"), books.shared("penalty_income")
    if charged_off:
        fee_income = penalty_income = books.allowance
    entry.post(books.receivable(Portion.FEE), fee_income, charged.fees)
    entry.post(books.receivable(Portion.PENALTY), penalty_income, charged.penalties)


def repayment(loan: Loan, paid: Repayment, charged: Charged, number: int, *, charged_off: bool) -> JournalEntry:
    """Book what a repayment paid, after the charges of that day; once charged off, what comes in is a recovery."""
    books = accounts_of(loan)
    entry = _Entry(loan, "repayment", number, f"Repayment {paid.number} of {loan.id}")
    _charge(entry, books, charged, charged_off=charged_off)
    _settle(entry, books, paid, 1, charged_off=charged_off)
    return _required(entry)


def reversal(
    loan: Loan, paid: Repayment, charged: Charged, number: int, overpaid_kept: int, *, charged_off: bool
) -> JournalEntry:
    """Book a repayment taken back: what it paid is owed again. Its payment's own books move the money back.

    `overpaid_kept` is how much of what it overpaid is still there to be taken back; the rest is owed as principal.
    """
    books = accounts_of(loan)
    entry = _Entry(loan, "reversal", number, f"Repayment {paid.number} of {loan.id} was taken back")
    _charge(entry, books, charged, charged_off=charged_off)
    _settle(entry, books, paid, -1, charged_off=charged_off, overpaid=overpaid_kept)
    refunded = paid.overpaid - overpaid_kept
    entry.post(books.receivable(Portion.PRINCIPAL), books.shared("capital"), refunded)
    if charged_off:
        entry.post(books.shared("recoveries"), books.allowance, refunded)
    return _required(entry)


def _settle(
    entry: _Entry, books: LoanAccounts, paid: Repayment, sign: int, *, charged_off: bool, overpaid: int | None = None
) -> None:
    capital = books.shared("capital")
    for portion in Portion:
        entry.post(capital, books.receivable(portion), sign * paid.total(portion))
    entry.post(capital, books.overpaid, sign * (paid.overpaid if overpaid is None else overpaid))
    if charged_off:
        entry.post(books.allowance, books.shared("recoveries"), sign * sum(part.amount for part in paid.parts))


def refund_overpayment(loan: Loan, amount: int, number: int) -> JournalEntry:
    """Book an overpayment given back."""
    books = accounts_of(loan)
    entry = _Entry(loan, "refund", number, f"Overpayment of {loan.id} given back")
    entry.post(books.overpaid, books.shared("capital"), amount)
    return _required(entry)


def capitalize(loan: Loan, charged: Charged, interest: int, number: int, *, charged_off: bool) -> JournalEntry | None:
    """Book the charges of a restructuring's day, and unpaid interest that becomes principal."""
    books = accounts_of(loan)
    entry = _Entry(loan, "restructure", number, f"Restructuring of {loan.id}")
    _charge(entry, books, charged, charged_off=charged_off)
    entry.post(books.receivable(Portion.PRINCIPAL), books.receivable(Portion.INTEREST), interest)
    return entry.made()


def charge_off(loan: Loan, owed: Owed, charged: Charged, number: int) -> JournalEntry:
    """Expect nothing any more: the whole of what is owed becomes a loss; the borrower still owes it."""
    books = accounts_of(loan)
    entry = _Entry(loan, "charge_off", number, f"Charge-off of {loan.id}")
    _charge(entry, books, charged, charged_off=False)
    entry.post(books.shared("credit_losses"), books.allowance, owed.total)
    return _required(entry)


def write_off(loan: Loan, owed: Owed, charged: Charged, number: int, *, charged_off: bool) -> JournalEntry:
    """Give the claim up: receivables go to zero, against the allowance or as a loss."""
    books = accounts_of(loan)
    entry = _Entry(loan, "write_off", number, f"Write-off of {loan.id}")
    _charge(entry, books, charged, charged_off=charged_off)
    against = books.allowance if charged_off else books.shared("credit_losses")
    for portion, amount in _portions(owed):
        entry.post(against, books.receivable(portion), amount)
    return _required(entry)


def undo_write_off(loan: Loan, owed: Owed, charged: Charged, number: int, *, charged_off: bool) -> JournalEntry:
    """Book the claim again as it was given up, with the charges since."""
    books = accounts_of(loan)
    entry = _Entry(loan, "undo_write_off", number, f"Write-off of {loan.id} undone")
    against = books.allowance if charged_off else books.shared("credit_losses")
    for portion, amount in _portions(owed):
        entry.post(books.receivable(portion), against, amount)
    _charge(entry, books, charged, charged_off=charged_off)
    return _required(entry)


def reschedule(loan: Loan, owed: Owed, charged: Charged, number: int, successor: LoanAccounts) -> JournalEntry:
    """Move all that is owed to the loan that takes this one's place, where it is principal."""
    books = accounts_of(loan)
    entry = _Entry(loan, "reschedule", number, f"{loan.id} rescheduled as {successor.loan_id}")
    _charge(entry, books, charged, charged_off=False)
    for portion, amount in _portions(owed):
        entry.post(successor.receivable(Portion.PRINCIPAL), books.receivable(portion), amount)
    return _required(entry)


def recovery(loan: Loan, amount: int, number: int) -> JournalEntry:
    """Book money that came in on a claim that was given up."""
    books = accounts_of(loan)
    entry = _Entry(loan, "recovery", number, f"Recovery on {loan.id}")
    entry.post(books.shared("capital"), books.shared("recoveries"), amount)
    return _required(entry)


def _portions(owed: Owed) -> Iterable[tuple[Portion, int]]:
    return (
        (Portion.PRINCIPAL, owed.principal),
        (Portion.INTEREST, owed.interest),
        (Portion.FEE, owed.fees),
        (Portion.PENALTY, owed.penalties),
    )


def _required(entry: _Entry) -> JournalEntry:
    made = entry.made()
    if made is None:
        raise ValueError("an entry without transfers")
    return made
