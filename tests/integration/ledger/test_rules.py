"""The rules of the ledger as the database applies them, one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.ledger.accounts import Account, AccountResult, Balances, NormalSide
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
from infra.postgres.ledger import MAX_ENTRIES_PER_CALL, PostgresLedger
from tests.integration.ledger.conftest import Book1

R = LedgerResult


def entry(key: str, *transfers: Transfer, tenant: str = "default") -> JournalEntry:
    return JournalEntry(tenant, key, transfers)


async def test_a_batch_is_answered_entry_by_entry_and_one_bad_entry_harms_no_other(wallets: PostgresLedger) -> None:
    outcomes = await wallets.apply(
        [
            entry("e1", post("t1", "alice", "bob", 60, "USD")),
            entry("e2", post("t2", "alice", "bob", 60, "USD")),
            entry("e3"),
            entry("e4", post("t4", "bob", "nobody", 1, "USD")),
            entry("e5", post("t5", "bob", "carol", 60, "USD")),
            entry("e6", post("t6", "alice", "carol", 40, "USD")),
        ]
    )
    assert outcomes == [
        EntryOutcome(R.CREATED),
        EntryOutcome(R.EXCEEDS_CREDITS, "t2"),
        EntryOutcome(R.ENTRY_IS_EMPTY),
        EntryOutcome(R.CREDIT_ACCOUNT_NOT_FOUND, "t4"),
        EntryOutcome(R.CREATED),
        EntryOutcome(R.CREATED),
    ]
    assert await wallets.balances("default", ["alice", "bob", "carol"]) == {
        "alice": Balances(debits_posted=100, credits_posted=100),
        "bob": Balances(debits_posted=60, credits_posted=60),
        "carol": Balances(credits_posted=100),
    }


async def test_an_entry_happens_whole_or_not_at_all(wallets: PostgresLedger, book: Book1) -> None:
    outcome = await book(
        post("a", "alice", "bob", 60, "USD"),
        hold("b", "bob", "alice", 10, "USD"),
        capture("c", "b", 4),
        post("d", "alice", "bob", 60, "USD"),
    )
    assert outcome == EntryOutcome(R.EXCEEDS_CREDITS, "d")
    assert await wallets.entry("default", "only-a") is None
    assert await wallets.hold("default", "b") is None
    assert await wallets.balances("default", ["alice", "bob"]) == {
        "alice": Balances(credits_posted=100),
        "bob": Balances(),
    }


async def test_a_hold_can_be_made_and_captured_within_one_batch(wallets: PostgresLedger) -> None:
    outcomes = await wallets.apply(
        [
            entry("e1", hold("h", "alice", "bob", 50, "USD")),
            entry("e2", capture("c1", "h", 20, final=False)),
            entry("e3", capture("c2", "h", 31)),
            entry("e4", void("v", "h"), capture("c3", "h")),
            entry("e5", capture("c4", "h", 30)),
            entry("e6", capture("c5", "h")),
            entry("e7", capture("c6", "e1")),
            entry("e8", capture("c7", "c4")),
        ]
    )
    assert [o.result for o in outcomes] == [
        R.CREATED,
        R.CREATED,
        R.EXCEEDS_PENDING_TRANSFER_AMOUNT,
        R.PENDING_TRANSFER_ALREADY_VOIDED,
        R.CREATED,
        R.PENDING_TRANSFER_ALREADY_POSTED,
        R.PENDING_TRANSFER_NOT_FOUND,
        R.PENDING_TRANSFER_NOT_PENDING,
    ]
    assert await wallets.balances("default", ["alice", "bob"]) == {
        "alice": Balances(debits_posted=50, credits_posted=100),
        "bob": Balances(credits_posted=50),
    }


async def test_a_capture_without_an_amount_takes_all_that_is_left(wallets: PostgresLedger, book: Book1) -> None:
    await book(hold("h", "alice", "bob", 50, "USD"))
    await book(capture("c1", "h", 20, final=False))
    assert (await book(capture("c2", "h"))).result is R.CREATED
    booked = await wallets.entry("default", "only-c2")
    assert booked is not None
    assert (booked.transfers[0].amount_minor, booked.transfers[0].released_minor) == (30, 0)


async def test_a_capture_of_zero_releases_the_hold(wallets: PostgresLedger, book: Book1) -> None:
    await book(hold("h", "alice", "bob", 50, "USD"))
    assert (await book(capture("c1", "h", 0, final=False))).result is R.AMOUNT_MUST_BE_POSITIVE
    assert (await book(capture("c2", "h", 0))).result is R.CREATED
    assert await wallets.balances("default", ["alice"]) == {"alice": Balances(credits_posted=100)}
    standing = await wallets.hold("default", "h")
    assert standing is not None
    assert (standing.state, standing.remaining_minor) == (HoldState.POSTED, 0)


async def test_a_debit_normal_account_is_limited_by_its_debits(book: Book1) -> None:
    assert (await book(post("p", "bank", "cash", 1, "USD"))).result is R.EXCEEDS_DEBITS
    assert (await book(post("q", "cash", "alice", 5, "USD"))).result is R.CREATED
    assert (await book(hold("r", "bank", "cash", 5, "USD"))).result is R.CREATED
    assert (await book(post("s", "bank", "cash", 1, "USD"))).result is R.EXCEEDS_DEBITS


async def test_a_closed_account_settles_its_holds_and_takes_nothing_new(wallets: PostgresLedger, book: Book1) -> None:
    await book(hold("h", "alice", "bob", 10, "USD"))
    await book(hold("i", "alice", "bob", 10, "USD"))
    assert await wallets.close_account("default", "alice") is AccountResult.CLOSED
    assert await wallets.close_account("default", "alice") is AccountResult.ALREADY_CLOSED
    assert await wallets.close_account("default", "nobody") is AccountResult.ACCOUNT_NOT_FOUND
    assert await book(post("p", "alice", "bob", 1, "USD")) == EntryOutcome(R.DEBIT_ACCOUNT_CLOSED, "p")
    assert await book(hold("q", "bank", "alice", 1, "USD")) == EntryOutcome(R.CREDIT_ACCOUNT_CLOSED, "q")
    assert (await book(capture("c", "h", 4))).result is R.CREATED
    assert (await book(void("v", "i"))).result is R.CREATED


async def test_the_same_entry_again_exists_and_another_under_its_key_is_refused(wallets: PostgresLedger) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    first = JournalEntry(
        "default",
        "e",
        (hold("h", "alice", "bob", 5, "USD", soon), capture("c", "h", 3, final=False), capture("d", "h")),
        "pay_1",
        "a description",
    )
    assert await wallets.apply([first, first]) == [EntryOutcome(R.CREATED), EntryOutcome(R.EXISTS)]
    assert await wallets.apply([first]) == [EntryOutcome(R.EXISTS)]
    others = [
        entry("e", *first.transfers),
        JournalEntry("default", "e", first.transfers[:2], "pay_1", "a description"),
        JournalEntry("default", "e", first.transfers, "pay_1", "another description"),
        JournalEntry("default", "e", (*first.transfers[:2], capture("d", "h", 2)), "pay_1", "a description"),
        JournalEntry(
            "default", "e", (hold("h", "alice", "bob", 5, "USD"), *first.transfers[1:]), "pay_1", "a description"
        ),
    ]
    assert await wallets.apply(others) == [EntryOutcome(R.EXISTS_WITH_DIFFERENT_CONTENT)] * len(others)


async def test_the_key_of_a_transfer_belongs_to_one_transfer_for_ever(wallets: PostgresLedger) -> None:
    outcomes = await wallets.apply(
        [
            entry("e1", post("t", "alice", "bob", 1, "USD")),
            entry("e2", post("t", "alice", "bob", 1, "USD")),
            entry("e3", post("u", "alice", "bob", 1, "USD"), post("u", "alice", "bob", 1, "USD")),
            entry("e4", post("u", "alice", "nobody", 1, "USD")),
            entry("e5", post("u", "alice", "bob", 1, "USD")),
            entry("e6", post("fund", "alice", "bob", 1, "USD")),
        ]
    )
    assert outcomes == [
        EntryOutcome(R.CREATED),
        EntryOutcome(R.EXISTS_WITH_DIFFERENT_CONTENT, "t"),
        EntryOutcome(R.EXISTS_WITH_DIFFERENT_CONTENT, "u"),
        EntryOutcome(R.CREDIT_ACCOUNT_NOT_FOUND, "u"),
        EntryOutcome(R.CREATED),
        EntryOutcome(R.EXISTS_WITH_DIFFERENT_CONTENT, "fund"),
    ]


async def test_an_entry_that_failed_can_be_booked_later_under_its_key(wallets: PostgresLedger) -> None:
    wanted = entry("e", post("t", "bob", "carol", 10, "USD"))
    funding = entry("f", post("f", "alice", "bob", 10, "USD"))
    assert [o.result for o in await wallets.apply([wanted, funding, wanted, wanted])] == [
        R.EXCEEDS_CREDITS,
        R.CREATED,
        R.CREATED,
        R.EXISTS,
    ]


@pytest.mark.parametrize(
    ("transfer", "result"),
    [
        (post("x", "alice", "alice", 1, "USD"), R.ACCOUNTS_MUST_BE_DIFFERENT),
        (post("x", "nobody", "nobody", 1, "USD"), R.ACCOUNTS_MUST_BE_DIFFERENT),
        (post("x", "alice", "bob", 0, "USD"), R.AMOUNT_MUST_BE_POSITIVE),
        (hold("x", "alice", "bob", -5, "USD"), R.AMOUNT_MUST_BE_POSITIVE),
        (post("x", "alice", "bob", 10**15 + 1, "USD"), R.AMOUNT_TOO_LARGE),
        (post("x", "alice", "bob", 10**30, "USD"), R.AMOUNT_TOO_LARGE),
        (post("x", "alice", "bob", -(10**30), "USD"), R.AMOUNT_MUST_BE_POSITIVE),
        (post("x", "nobody", "bob", 1, "USD"), R.DEBIT_ACCOUNT_NOT_FOUND),
        (post("x", "alice", "nobody", 1, "USD"), R.CREDIT_ACCOUNT_NOT_FOUND),
        (post("x", "alice", "euros", 1, "USD"), R.CURRENCY_MISMATCH),
        (post("x", "alice", "bob", 1, "EUR"), R.CURRENCY_MISMATCH),
        (hold("x", "alice", "bob", 1, "USD", datetime(2020, 1, 1, tzinfo=UTC)), R.EXPIRES_IN_THE_PAST),
        (post("x", "alice", "bob", 101, "USD"), R.EXCEEDS_CREDITS),
        (capture("x", "none"), R.PENDING_TRANSFER_NOT_FOUND),
        (void("x", "x"), R.PENDING_TRANSFER_NOT_FOUND),
        (capture("x", "fund"), R.PENDING_TRANSFER_NOT_PENDING),
        (post("", "alice", "bob", 1, "USD"), R.ENTRY_IS_MALFORMED),
        (post("x" * 201, "alice", "bob", 1, "USD"), R.ENTRY_IS_MALFORMED),
        (post("expire:x", "alice", "bob", 1, "USD"), R.ENTRY_IS_MALFORMED),
        (post("x\x1fy", "alice", "bob", 1, "USD"), R.ENTRY_IS_MALFORMED),
        (post("x\x00y", "alice", "bob", 1, "USD"), R.ENTRY_IS_MALFORMED),
        (post("x\ud800y", "alice", "bob", 1, "USD"), R.ENTRY_IS_MALFORMED),
        (Transfer("x", TransferKind.POST, "alice", "bob"), R.ENTRY_IS_MALFORMED),
        (Transfer("x", TransferKind.HOLD, "alice", None, 1, "USD"), R.ENTRY_IS_MALFORMED),
        (Transfer("x", TransferKind.CAPTURE), R.ENTRY_IS_MALFORMED),
        (Transfer("x", TransferKind.EXPIRE, hold="fund"), R.ENTRY_IS_MALFORMED),
    ],
)
async def test_each_refusal_has_its_name_and_spoils_no_neighbour(
    wallets: PostgresLedger, transfer: Transfer, result: LedgerResult
) -> None:
    outcomes = await wallets.apply(
        [
            entry("before", post("before", "alice", "bob", 1, "USD")),
            entry("refused", transfer),
            entry("after", post("after", "bob", "alice", 1, "USD")),
        ]
    )
    assert [o.result for o in outcomes] == [R.CREATED, result, R.CREATED]


async def test_headers_of_entries_are_bounded(wallets: PostgresLedger) -> None:
    transfer = post("x", "alice", "bob", 1, "USD")
    many = tuple(post(f"x{n}", "bank", "alice", 1, "USD") for n in range(1001))
    outcomes = await wallets.apply(
        [
            JournalEntry("default", "", (transfer,)),
            JournalEntry("default", "k" * 201, (transfer,)),
            JournalEntry("default", "expire:1", (transfer,)),
            JournalEntry("default", "k", (transfer,), "p" * 201),
            JournalEntry("default", "k", (transfer,), None, "d" * 1001),
            JournalEntry("default", "k", many),
            JournalEntry("default", "k", many[:1000], "p" * 200, "d" * 1000),
        ]
    )
    assert [o.result for o in outcomes] == [R.ENTRY_IS_MALFORMED] * 6 + [R.CREATED]
    with pytest.raises(ValueError, match="too many"):
        await wallets.apply([entry("e")] * (MAX_ENTRIES_PER_CALL + 1))


async def test_a_balance_cannot_outgrow_its_column(ledger: PostgresLedger) -> None:
    await ledger.open_accounts([Account("default", x, "IDR", NormalSide.CREDIT, may_go_negative=True) for x in "ab"])
    most = 10**15
    for number in range(4):
        lines = tuple(post(f"t{number}-{n}", "a", "b", most, "IDR") for n in range(1000))
        assert (await ledger.apply([entry(f"e{number}", *lines)]))[0].result is R.CREATED
    assert (await ledger.balances("default", ["b"]))["b"].credits_posted == 4 * 10**18
    assert await ledger.apply([entry("over", post("over", "a", "b", 1, "IDR"))]) == [
        EntryOutcome(R.BALANCE_TOO_LARGE, "over")
    ]


async def test_tenants_do_not_see_each_others_accounts_holds_or_keys(wallets: PostgresLedger, tenant_two: str) -> None:
    assert (
        await wallets.open_accounts(
            [Account(tenant_two, name, "USD", NormalSide.CREDIT, may_go_negative=True) for name in ("alice", "dave")]
        )
        == [AccountResult.CREATED] * 2
    )
    await wallets.apply([entry("h", hold("h", "alice", "bob", 10, "USD"))])
    outcomes = await wallets.apply(
        [
            entry("fund", post("fund", "alice", "dave", 7, "USD"), tenant=tenant_two),
            entry("x", post("x", "alice", "bob", 1, "USD"), tenant=tenant_two),
            entry("y", capture("y", "h"), tenant=tenant_two),
            entry("z", post("z", "dave", "alice", 1, "USD")),
            entry("n", post("n", "alice", "bob", 1, "USD"), tenant="nobody"),
        ]
    )
    assert [o.result for o in outcomes] == [
        R.CREATED,
        R.CREDIT_ACCOUNT_NOT_FOUND,
        R.PENDING_TRANSFER_NOT_FOUND,
        R.DEBIT_ACCOUNT_NOT_FOUND,
        R.DEBIT_ACCOUNT_NOT_FOUND,
    ]
    assert (await wallets.balances("default", ["alice"]))["alice"].credits_posted == 100
    assert await wallets.balances(tenant_two, ["alice", "bob"]) == {"alice": Balances(debits_posted=7)}


async def test_an_account_is_opened_once_and_only_with_the_same_content(ledger: PostgresLedger) -> None:
    account = Account("default", "a", "USD", NormalSide.CREDIT)
    results = await ledger.open_accounts(
        [
            account,
            Account("default", "", "USD", NormalSide.CREDIT),
            account,
            Account("default", "a", "EUR", NormalSide.CREDIT),
            Account("nobody", "a", "USD", NormalSide.CREDIT),
            Account("default", "b", "usd", NormalSide.CREDIT),
            Account("default", "b\n", "USD", NormalSide.CREDIT),
            Account("default", "b", "USD", NormalSide.DEBIT, "x" * 201),
        ]
    )
    assert results == [
        AccountResult.CREATED,
        AccountResult.ACCOUNT_IS_MALFORMED,
        AccountResult.EXISTS,
        AccountResult.EXISTS_WITH_DIFFERENT_CONTENT,
        AccountResult.TENANT_NOT_FOUND,
        AccountResult.ACCOUNT_IS_MALFORMED,
        AccountResult.ACCOUNT_IS_MALFORMED,
        AccountResult.ACCOUNT_IS_MALFORMED,
    ]
    assert await ledger.open_accounts([account]) == [AccountResult.EXISTS]


async def test_an_empty_batch_does_nothing(ledger: PostgresLedger) -> None:
    assert await ledger.apply([]) == []
    assert await ledger.open_accounts([]) == []
