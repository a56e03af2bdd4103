"""Loans, their instalments, stories and accruals as classes, for reading and for comparing with the database.

Invariant: nothing is written through them. Rows are written by the functions of migration 0004, in the transaction of the
ledger entries they speak of; a test asserts that columns, keys and indexes here are those of the database.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlmodel import Field, SQLModel

from infra.postgres.tables.ledger import Tenant

_TEXT = sa.Text
_INSTANT = postgresql.TIMESTAMP(timezone=True)
_TENANT_ID = f"{Tenant.__tablename__}.id"
_NOW: dict[str, Any] = {"server_default": sa.text("now()")}
_NEWEST_FIRST = (sa.text("created_at DESC"), sa.text("id DESC"))


def _of_a_loan() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["tenant_id", "loan_id"], ["loans.tenant_id", "loans.id"])


def _jsonb(*, nullable: bool) -> sa.Column[Any]:
    return sa.Column(postgresql.JSONB, nullable=nullable)


def _generated(name: str, kind: Any, expression: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, sa.Computed(expression, persisted=True), nullable=nullable)


class LoanRow(SQLModel, table=True):
    """A loan as clients read it; amounts in minor units, as of its business date."""

    __tablename__ = "loans"
    __table_args__ = (
        sa.Index("loans_by_time", "tenant_id", *_NEWEST_FIRST),
        sa.Index("loans_by_status", "tenant_id", "status", *_NEWEST_FIRST),
        sa.Index("loans_by_customer", "tenant_id", "customer", "currency"),
        sa.Index("loans_by_clock", "tenant_id", "test_clock", "id", postgresql_where=sa.text("test_clock IS NOT NULL")),
        sa.Index("loans_by_id", "id", postgresql_where=sa.text("status NOT IN ('rejected', 'withdrawn_by_client')")),
    )

    tenant_id: str = Field(primary_key=True, sa_type=_TEXT, foreign_key=_TENANT_ID)
    id: str = Field(primary_key=True, sa_type=_TEXT)
    status: str = Field(sa_type=_TEXT)
    application: dict[str, Any] = Field(sa_column=_jsonb(nullable=False))
    decision: dict[str, Any] | None = Field(default=None, sa_column=_jsonb(nullable=True))
    decided_by: str | None = Field(sa_type=_TEXT, default=None)
    screening_outcome: str | None = Field(sa_type=_TEXT, default=None)
    offer_expires_on: date | None = None
    apr_percent: Decimal | None = Field(sa_type=sa.Numeric, default=None)
    first_instalment_minor: int = Field(sa_type=sa.BigInteger)
    disbursed_on: date | None = None
    disbursed_minor: int = Field(sa_type=sa.BigInteger)
    maturity_on: date | None = None
    closed_on: date | None = None
    next_due_on: date | None = None
    next_due_minor: int = Field(sa_type=sa.BigInteger)
    principal_outstanding_minor: int = Field(sa_type=sa.BigInteger)
    interest_outstanding_minor: int = Field(sa_type=sa.BigInteger)
    fees_outstanding_minor: int = Field(sa_type=sa.BigInteger)
    penalties_outstanding_minor: int = Field(sa_type=sa.BigInteger)
    overpaid_minor: int = Field(sa_type=sa.BigInteger)
    recovered_minor: int = Field(sa_type=sa.BigInteger)
    written_off_minor: int = Field(sa_type=sa.BigInteger)
    oldest_due_on: date | None = None
    days_past_due: int
    bucket: str = Field(sa_type=_TEXT)
    charged_off_on: date | None = None
    paused_until: date | None = None
    failure_code: str | None = Field(sa_type=_TEXT, default=None)
    failure_message: str | None = Field(sa_type=_TEXT, default=None)
    business_date: date
    served_through: date | None = None
    version: int
    created_at: datetime = Field(sa_type=_INSTANT, sa_column_kwargs=_NOW)
    updated_at: datetime = Field(sa_type=_INSTANT, sa_column_kwargs=_NOW)
    customer: str = Field(
        sa_column=_generated("customer", _TEXT, "((application -> 'applicant'::text) ->> 'customer'::text)")
    )
    currency: str = Field(
        sa_column=_generated("currency", _TEXT, "((application -> 'terms'::text) ->> 'currency'::text)")
    )
    principal_minor: int = Field(
        sa_column=_generated(
            "principal_minor", sa.BigInteger, "(((application -> 'terms'::text) ->> 'principal'::text))::bigint"
        )
    )
    test_clock: str | None = Field(
        sa_column=_generated("test_clock", _TEXT, "(application ->> 'test_clock'::text)", nullable=True)
    )


class LoanInstalmentRow(SQLModel, table=True):
    """An instalment with what was charged and paid of it, in minor units."""

    __tablename__ = "loan_instalments"
    __table_args__ = (_of_a_loan(),)

    tenant_id: str = Field(primary_key=True, sa_type=_TEXT)
    loan_id: str = Field(primary_key=True, sa_type=_TEXT)
    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    due_on: date
    principal: int = Field(sa_type=sa.BigInteger)
    interest: int = Field(sa_type=sa.BigInteger)
    scheduled_fee: int = Field(sa_type=sa.BigInteger)
    fee: int = Field(sa_type=sa.BigInteger)
    penalty: int = Field(sa_type=sa.BigInteger)
    paid_principal: int = Field(sa_type=sa.BigInteger)
    paid_interest: int = Field(sa_type=sa.BigInteger)
    paid_fee: int = Field(sa_type=sa.BigInteger)
    paid_penalty: int = Field(sa_type=sa.BigInteger)
    fee_charged: bool
    late_fee_charged: bool
    penalty_exact: Decimal = Field(sa_type=sa.Numeric)
    penalty_charged: int = Field(sa_type=sa.BigInteger)
    penalty_until: date | None = None
    paid_on: date | None = None


class LoanRepaymentRow(SQLModel, table=True):
    """Money that came in, and what it paid; a payment pays once."""

    __tablename__ = "loan_repayments"
    __table_args__ = (
        _of_a_loan(),
        sa.UniqueConstraint("tenant_id", "payment_id", name="loan_repayments_payment_pays_once"),
    )

    tenant_id: str = Field(primary_key=True, sa_type=_TEXT)
    loan_id: str = Field(primary_key=True, sa_type=_TEXT)
    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    received_on: date
    amount_minor: int = Field(sa_type=sa.BigInteger)
    overpaid_minor: int = Field(sa_type=sa.BigInteger)
    payment_id: str = Field(sa_type=_TEXT)
    source: str = Field(sa_type=_TEXT)
    parts: list[dict[str, Any]] = Field(sa_column=_jsonb(nullable=False))
    reversed_on: date | None = None


class LoanEventRow(SQLModel, table=True):
    """One line of a loan's story. Never changed."""

    __tablename__ = "loan_events"

    tenant_id: str = Field(primary_key=True, sa_type=_TEXT)
    loan_id: str = Field(primary_key=True, sa_type=_TEXT)
    key: str = Field(primary_key=True, sa_type=_TEXT)
    sequence: int = Field(sa_column=sa.Column(sa.BigInteger, sa.Identity(always=True), nullable=False))
    name: str = Field(sa_type=_TEXT)
    text: str = Field(sa_type=_TEXT)
    at: datetime = Field(sa_type=_INSTANT)
    business_date: date
    actor: str | None = Field(sa_type=_TEXT, default=None)
    amount_minor: int | None = Field(sa_type=sa.BigInteger, default=None)
    entry_key: str | None = Field(sa_type=_TEXT, default=None)
    payment_id: str | None = Field(sa_type=_TEXT, default=None)


class LoanTransitionRow(SQLModel, table=True):
    """A change of status. Never changed."""

    __tablename__ = "loan_transitions"

    tenant_id: str = Field(primary_key=True, sa_type=_TEXT)
    loan_id: str = Field(primary_key=True, sa_type=_TEXT)
    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    from_status: str = Field(sa_type=_TEXT)
    to_status: str = Field(sa_type=_TEXT)
    at: datetime = Field(sa_type=_INSTANT)
    business_date: date


class LoanDecisionRow(SQLModel, table=True):
    """A credit decision with its findings. Never changed."""

    __tablename__ = "loan_decisions"

    tenant_id: str = Field(primary_key=True, sa_type=_TEXT)
    loan_id: str = Field(primary_key=True, sa_type=_TEXT)
    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    outcome: str = Field(sa_type=_TEXT)
    policy_version: str = Field(sa_type=_TEXT)
    decided_by: str = Field(sa_type=_TEXT)
    findings: list[dict[str, Any]] = Field(sa_column=_jsonb(nullable=False))
    at: datetime = Field(sa_type=_INSTANT)


class LoanProposalRow(SQLModel, table=True):
    """What one person proposed, and what another decided."""

    __tablename__ = "loan_proposals"

    tenant_id: str = Field(primary_key=True, sa_type=_TEXT)
    loan_id: str = Field(primary_key=True, sa_type=_TEXT)
    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    kind: str = Field(sa_type=_TEXT)
    status: str = Field(sa_type=_TEXT)
    maker: str = Field(sa_type=_TEXT)
    made_at: datetime = Field(sa_type=_INSTANT)
    note: str = Field(sa_type=_TEXT)
    restructure: dict[str, Any] | None = Field(default=None, sa_column=_jsonb(nullable=True))
    checker: str | None = Field(sa_type=_TEXT, default=None)
    checked_at: datetime | None = Field(sa_type=_INSTANT, default=None)


class LoanPositionRow(SQLModel, table=True):
    """How far the interest of a loan is accrued."""

    __tablename__ = "loan_positions"
    __table_args__ = (
        sa.Index(
            "loan_positions_to_accrue",
            "tenant_id",
            "loan_id",
            postgresql_where=sa.text("accrues AND NOT on_test_clock"),
        ),
    )

    tenant_id: str = Field(primary_key=True, sa_type=_TEXT)
    loan_id: str = Field(primary_key=True, sa_type=_TEXT)
    currency: str = Field(sa_type=_TEXT)
    on_test_clock: bool
    accrues: bool
    suspended: bool
    rounding: str = Field(sa_type=_TEXT)
    accrued_through: date
    accrued_total: int = Field(sa_type=sa.BigInteger)


class LoanAccrualSegmentRow(SQLModel, table=True):
    """A stretch over which the interest of a loan grows evenly."""

    __tablename__ = "loan_accrual_segments"

    tenant_id: str = Field(primary_key=True, sa_type=_TEXT)
    loan_id: str = Field(primary_key=True, sa_type=_TEXT)
    to_on: date = Field(primary_key=True)
    from_on: date
    base: int = Field(sa_type=sa.BigInteger)
    before: Decimal = Field(sa_type=sa.Numeric)
    earned: Decimal = Field(sa_type=sa.Numeric)
    total: int | None = Field(sa_type=sa.BigInteger, default=None)


class LoanAccrualRow(SQLModel, table=True):
    """The interest of one loan and day. Never changed."""

    __tablename__ = "loan_accruals"

    tenant_id: str = Field(primary_key=True, sa_type=_TEXT)
    loan_id: str = Field(primary_key=True, sa_type=_TEXT)
    day: date = Field(primary_key=True)
    amount_minor: int = Field(sa_type=sa.BigInteger)


class LoanAccrualAdjustmentRow(SQLModel, table=True):
    """What a change of terms made good of interest accrued before. Never changed."""

    __tablename__ = "loan_accrual_adjustments"

    tenant_id: str = Field(primary_key=True, sa_type=_TEXT)
    loan_id: str = Field(primary_key=True, sa_type=_TEXT)
    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    day: date
    amount_minor: int = Field(sa_type=sa.BigInteger)


class ClockRow(SQLModel, table=True):
    """A test clock, and the day it shows."""

    __tablename__ = "test_clocks"

    tenant_id: str = Field(primary_key=True, sa_type=_TEXT, foreign_key=_TENANT_ID)
    id: str = Field(primary_key=True, sa_type=_TEXT)
    name: str = Field(sa_type=_TEXT)
    business_date: date
    advancing_to: date | None = None
    created_at: datetime = Field(sa_type=_INSTANT, sa_column_kwargs=_NOW)
    updated_at: datetime = Field(sa_type=_INSTANT, sa_column_kwargs=_NOW)
