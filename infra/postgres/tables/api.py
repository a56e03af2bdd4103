"""API keys and idempotency keys as classes, for reading and for comparing with the database.

Invariant: nothing is written through them. Idempotency keys are written by the functions of migration 0003, API keys by
`infra.postgres.api_keys`; a test asserts that columns, keys and indexes here are those of the database.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlmodel import Field, SQLModel

from infra.postgres.tables.ledger import Tenant

_C_TEXT = sa.Text(collation="C")
_INSTANT = postgresql.TIMESTAMP(timezone=True)
_TENANT_ID = f"{Tenant.__tablename__}.id"


class ApiKeyRow(SQLModel, table=True):
    """A key: its prefix and the digest of the whole of it."""

    __tablename__ = "api_keys"
    __table_args__ = (sa.Index("api_keys_by_tenant", "tenant_id", "created_at"),)

    prefix: str = Field(primary_key=True, sa_type=_C_TEXT)
    tenant_id: str = Field(sa_type=_C_TEXT, foreign_key=_TENANT_ID)
    environment: str = Field(sa_type=_C_TEXT)
    name: str = Field(sa_type=sa.Text)
    digest: bytes = Field(sa_type=postgresql.BYTEA)
    created_at: datetime = Field(sa_type=_INSTANT, sa_column_kwargs={"server_default": sa.text("now()")})
    revoked_at: datetime | None = Field(sa_type=_INSTANT, default=None)


class IdempotencyKeyRow(SQLModel, table=True):
    """A key a client used: in flight until `answer_status` is there."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        sa.Index(
            "idempotency_keys_accepted",
            "tenant_id",
            "accepted_id",
            postgresql_where=sa.text("accepted_id IS NOT NULL"),
        ),
        sa.Index("idempotency_keys_by_age", "created_at"),
    )

    tenant_id: str = Field(primary_key=True, sa_type=_C_TEXT, foreign_key=_TENANT_ID)
    key: str = Field(primary_key=True, sa_type=_C_TEXT)
    fingerprint: bytes = Field(sa_type=postgresql.BYTEA)
    lease_expires_at: datetime = Field(sa_type=_INSTANT)
    answer_status: int | None = Field(sa_type=sa.SmallInteger, default=None)
    answer_location: str | None = Field(sa_type=sa.Text, default=None)
    answer_body: bytes | None = Field(sa_type=postgresql.BYTEA, default=None)
    accepted_id: str | None = Field(sa_type=_C_TEXT, default=None)
    accepted_body: bytes | None = Field(sa_type=postgresql.BYTEA, default=None)
    created_at: datetime = Field(sa_type=_INSTANT, sa_column_kwargs={"server_default": sa.text("clock_timestamp()")})
