"""The ledger's tables as classes, for reading and for comparing with the database.

Invariant: nothing is written through them. Rows are inserted by the functions of migration 0001, which also holds the
checks, triggers and grants; a test asserts that columns, keys and indexes here are those of the database.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlmodel import Field, SQLModel

_C_TEXT = sa.Text(collation="C")
"""Ids, keys and codes compare byte by byte."""
_INSTANT = postgresql.TIMESTAMP(timezone=True)
_NOW = sa.text("now()")


class Tenant(SQLModel, table=True):
    """Whom rows belong to; `default` is always there."""

    __tablename__ = "tenants"

    id: str = Field(primary_key=True, sa_type=_C_TEXT)
    name: str = Field(sa_type=sa.Text)
    created_at: datetime = Field(sa_type=_INSTANT, sa_column_kwargs={"server_default": _NOW})


class LedgerAccount(SQLModel, table=True):
    """An account; only its status ever changes."""

    __tablename__ = "ledger_accounts"
    __table_args__ = (
        sa.UniqueConstraint("public_id", "tenant_id", name="ledger_accounts_public_id_key"),
        sa.Index("ledger_accounts_by_tenant", "tenant_id", "id"),
    )

    id: int = Field(sa_column=sa.Column(sa.BigInteger, sa.Identity(always=True), primary_key=True))
    tenant_id: str = Field(sa_type=_C_TEXT, foreign_key="tenants.id")
    public_id: str = Field(sa_type=_C_TEXT)
    currency: str = Field(sa_type=_C_TEXT)
    normal_side: str = Field(sa_type=_C_TEXT)
    purpose: str = Field(sa_type=_C_TEXT)
    may_go_negative: bool
    status: str = Field(sa_type=_C_TEXT, sa_column_kwargs={"server_default": "open"})
    created_at: datetime = Field(sa_type=_INSTANT, sa_column_kwargs={"server_default": _NOW})
    closed_at: datetime | None = Field(sa_type=_INSTANT, default=None)


class LedgerBalance(SQLModel, table=True):
    """The sums of an account, in minor units. Holds past their time are still in them until they are swept."""

    __tablename__ = "ledger_balances"

    account_id: int = Field(sa_column=sa.Column(sa.BigInteger, primary_key=True, autoincrement=False))
    debits_pending: int = Field(sa_type=sa.BigInteger, sa_column_kwargs={"server_default": "0"})
    debits_posted: int = Field(sa_type=sa.BigInteger, sa_column_kwargs={"server_default": "0"})
    credits_pending: int = Field(sa_type=sa.BigInteger, sa_column_kwargs={"server_default": "0"})
    credits_posted: int = Field(sa_type=sa.BigInteger, sa_column_kwargs={"server_default": "0"})
    debits_must_not_exceed_credits: bool
    credits_must_not_exceed_debits: bool
    closed: bool = Field(sa_column_kwargs={"server_default": sa.false()})
    currency: str = Field(sa_type=_C_TEXT)
    tenant_id: str = Field(sa_type=_C_TEXT)


class LedgerEntryRow(SQLModel, table=True):
    """The header of a journal entry; its transfers have its id and the ids that follow."""

    __tablename__ = "ledger_entries"
    __table_args__ = (
        sa.Index("ledger_entries_key_key", "key", "tenant_id", unique=True),
        sa.Index(
            "ledger_entries_by_payment",
            "payment_id",
            "tenant_id",
            "id",
            postgresql_where=sa.text("payment_id IS NOT NULL"),
        ),
    )

    id: int = Field(sa_column=sa.Column(sa.BigInteger, primary_key=True, autoincrement=False))
    created_at: datetime = Field(sa_type=_INSTANT)
    transfer_count: int
    tenant_id: str = Field(sa_type=_C_TEXT)
    key: str = Field(sa_type=_C_TEXT)
    payment_id: str | None = Field(sa_type=_C_TEXT, default=None)
    description: str = Field(sa_type=sa.Text)
    content_digest: bytes = Field(sa_type=postgresql.BYTEA)


class LedgerTransferRow(SQLModel, table=True):
    """One debit and one credit, for ever."""

    __tablename__ = "ledger_transfers"
    __table_args__ = (
        sa.Index("ledger_transfers_key_key", "key", "tenant_id", unique=True),
        sa.Index("ledger_transfers_by_debit_account", "debit_account_id", "id"),
        sa.Index("ledger_transfers_by_credit_account", "credit_account_id", "id"),
        sa.Index("ledger_transfers_by_hold", "hold_id", "id", postgresql_where=sa.text("hold_id IS NOT NULL")),
    )

    id: int = Field(sa_column=sa.Column(sa.BigInteger, primary_key=True, autoincrement=False))
    entry_id: int = Field(sa_type=sa.BigInteger)
    debit_account_id: int = Field(sa_type=sa.BigInteger)
    credit_account_id: int = Field(sa_type=sa.BigInteger)
    amount_minor: int = Field(sa_type=sa.BigInteger)
    released_minor: int = Field(sa_type=sa.BigInteger, sa_column_kwargs={"server_default": "0"})
    hold_id: int | None = Field(sa_type=sa.BigInteger, default=None)
    expires_at: datetime | None = Field(sa_type=_INSTANT, default=None)
    created_at: datetime = Field(sa_type=_INSTANT)
    is_final: bool | None = None
    takes_all: bool | None = None
    kind: str = Field(sa_type=_C_TEXT)
    currency: str = Field(sa_type=_C_TEXT)
    tenant_id: str = Field(sa_type=_C_TEXT)
    key: str = Field(sa_type=_C_TEXT)


_LIVE_WITH_EXPIRY = sa.text("state = 'pending' AND expires_at IS NOT NULL")


class LedgerHold(SQLModel, table=True):
    """What is left of a hold, derived from its transfers."""

    __tablename__ = "ledger_holds"
    __table_args__ = (
        sa.Index("ledger_holds_due", "expires_at", postgresql_where=_LIVE_WITH_EXPIRY),
        sa.Index(
            "ledger_holds_due_by_debit_account", "debit_account_id", "expires_at", postgresql_where=_LIVE_WITH_EXPIRY
        ),
        sa.Index(
            "ledger_holds_due_by_credit_account", "credit_account_id", "expires_at", postgresql_where=_LIVE_WITH_EXPIRY
        ),
    )

    transfer_id: int = Field(sa_column=sa.Column(sa.BigInteger, primary_key=True, autoincrement=False))
    debit_account_id: int = Field(sa_type=sa.BigInteger)
    credit_account_id: int = Field(sa_type=sa.BigInteger)
    remaining_minor: int = Field(sa_type=sa.BigInteger)
    expires_at: datetime | None = Field(sa_type=_INSTANT, default=None)
    state: str = Field(sa_type=_C_TEXT, sa_column_kwargs={"server_default": "pending"})
    currency: str = Field(sa_type=_C_TEXT)
    tenant_id: str = Field(sa_type=_C_TEXT)
    key: str = Field(sa_type=_C_TEXT)


class LedgerImportLine(SQLModel, table=True):
    """Staging of a bulk import; empty outside of one."""

    __tablename__ = "ledger_import_lines"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)

    import_id: UUID = Field(primary_key=True, sa_type=postgresql.UUID)
    ordinal: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    line: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    tenant_id: str = Field(sa_type=sa.Text)
    entry_key: str = Field(sa_type=sa.Text)
    payment_id: str | None = Field(sa_type=sa.Text, default=None)
    description: str | None = Field(sa_type=sa.Text, default=None)
    key: str | None = Field(sa_type=sa.Text, default=None)
    kind: str | None = Field(sa_type=sa.Text, default=None)
    debit: str | None = Field(sa_type=sa.Text, default=None)
    credit: str | None = Field(sa_type=sa.Text, default=None)
    amount_minor: Decimal | None = Field(sa_type=sa.Numeric, default=None)
    currency: str | None = Field(sa_type=sa.Text, default=None)
    hold: str | None = Field(sa_type=sa.Text, default=None)
    is_final: bool | None = None
    expires_at: datetime | None = Field(sa_type=_INSTANT, default=None)
