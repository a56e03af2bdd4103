"""Proving the books after the demonstration: plan, API, bank and ledger must tell the same story of every cent.

Invariant: the four are read separately (over HTTP, from the bank's statement, from the ledger's rows) and compared here; no
figure is taken from another's word.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import httpx
import psycopg

from infra.demo.answers import UnexpectedAnswer, expect_success
from infra.demo.purchases import CURRENCY, Plan
from infra.demo.shop import Outcome

STATEMENT_PAGE = 1000
STATEMENT_PAGES_MAX = 1000

_LEDGER_BY_PAYMENT = """
SELECT e.payment_id, sum(CASE WHEN c.public_id = %(account)s THEN t.amount_minor ELSE -t.amount_minor END)
FROM ledger_transfers t
JOIN ledger_entries e ON e.id = t.entry_id
JOIN ledger_accounts d ON d.id = t.debit_account_id
JOIN ledger_accounts c ON c.id = t.credit_account_id
WHERE t.kind IN ('post', 'capture') AND %(account)s IN (d.public_id, c.public_id)
GROUP BY e.payment_id
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation: what was expected, what was seen, and whether they agree."""

    name: str
    expected: object
    seen: object

    @property
    def holds(self) -> bool:
        """Whether it was met."""
        return self.expected == self.seen


@dataclass(frozen=True, slots=True)
class PaymentProof:
    """One payment as each side tells it. Amounts are minor units that remain with the merchant."""

    plan: Plan
    payment_id: str
    status: str
    api_net_minor: int
    bank_net_minor: int
    ledger_net_minor: int
    failure: str
    temporal_url: str
    error: str | None

    @property
    def checks(self) -> list[Check]:
        """What must be true of this payment."""
        name = f"purchase {self.plan.purchase.number} ({self.plan.story})"
        return [
            Check(f"{name}: no error", None, self.error),
            Check(f"{name}: status", self.plan.status, self.status),
            Check(f"{name}: net by the API", self.plan.net_minor, self.api_net_minor),
            Check(f"{name}: net at the bank", self.plan.net_minor, self.bank_net_minor),
            Check(f"{name}: net in the ledger", self.plan.net_minor, self.ledger_net_minor),
        ]


async def bank_net_by_reference(bank: httpx.AsyncClient) -> Counter[str]:
    """Sum what the bank settled, by our payment id, over its whole statement (minor units)."""
    totals: Counter[str] = Counter()
    cursor: int | None = 0
    for _ in range(STATEMENT_PAGES_MAX):
        answer = await bank.get("/statement", params={"cursor": cursor or 0, "limit": STATEMENT_PAGE})
        page = expect_success(answer)
        for operation in page.each("operations"):
            totals[operation["reference"]] += operation.number("settled_minor")
        cursor = page["next_cursor"]
        if cursor is None:
            return totals
    raise UnexpectedAnswer("GET /statement", f"at most {STATEMENT_PAGES_MAX} pages", "more")


async def ledger_net_by_payment(database_url: str, account: str) -> Counter[str]:
    """Sum what the ledger booked on the account, by payment id (minor units)."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        cursor = await connection.execute(_LEDGER_BY_PAYMENT, {"account": account})
        return Counter({payment_id: int(net) for payment_id, net in await cursor.fetchall()})


async def prove_payments(
    outcomes: list[Outcome], api: httpx.AsyncClient, bank: httpx.AsyncClient, database_url: str, account: str
) -> list[PaymentProof]:
    """Read every payment again from each side."""
    at_bank = await bank_net_by_reference(bank)
    in_ledger = await ledger_net_by_payment(database_url, account)
    return [await _prove(outcome, api, at_bank, in_ledger) for outcome in outcomes]


async def _prove(
    outcome: Outcome, api: httpx.AsyncClient, at_bank: Counter[str], in_ledger: Counter[str]
) -> PaymentProof:
    """Compare one payment; an answer about it that is not expected is an error of its own, and the others are proved."""
    payment_id = str(outcome.payment.get("id", ""))
    status, net_minor, failure, temporal_url, error = "missing", 0, "", "", outcome.error
    if payment_id:
        try:
            payment = expect_success(await api.get(f"/v1/payments/{payment_id}"))
            status = str(payment["status"])
            net_minor = payment.number("amount_captured") - payment.number("amount_refunded")
            failure = str(payment.within("failure")["code"]) if payment["failure"] is not None else ""
            temporal_url = str(payment.within("links")["temporal_ui"])
        except UnexpectedAnswer as unexpected:
            error = error or str(unexpected)
    return PaymentProof(
        outcome.plan,
        payment_id,
        status,
        net_minor,
        at_bank[payment_id],
        in_ledger[payment_id],
        failure,
        temporal_url,
        error,
    )


async def prove_totals(
    proofs: list[PaymentProof], api: httpx.AsyncClient, bank: httpx.AsyncClient, account: str
) -> list[Check]:
    """Compare the sums: the merchant's balance, the bank's books, and that nothing is left reserved anywhere."""
    expected = sum(proof.plan.net_minor for proof in proofs)
    balances = expect_success(await api.get(f"/v1/accounts/{account}/balances"))
    totals = expect_success(await bank.get("/statement/totals"))
    at_bank = totals.within("totals").within(CURRENCY)
    return [
        Check("the merchant's balance", expected, balances["posted"]),
        Check(
            "nothing is pending in the merchant's account",
            0,
            balances.number("credits_pending") + balances.number("debits_pending"),
        ),
        Check("the bank owes what the merchant was paid", expected, at_bank["net_settled_minor"]),
        Check("the bank holds no authorization any more", 0, at_bank["held_minor"]),
    ]
