"""The oracle itself: the published vector, and rules that the vector does not reach."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.ledger.accounts import Account, AccountResult, Balances, NormalSide
from domain.ledger.book import Book
from domain.ledger.entries import (
    EntryOutcome,
    JournalEntry,
    LedgerResult,
    Transfer,
    TransferKind,
    capture,
    hold,
    post,
    void,
)
from domain.ledger.records import HoldState
from tests.support import ledger_vector

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
R = LedgerResult


def entry(key: str, *transfers: Transfer) -> JournalEntry:
    return JournalEntry("default", key, transfers)


@pytest.fixture
def book() -> Book:
    """A funding account without limits, and two wallets that may not go negative; alice has 100."""
    book = Book()
    book.open_account(Account("default", "bank", "USD", NormalSide.DEBIT, "gateway", may_go_negative=True))
    for name in ("alice", "bob"):
        book.open_account(Account("default", name, "USD", NormalSide.CREDIT))
    assert book.apply([entry("fund", post("fund", "bank", "alice", 100, "USD"))], NOW) == [EntryOutcome(R.CREATED)]
    return book


def only(book: Book, *transfers: Transfer, now: datetime = NOW) -> EntryOutcome:
    (outcome,) = book.apply([entry(f"only-{transfers[0].key}", *transfers)], now)
    return outcome


@pytest.mark.parametrize("case", ledger_vector.cases(), ids=lambda case: case.name)
def test_the_published_two_phase_vectors_pass_exactly(case: ledger_vector.Case) -> None:
    book, now = Book(), NOW
    for account in case.accounts:
        assert book.open_account(account) is AccountResult.CREATED
    for step in case.steps(NOW):
        now += timedelta(seconds=step.wait_s)
        outcomes = book.apply(list(step.entries), now)
        assert step.is_answered_by(outcomes), (step, outcomes)
        for account_id, expected in (step.balances or {}).items():
            assert book.balances("default", account_id, now) == expected, step


def test_a_wallet_cannot_spend_what_is_held(book: Book) -> None:
    assert only(book, hold("h", "alice", "bob", 70, "USD")).result is R.CREATED
    assert only(book, post("p", "alice", "bob", 31, "USD")) == EntryOutcome(R.EXCEEDS_CREDITS, "p")
    assert only(book, post("q", "alice", "bob", 30, "USD")).result is R.CREATED


def test_money_that_is_only_held_for_a_wallet_cannot_be_spent_by_it(book: Book) -> None:
    only(book, hold("h", "alice", "bob", 70, "USD"))
    assert only(book, post("p", "bob", "alice", 1, "USD")).result is R.EXCEEDS_CREDITS


def test_a_debit_normal_account_is_limited_by_its_debits(book: Book) -> None:
    book.open_account(Account("default", "cash", "USD", NormalSide.DEBIT))
    assert only(book, post("p", "bank", "cash", 1, "USD")).result is R.EXCEEDS_DEBITS
    assert only(book, post("q", "cash", "alice", 5, "USD")).result is R.CREATED
    assert only(book, post("r", "bank", "cash", 5, "USD")).result is R.CREATED


def test_an_entry_that_fails_at_one_transfer_leaves_nothing(book: Book) -> None:
    outcome = only(
        book,
        post("a", "alice", "bob", 60, "USD"),
        hold("b", "bob", "alice", 10, "USD"),
        capture("c", "b"),
        post("d", "alice", "bob", 60, "USD"),
    )
    assert outcome == EntryOutcome(R.EXCEEDS_CREDITS, "d")
    assert book.balances("default", "alice", NOW) == Balances(credits_posted=100)
    assert book.balances("default", "bob", NOW) == Balances()
    assert book.hold("default", "b") is None


def test_an_entry_sees_what_the_transfers_before_it_did(book: Book) -> None:
    outcome = only(book, post("a", "alice", "bob", 60, "USD"), post("b", "bob", "alice", 60, "USD"))
    assert outcome.result is R.CREATED


def test_a_hold_is_captured_in_parts_up_to_its_amount(book: Book) -> None:
    only(book, hold("h", "alice", "bob", 50, "USD"))
    assert only(book, capture("c1", "h", 20, final=False)).result is R.CREATED
    assert only(book, capture("c2", "h", 31, final=False)).result is R.EXCEEDS_PENDING_TRANSFER_AMOUNT
    assert only(book, capture("c3", "h", 0, final=False)).result is R.AMOUNT_MUST_BE_POSITIVE
    assert only(book, capture("c4", "h", 20)).result is R.CREATED
    assert only(book, capture("c5", "h", 1)).result is R.PENDING_TRANSFER_ALREADY_POSTED
    assert book.balances("default", "alice", NOW) == Balances(debits_posted=40, credits_posted=100)


def test_a_partly_captured_hold_can_be_voided_for_the_rest(book: Book) -> None:
    only(book, hold("h", "alice", "bob", 50, "USD"))
    only(book, capture("c", "h", 20, final=False))
    assert only(book, void("v", "h")).result is R.CREATED
    assert only(book, void("w", "h")).result is R.PENDING_TRANSFER_ALREADY_VOIDED
    assert book.balances("default", "alice", NOW) == Balances(debits_posted=20, credits_posted=100)


def test_a_hold_past_its_time_no_longer_counts_and_cannot_be_settled(book: Book) -> None:
    later = NOW + timedelta(seconds=10)
    only(book, hold("h", "alice", "bob", 100, "USD", later))
    assert only(book, post("p", "alice", "bob", 1, "USD")).result is R.EXCEEDS_CREDITS
    assert book.balances("default", "alice", later) == Balances(credits_posted=100)
    assert only(book, void("v", "h"), now=later).result is R.PENDING_TRANSFER_EXPIRED
    assert only(book, post("q", "alice", "bob", 100, "USD"), now=later).result is R.CREATED
    held = book.hold("default", "h")
    assert held is not None
    assert held.state is HoldState.EXPIRED


def test_a_closed_account_settles_its_holds_and_takes_nothing_new(book: Book) -> None:
    only(book, hold("h", "alice", "bob", 10, "USD"))
    assert book.close_account("default", "alice") is AccountResult.CLOSED
    assert book.close_account("default", "alice") is AccountResult.ALREADY_CLOSED
    assert only(book, post("p", "alice", "bob", 1, "USD")).result is R.DEBIT_ACCOUNT_CLOSED
    assert only(book, post("q", "bank", "alice", 1, "USD")).result is R.CREDIT_ACCOUNT_CLOSED
    assert only(book, capture("c", "h", 4)).result is R.CREATED


def test_the_same_entry_again_exists_and_another_under_its_key_does_not(book: Book) -> None:
    first = entry("e", post("t", "alice", "bob", 5, "USD"))
    other = entry("e", post("t", "alice", "bob", 6, "USD"))
    assert [o.result for o in book.apply([first, first, other], NOW)] == [
        R.CREATED,
        R.EXISTS,
        R.EXISTS_WITH_DIFFERENT_CONTENT,
    ]
    assert only(book, post("t", "alice", "bob", 5, "USD")) == EntryOutcome(R.EXISTS_WITH_DIFFERENT_CONTENT, "t")


@pytest.mark.parametrize(
    ("transfer", "result"),
    [
        (post("x", "alice", "alice", 1, "USD"), R.ACCOUNTS_MUST_BE_DIFFERENT),
        (post("x", "alice", "bob", 0, "USD"), R.AMOUNT_MUST_BE_POSITIVE),
        (post("x", "alice", "bob", -5, "USD"), R.AMOUNT_MUST_BE_POSITIVE),
        (post("x", "alice", "bob", 10**15 + 1, "USD"), R.AMOUNT_TOO_LARGE),
        (post("x", "nobody", "bob", 1, "USD"), R.DEBIT_ACCOUNT_NOT_FOUND),
        (post("x", "alice", "nobody", 1, "USD"), R.CREDIT_ACCOUNT_NOT_FOUND),
        (post("x", "alice", "bob", 1, "EUR"), R.CURRENCY_MISMATCH),
        (hold("x", "alice", "bob", 1, "USD", NOW), R.EXPIRES_IN_THE_PAST),
        (capture("x", "none"), R.PENDING_TRANSFER_NOT_FOUND),
        (capture("x", "fund"), R.PENDING_TRANSFER_NOT_PENDING),
        (post("", "alice", "bob", 1, "USD"), R.ENTRY_IS_MALFORMED),
        (post("expire:x", "alice", "bob", 1, "USD"), R.ENTRY_IS_MALFORMED),
        (Transfer("x", TransferKind.POST, "alice", "bob"), R.ENTRY_IS_MALFORMED),
        (Transfer("x", TransferKind.EXPIRE, hold="fund"), R.ENTRY_IS_MALFORMED),
    ],
)
def test_each_refusal_has_its_name(book: Book, transfer: Transfer, result: LedgerResult) -> None:
    assert only(book, transfer).result is result


def test_an_entry_without_transfers_is_empty(book: Book) -> None:
    assert book.apply([entry("e")], NOW) == [EntryOutcome(R.ENTRY_IS_EMPTY)]


def test_an_account_is_opened_once_and_only_with_the_same_content() -> None:
    book = Book()
    account = Account("default", "a", "USD", NormalSide.CREDIT)
    assert book.open_account(account) is AccountResult.CREATED
    assert book.open_account(account) is AccountResult.EXISTS
    other = Account("default", "a", "EUR", NormalSide.CREDIT)
    assert book.open_account(other) is AccountResult.EXISTS_WITH_DIFFERENT_CONTENT
    assert book.open_account(Account("nobody", "a", "USD", NormalSide.CREDIT)) is AccountResult.TENANT_NOT_FOUND
    assert book.open_account(Account("default", "b", "usd", NormalSide.CREDIT)) is AccountResult.ACCOUNT_IS_MALFORMED
