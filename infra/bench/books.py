"""The proof after the measurement: what clients were told, what the ledger holds and what the bank took are the same money.

Invariant: it reads only, and from each side's own records: the answers counted by the load generator, the ledger's balances
and the payments' rows, the bank's statement.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from domain.ids import clearing_account
from infra.bench.seed import DBOS_CURRENCY, GATEWAY, OUR_CURRENCY, TENANT
from infra.bench.world import CARD, DBOS, WALLET, World
from infra.postgres.ledger_verify import Finding, verify

SETTLE_TIMEOUT_S = 60.0
SETTLE_POLL_S = 0.2
FINDINGS_SHOWN = 5
_OPEN_PAYMENTS = """
SELECT count(*) FROM payments
WHERE status NOT IN ('succeeded', 'partially_captured', 'canceled', 'expired', 'failed')
"""
_CAPTURED = """
SELECT count(*), coalesce(sum(amount_captured_minor), 0)::bigint FROM payments
WHERE tenant_id = %s AND currency = %s AND kind = %s AND status = 'succeeded'
"""
_COMPLETED = """
SELECT count(*) FROM payments
WHERE tenant_id = %s AND currency = %s AND status = 'succeeded'
  AND updated_at >= to_timestamp(%s) AND updated_at < to_timestamp(%s)
"""
_CLEARED = """
SELECT b.debits_posted - b.credits_posted, b.debits_pending + b.credits_pending
FROM ledger_accounts a JOIN ledger_balances b ON b.account_id = a.id
WHERE a.tenant_id = %s AND a.public_id = %s
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One statement about the books, and whether it holds."""

    name: str
    holds: bool
    detail: str


def prove_books(world: World) -> list[Check]:
    """Wait until nothing is under way, and compare the books of all sides."""
    left = wait_until_settled(world)
    checks = [Check("every payment came to its end", left == 0, f"{left} open")]
    told = world.told()
    totals = _bank_totals(world)
    for kind, currency in ((CARD, OUR_CURRENCY), (DBOS, DBOS_CURRENCY)):
        if kind in told:
            checks += _prove_cards(world, kind, currency, told[kind], totals.get(currency, {}))
    if WALLET in told:
        checks.append(_prove_rows(world, WALLET, OUR_CURRENCY, "wallet", told[WALLET]))
    return [*checks, *_prove_ledger(world)]


def wait_until_settled(world: World) -> int:
    """Wait, within a bound, until no payment is under way; returns how many still are."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while (left := int(_row(world, _OPEN_PAYMENTS, ())[0])) and time.monotonic() < deadline:
        time.sleep(SETTLE_POLL_S)
    return left


def count_completed(world: World, began: float, ended: float) -> int:
    """Return how many payments through our API succeeded between two moments (Unix seconds)."""
    return int(_row(world, _COMPLETED, (TENANT, OUR_CURRENCY, began, ended))[0])


def _prove_rows(world: World, kind: str, currency: str, row_kind: str, told: dict[str, Any]) -> Check:
    """What clients were told is written; more than that only if some answers never came."""
    count, captured = _row(world, _CAPTURED, (TENANT, currency, row_kind))
    unanswered = told["unanswered"]
    same = (count, captured) == (told["payments"], told["minor"])
    holds = same or (unanswered > 0 and told["payments"] <= count <= told["payments"] + unanswered)
    detail = f"told {told['payments']} of {told['minor']}, written {count} of {captured}, {unanswered} unanswered"
    return Check(f"{kind}: what clients were told is what is written", holds, detail)


def _prove_cards(world: World, kind: str, currency: str, told: dict[str, Any], bank: dict[str, int]) -> list[Check]:
    count, captured = _row(world, _CAPTURED, (TENANT, currency, "card"))
    cleared, pending = _row(world, _CLEARED, (TENANT, clearing_account(GATEWAY, currency)))
    taken, sales = bank.get("captured_minor", 0), bank.get("authorizations", 0)
    return [
        _prove_rows(world, kind, currency, "card", told),
        Check(f"{kind}: the ledger has what the bank took", cleared == taken == captured, f"{cleared} and {taken}"),
        Check(f"{kind}: the bank took each payment once", sales == count, f"{sales} sales of {count} payments"),
        Check(f"{kind}: no hold is left", pending == 0, f"{pending} minor units"),
    ]


def _prove_ledger(world: World) -> list[Check]:
    with world.connect() as connection:
        findings = verify(connection)
    return [Check("the ledger verifies", not findings, describe_findings(findings))]


def describe_findings(findings: Sequence[Finding]) -> str:
    """Return the first few findings in one line."""
    shown = (f"{finding.check} at {finding.where}: {finding.what}" for finding in findings[:FINDINGS_SHOWN])
    return "; ".join(shown) or "no finding"


def _bank_totals(world: World) -> dict[str, dict[str, int]]:
    response = httpx.get(f"{world.stack.ports.bank_url}/statement/totals", trust_env=False)
    response.raise_for_status()
    totals: dict[str, dict[str, int]] = response.json()["totals"]
    return totals


def _row(world: World, statement: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    with world.connect() as connection:
        row = connection.execute(statement.encode(), values).fetchone()
    if row is None:
        raise LookupError("the statement returned no row")
    return row
