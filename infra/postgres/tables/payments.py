"""Payments, refunds and their stories as classes, for reading and for comparing with the database.

Invariant: nothing is written through them. Rows are written by the functions of migration 0002, in the transaction of the
ledger entries they speak of; a test asserts that columns, keys and indexes here are those of the database.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlmodel import Field, SQLModel

from infra.postgres.tables.ledger import Tenant

_TEXT = sa.Text
_INSTANT = postgresql.TIMESTAMP(timezone=True)
_TENANT_ID = f"{Tenant.__tablename__}.id"
_NOW: dict[str, Any] = {"server_default": sa.text("now()")}
_ZERO: dict[str, Any] = {"server_default": "0"}
_NEWEST_FIRST = (sa.text("created_at DESC"), sa.text("id DESC"))
_ENDED = "('succeeded', 'partially_captured', 'canceled', 'expired', 'failed')"


class PaymentRow(SQLModel, table=True):
    """A payment as clients read it; amounts in minor units."""

    __tablename__ = "payments"
    __table_args__ = (
        sa.Index("payments_by_time", "tenant_id", *_NEWEST_FIRST),
        sa.Index("payments_by_status", "tenant_id", "status", *_NEWEST_FIRST),
        sa.Index("payments_by_account", "tenant_id", "credit_account", *_NEWEST_FIRST),
        sa.Index("payments_by_currency", "tenant_id", "currency", *_NEWEST_FIRST),
        sa.Index(
            "payments_by_customer",
            "tenant_id",
            "customer",
            *_NEWEST_FIRST,
            postgresql_where=sa.text("customer IS NOT NULL"),
        ),
        sa.Index("payments_open", "updated_at", postgresql_where=sa.text(f"status NOT IN {_ENDED}")),
    )

    tenant_id: str = Field(primary_key=True, sa_type=_TEXT, foreign_key=_TENANT_ID)
    id: str = Field(primary_key=True, sa_type=_TEXT)
    kind: str = Field(sa_type=_TEXT)
    status: str = Field(sa_type=_TEXT)
    amount_minor: int = Field(sa_type=sa.BigInteger)
    currency: str = Field(sa_type=_TEXT)
    capture_method: str = Field(sa_type=_TEXT)
    debit_account: str = Field(sa_type=_TEXT)
    credit_account: str = Field(sa_type=_TEXT)
    gateway: str = Field(sa_type=_TEXT)
    payment_method: str | None = Field(sa_type=_TEXT, default=None)
    customer: str | None = Field(sa_type=_TEXT, default=None)
    description: str = Field(sa_type=_TEXT)
    metadata_: dict[str, str] = Field(sa_column=sa.Column("metadata", postgresql.JSONB, nullable=False))
    attempts_allowed: int
    attempt: int
    captures: int
    pending_capture_minor: int = Field(sa_type=sa.BigInteger)
    pending_capture_final: bool = Field(sa_column_kwargs={"server_default": sa.text("false")})
    amount_authorized_minor: int = Field(sa_type=sa.BigInteger)
    amount_captured_minor: int = Field(sa_type=sa.BigInteger)
    amount_refunded_minor: int = Field(sa_type=sa.BigInteger, sa_column_kwargs=_ZERO)
    amount_refunding_minor: int = Field(sa_type=sa.BigInteger, sa_column_kwargs=_ZERO)
    gateway_reference: str | None = Field(sa_type=_TEXT, default=None)
    challenge_id: str | None = Field(sa_type=_TEXT, default=None)
    failure_code: str | None = Field(sa_type=_TEXT, default=None)
    failure_message: str | None = Field(sa_type=_TEXT, default=None)
    review_reason: str | None = Field(sa_type=_TEXT, default=None)
    expires_at: datetime | None = Field(sa_type=_INSTANT, default=None)
    trace_id: str | None = Field(sa_type=_TEXT, default=None)
    commands: list[str] = Field(
        sa_column=sa.Column(postgresql.ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'"))
    )
    version: int
    created_at: datetime = Field(sa_type=_INSTANT)
    updated_at: datetime = Field(sa_type=_INSTANT, sa_column_kwargs=_NOW)


class PaymentOperationRow(SQLModel, table=True):
    """One request to a gateway, and what is known of it."""

    __tablename__ = "payment_operations"
    __table_args__ = (sa.Index("payment_operations_by_payment", "tenant_id", "payment_id"),)

    tenant_id: str = Field(primary_key=True, sa_type=_TEXT, foreign_key=_TENANT_ID)
    key: str = Field(primary_key=True, sa_type=_TEXT)
    payment_id: str = Field(sa_type=_TEXT)
    owner_id: str = Field(sa_type=_TEXT)
    kind: str = Field(sa_type=_TEXT)
    status: str = Field(sa_type=_TEXT)
    amount_minor: int = Field(sa_type=sa.BigInteger)
    gateway_reference: str | None = Field(sa_type=_TEXT, default=None)
    error_code: str | None = Field(sa_type=_TEXT, default=None)
    created_at: datetime = Field(sa_type=_INSTANT, sa_column_kwargs=_NOW)
    updated_at: datetime = Field(sa_type=_INSTANT, sa_column_kwargs=_NOW)


class PaymentEventRow(SQLModel, table=True):
    """A line of a payment's story; never rewritten."""

    __tablename__ = "payment_events"

    tenant_id: str = Field(primary_key=True, sa_type=_TEXT, foreign_key=_TENANT_ID)
    payment_id: str = Field(primary_key=True, sa_type=_TEXT)
    key: str = Field(primary_key=True, sa_type=_TEXT)
    sequence: int = Field(sa_column=sa.Column(sa.BigInteger, sa.Identity(always=True), nullable=False))
    owner_id: str = Field(sa_type=_TEXT)
    name: str = Field(sa_type=_TEXT)
    text: str = Field(sa_type=_TEXT)
    at: datetime = Field(sa_type=_INSTANT)
    amount_minor: int | None = Field(sa_type=sa.BigInteger, default=None)
    entry_key: str | None = Field(sa_type=_TEXT, default=None)
    gateway_reference: str | None = Field(sa_type=_TEXT, default=None)


class RefundRow(SQLModel, table=True):
    """A refund of a payment."""

    __tablename__ = "refunds"
    __table_args__ = (
        sa.Index("refunds_by_payment", "tenant_id", "payment_id", "created_at"),
        sa.Index("refunds_open", "updated_at", postgresql_where=sa.text("status IN ('pending', 'needs_review')")),
        sa.ForeignKeyConstraint(["tenant_id", "payment_id"], ["payments.tenant_id", "payments.id"]),
    )

    tenant_id: str = Field(primary_key=True, sa_type=_TEXT, foreign_key=_TENANT_ID)
    id: str = Field(primary_key=True, sa_type=_TEXT)
    payment_id: str = Field(sa_type=_TEXT)
    status: str = Field(sa_type=_TEXT)
    amount_minor: int = Field(sa_type=sa.BigInteger)
    currency: str = Field(sa_type=_TEXT)
    reason: str = Field(sa_type=_TEXT)
    gateway_reference: str | None = Field(sa_type=_TEXT, default=None)
    failure_code: str | None = Field(sa_type=_TEXT, default=None)
    failure_message: str | None = Field(sa_type=_TEXT, default=None)
    version: int
    created_at: datetime = Field(sa_type=_INSTANT)
    updated_at: datetime = Field(sa_type=_INSTANT, sa_column_kwargs=_NOW)


class PaymentLimitRow(SQLModel, table=True):
    """What a payment, and a customer's day, may amount to."""

    __tablename__ = "payment_limits"

    tenant_id: str = Field(primary_key=True, sa_type=_TEXT, foreign_key=_TENANT_ID)
    currency: str = Field(primary_key=True, sa_type=_TEXT)
    max_payment_minor: int = Field(sa_type=sa.BigInteger)
    max_customer_day_minor: int = Field(sa_type=sa.BigInteger)


class PaymentCustomerDayRow(SQLModel, table=True):
    """What a customer attempted on a UTC day."""

    __tablename__ = "payment_customer_days"

    tenant_id: str = Field(primary_key=True, sa_type=_TEXT, foreign_key=_TENANT_ID)
    customer: str = Field(primary_key=True, sa_type=_TEXT)
    currency: str = Field(primary_key=True, sa_type=_TEXT)
    day: date = Field(primary_key=True, sa_type=sa.Date)
    attempted_minor: int = Field(sa_type=sa.BigInteger)
