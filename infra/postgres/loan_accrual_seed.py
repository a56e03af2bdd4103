"""A portfolio made for measuring the daily accrual: many running loans written at once, by the owner of the schema.

Invariant: for measurements only; it needs the owner's role, which no application process has.
"""

from __future__ import annotations

from datetime import date

import psycopg

ACCOUNTS_PER_CALL = 20_000
"""Accounts opened in one statement."""

_ACCOUNTS = """
    SELECT ledger_open_accounts(jsonb_agg(jsonb_build_object(
        'tenant_id', 'default', 'id', format('loan:ln_seed%s:interest', n), 'currency', 'USD', 'normal_side', 'debit',
        'purpose', 'loan_interest', 'may_go_negative', false)))
    FROM generate_series(%s::bigint, %s::bigint) AS n
"""
_INCOME = """
    SELECT ledger_open_accounts('[{"tenant_id": "default", "id": "loans:interest_income:USD", "currency": "USD",
        "normal_side": "credit", "purpose": "interest_income", "may_go_negative": true}]')
"""
_POSITIONS = """
    INSERT INTO loan_positions (tenant_id, loan_id, currency, on_test_clock, accrues, suspended, rounding, accrued_through,
                                accrued_total)
    SELECT 'default', format('ln_seed%%s', n), 'USD', false, true, false, 'half_even', %(on)s, 0
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
"""
_SEGMENTS = """
    INSERT INTO loan_accrual_segments (tenant_id, loan_id, from_on, to_on, base, before, earned, total)
    SELECT 'default', format('ln_seed%%s', n), %(on)s, %(on)s::date + 30, 0, 0, (100000 + n) * 0.01, round((100000 + n) * 0.01)
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
"""


def seed_portfolio(owner_url: str, loans: int, on: date) -> None:
    """Write `loans` positions that accrue from a day on, each with a period of 30 days and a receivable of its own."""
    with psycopg.connect(owner_url) as connection:
        connection.execute(_INCOME)
        for first in range(1, loans + 1, ACCOUNTS_PER_CALL):
            connection.execute(
                _ACCOUNTS.replace("seed%s", "seed%%s"), [first, min(first + ACCOUNTS_PER_CALL - 1, loans)]
            )
        values = {"on": on, "first": 1, "last": loans}
        connection.execute(_POSITIONS, values)
        connection.execute(_SEGMENTS, values)
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("ANALYZE loan_positions, loan_accrual_segments, ledger_accounts, ledger_balances")
