"""The ledger's rules in plain Python: an in-memory book, against which the database is tested.

Invariant: for the same calls at the same times it gives the same answers and balances as the SQL of
`infra/postgres/migrations`. It shares no code with it, so an error would have to be made twice to go unseen.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from domain.ledger.accounts import Account, AccountResult, AccountStatus, Balances, NormalSide
from domain.ledger.entries import (
    MAX_BALANCE_MINOR,
    MAX_DESCRIPTION_LENGTH,
    MAX_KEY_LENGTH,
    MAX_TRANSFERS_PER_ENTRY,
    RESERVED_KEY_PREFIX,
    EntryOutcome,
    JournalEntry,
    LedgerResult,
    Transfer,
    TransferKind,
)
from domain.ledger.records import HoldState
from domain.money import MAX_AMOUNT_MINOR

_FIELD_SEPARATOR = "\x1f"
_R = LedgerResult

_SETTLED = {
    HoldState.POSTED: _R.PENDING_TRANSFER_ALREADY_POSTED,
    HoldState.VOIDED: _R.PENDING_TRANSFER_ALREADY_VOIDED,
    HoldState.EXPIRED: _R.PENDING_TRANSFER_EXPIRED,
}


class Name(NamedTuple):
    """A public id or key within its tenant."""

    tenant_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Hold:
    """A reservation from one account to another; `remaining_minor` is positive exactly while it is pending."""

    debit: Name
    credit: Name
    remaining_minor: int
    expires_at: datetime | None
    state: HoldState = HoldState.PENDING

    def is_due(self, now: datetime) -> bool:
        """Whether it is pending past its time."""
        return self.state is HoldState.PENDING and self.expires_at is not None and self.expires_at <= now


@dataclass(slots=True)
class _State:
    """What an entry can change; copied before each, so that an entry that fails leaves nothing."""

    balances: dict[Name, Balances] = field(default_factory=dict)
    holds: dict[Name, Hold] = field(default_factory=dict)
    transfers: set[Name] = field(default_factory=set)

    def copy(self) -> _State:
        return _State(dict(self.balances), dict(self.holds), set(self.transfers))

    def add(self, account: Name, side: NormalSide, *, pending: int = 0, posted: int = 0) -> None:
        old = self.balances[account]
        if side is NormalSide.DEBIT:
            new = replace(old, debits_pending=old.debits_pending + pending, debits_posted=old.debits_posted + posted)
        else:
            new = replace(
                old, credits_pending=old.credits_pending + pending, credits_posted=old.credits_posted + posted
            )
        self.balances[account] = new

    def release(self, name: Name, amount: int, state: HoldState) -> None:
        """Take `amount` from a pending hold; it ends in `state` when nothing is left."""
        held = self.holds[name]
        left = held.remaining_minor - amount
        self.holds[name] = replace(held, remaining_minor=left, state=state if left == 0 else HoldState.PENDING)
        self.add(held.debit, NormalSide.DEBIT, pending=-amount)
        self.add(held.credit, NormalSide.CREDIT, pending=-amount)


class Book:
    """Accounts and entries of any number of tenants, in memory."""

    def __init__(self, tenants: Iterable[str] = ("default",)) -> None:
        self._tenants = frozenset(tenants)
        self._accounts: dict[Name, Account] = {}
        self._entries: dict[Name, tuple[object, ...]] = {}
        self._state = _State()

    def open_account(self, account: Account) -> AccountResult:
        """Open an account, once: the same again exists, another under its id is refused."""
        name = Name(account.tenant_id, account.id)
        if not _is_well_formed_account(account):
            return AccountResult.ACCOUNT_IS_MALFORMED
        if account.tenant_id not in self._tenants:
            return AccountResult.TENANT_NOT_FOUND
        known = self._accounts.get(name)
        if known is not None:
            same = replace(known, status=account.status) == account
            return AccountResult.EXISTS if same else AccountResult.EXISTS_WITH_DIFFERENT_CONTENT
        self._accounts[name] = replace(account, status=AccountStatus.OPEN)
        self._state.balances[name] = Balances()
        return AccountResult.CREATED

    def close_account(self, tenant_id: str, account_id: str) -> AccountResult:
        """Close an account: no new posts or holds; what it holds still settles."""
        name = Name(tenant_id, account_id)
        known = self._accounts.get(name)
        if known is None:
            return AccountResult.ACCOUNT_NOT_FOUND
        if known.status is AccountStatus.CLOSED:
            return AccountResult.ALREADY_CLOSED
        self._accounts[name] = replace(known, status=AccountStatus.CLOSED)
        return AccountResult.CLOSED

    def apply(self, entries: Sequence[JournalEntry], now: datetime) -> list[EntryOutcome]:
        """Book entries in order at the time `now`, each whole or not at all; one outcome per entry."""
        for name, held in list(self._state.holds.items()):
            if held.is_due(now):
                self._state.release(name, held.remaining_minor, HoldState.EXPIRED)
        return [self._apply(entry, now) for entry in entries]

    def balances(self, tenant_id: str, account_id: str, now: datetime) -> Balances:
        """Return the sums of an account; holds past their time no longer count."""
        name = Name(tenant_id, account_id)
        due = [held for held in self._state.holds.values() if held.is_due(now)]
        balances = self._state.balances[name]
        return replace(
            balances,
            debits_pending=balances.debits_pending - sum(h.remaining_minor for h in due if h.debit == name),
            credits_pending=balances.credits_pending - sum(h.remaining_minor for h in due if h.credit == name),
        )

    def hold(self, tenant_id: str, key: str) -> Hold | None:
        """Return the hold made by the transfer of that key."""
        return self._state.holds.get(Name(tenant_id, key))

    def _apply(self, entry: JournalEntry, now: datetime) -> EntryOutcome:
        name = Name(entry.tenant_id, entry.key)
        if (problem := find_problem(entry)) is not None:
            return EntryOutcome(problem)
        content = _content(entry)
        if name in self._entries:
            same = self._entries[name] == content
            return EntryOutcome(_R.EXISTS if same else _R.EXISTS_WITH_DIFFERENT_CONTENT)
        state = self._state.copy()
        for transfer in entry.transfers:
            result = self._book(state, entry.tenant_id, transfer, now)
            if result is not _R.CREATED:
                return EntryOutcome(result, transfer.key)
        self._entries[name] = content
        self._state = state
        return EntryOutcome(_R.CREATED)

    def _book(self, state: _State, tenant_id: str, transfer: Transfer, now: datetime) -> LedgerResult:
        key = Name(tenant_id, transfer.key)
        if key in state.transfers:
            return _R.EXISTS_WITH_DIFFERENT_CONTENT
        if transfer.kind in (TransferKind.POST, TransferKind.HOLD):
            result = self._open(state, tenant_id, transfer, now)
        else:
            result = _settle(state, tenant_id, transfer, now)
        if result is _R.CREATED:
            state.transfers.add(key)
        return result

    def _open(self, state: _State, tenant_id: str, transfer: Transfer, now: datetime) -> LedgerResult:
        assert transfer.debit is not None  # noqa: S101 - find_problem has seen to it
        assert transfer.credit is not None  # noqa: S101
        assert transfer.amount_minor is not None  # noqa: S101
        debit, credit, amount = Name(tenant_id, transfer.debit), Name(tenant_id, transfer.credit), transfer.amount_minor
        refusal = (
            _check_transfer(transfer, amount, now)
            or _check_accounts(self._accounts.get(debit), self._accounts.get(credit), transfer.currency)
            or _check_balances(
                self._accounts[debit], state.balances[debit], self._accounts[credit], state.balances[credit], amount
            )
        )
        if refusal is not None:
            return refusal
        if transfer.kind is TransferKind.POST:
            state.add(debit, NormalSide.DEBIT, posted=amount)
            state.add(credit, NormalSide.CREDIT, posted=amount)
        else:
            state.holds[Name(tenant_id, transfer.key)] = Hold(debit, credit, amount, transfer.expires_at)
            state.add(debit, NormalSide.DEBIT, pending=amount)
            state.add(credit, NormalSide.CREDIT, pending=amount)
        return _R.CREATED


def find_problem(entry: JournalEntry) -> LedgerResult | None:
    """Return what is wrong with an entry before any account is looked at; the database applies the same rules."""
    if not _is_key(entry.key) or not _is_short(entry.payment_id) or len(entry.description) > MAX_DESCRIPTION_LENGTH:
        return _R.ENTRY_IS_MALFORMED
    if not entry.transfers:
        return _R.ENTRY_IS_EMPTY
    if len(entry.transfers) > MAX_TRANSFERS_PER_ENTRY or not all(map(_is_well_formed, entry.transfers)):
        return _R.ENTRY_IS_MALFORMED
    return None


def _is_key(text: str) -> bool:
    return 0 < len(text) <= MAX_KEY_LENGTH and not text.startswith(RESERVED_KEY_PREFIX) and _FIELD_SEPARATOR not in text


def _is_short(text: str | None) -> bool:
    return text is None or len(text) <= MAX_KEY_LENGTH


def _is_well_formed(transfer: Transfer) -> bool:
    if not _is_key(transfer.key):
        return False
    if transfer.kind in (TransferKind.POST, TransferKind.HOLD):
        return None not in (transfer.amount_minor, transfer.currency, transfer.debit, transfer.credit)
    return transfer.kind in (TransferKind.CAPTURE, TransferKind.VOID) and transfer.hold is not None


def _is_well_formed_account(account: Account) -> bool:
    texts = (account.id, account.purpose)
    code = account.currency
    return all(0 < len(text) <= MAX_KEY_LENGTH and not _has_control_characters(text) for text in texts) and (
        len(code) == 3 and code.isascii() and code.isalpha() and code.isupper()
    )


def _has_control_characters(text: str) -> bool:
    return any(unicodedata.category(character) == "Cc" for character in text)


def _content(entry: JournalEntry) -> tuple[object, ...]:
    """Return what makes two entries the same; fields that a kind does not use are no part of it."""
    lines: list[tuple[object, ...]] = []
    for t in entry.transfers:
        match t.kind:
            case TransferKind.POST:
                lines.append((t.key, t.kind, t.debit, t.credit, t.amount_minor, t.currency))
            case TransferKind.HOLD:
                lines.append((t.key, t.kind, t.debit, t.credit, t.amount_minor, t.currency, t.expires_at))
            case TransferKind.CAPTURE:
                lines.append((t.key, t.kind, t.hold, t.amount_minor, t.final))
            case _:
                lines.append((t.key, t.kind, t.hold))
    return (entry.payment_id, entry.description, tuple(lines))


def _check_transfer(transfer: Transfer, amount: int, now: datetime) -> LedgerResult | None:
    if transfer.debit == transfer.credit:
        return _R.ACCOUNTS_MUST_BE_DIFFERENT
    if amount < 1:
        return _R.AMOUNT_MUST_BE_POSITIVE
    if amount > MAX_AMOUNT_MINOR:
        return _R.AMOUNT_TOO_LARGE
    if transfer.kind is TransferKind.HOLD and transfer.expires_at is not None and transfer.expires_at <= now:
        return _R.EXPIRES_IN_THE_PAST
    return None


def _check_accounts(debit: Account | None, credit: Account | None, currency: str | None) -> LedgerResult | None:
    if debit is None:
        return _R.DEBIT_ACCOUNT_NOT_FOUND
    if credit is None:
        return _R.CREDIT_ACCOUNT_NOT_FOUND
    if debit.currency != currency or credit.currency != currency:
        return _R.CURRENCY_MISMATCH
    if debit.status is AccountStatus.CLOSED:
        return _R.DEBIT_ACCOUNT_CLOSED
    if credit.status is AccountStatus.CLOSED:
        return _R.CREDIT_ACCOUNT_CLOSED
    return None


def _check_balances(
    debit: Account, debited: Balances, credit: Account, credited: Balances, amount: int
) -> LedgerResult | None:
    debits = debited.debits_pending + debited.debits_posted + amount
    credits_ = credited.credits_pending + credited.credits_posted + amount
    if debit.normal_side is NormalSide.CREDIT and not debit.may_go_negative and debits > debited.credits_posted:
        return _R.EXCEEDS_CREDITS
    if credit.normal_side is NormalSide.DEBIT and not credit.may_go_negative and credits_ > credited.debits_posted:
        return _R.EXCEEDS_DEBITS
    if max(debits, credits_) > MAX_BALANCE_MINOR:
        return _R.BALANCE_TOO_LARGE
    return None


def _settle(state: _State, tenant_id: str, transfer: Transfer, now: datetime) -> LedgerResult:
    assert transfer.hold is not None  # noqa: S101 - find_problem has seen to it
    name = Name(tenant_id, transfer.hold)
    held = state.holds.get(name)
    if held is None:
        return _R.PENDING_TRANSFER_NOT_PENDING if name in state.transfers else _R.PENDING_TRANSFER_NOT_FOUND
    if held.state is not HoldState.PENDING:
        return _SETTLED[held.state]
    if held.is_due(now):
        return _R.PENDING_TRANSFER_EXPIRED
    if transfer.kind is TransferKind.VOID:
        state.release(name, held.remaining_minor, HoldState.VOIDED)
        return _R.CREATED
    amount = held.remaining_minor if transfer.amount_minor is None else transfer.amount_minor
    if amount < 0 or (amount == 0 and not transfer.final):
        return _R.AMOUNT_MUST_BE_POSITIVE
    if amount > held.remaining_minor:
        return _R.EXCEEDS_PENDING_TRANSFER_AMOUNT
    state.release(name, held.remaining_minor if transfer.final else amount, HoldState.POSTED)
    state.add(held.debit, NormalSide.DEBIT, posted=amount)
    state.add(held.credit, NormalSide.CREDIT, posted=amount)
    return _R.CREATED
