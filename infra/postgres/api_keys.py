"""API keys: who calls, and for which tenant.

Invariant: a key is shown once, when it is made. What is kept is its prefix, by which it is found, and the SHA-256 digest of
the whole of it: 256 random bits need no slow hash. A revoked key stays in the table, so that its prefix is never given again.

A key reads `ch_<environment>_<prefix>_<secret>`, so that a leaked one is recognised wherever it turns up.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection, errors
from psycopg.rows import class_row

from infra.postgres.pool import Pool

_PREFIX_BYTES = 8
_SECRET_BYTES = 32
_KEY = re.compile(r"ch_[a-z]{2,16}_([a-z0-9]{8,32})_[a-z0-9]{40,80}")
_MAX_KEY_LENGTH = 160
MAX_KEYS_LISTED = 1_000

_COLUMNS = "prefix, tenant_id, environment, name, created_at, revoked_at"
_FIND = "SELECT tenant_id, digest FROM api_keys WHERE prefix = %s AND revoked_at IS NULL"
_INSERT = f"""
INSERT INTO api_keys (prefix, tenant_id, environment, name, digest) VALUES (%s, %s, %s, %s, %s) RETURNING {_COLUMNS}
"""  # noqa: S608 - constants only
_LIST = f"""
SELECT {_COLUMNS} FROM api_keys WHERE %(tenant)s::text IS NULL OR tenant_id = %(tenant)s
ORDER BY created_at DESC, prefix LIMIT {MAX_KEYS_LISTED}
"""  # noqa: S608 - constants only
_REVOKE = "UPDATE api_keys SET revoked_at = now() WHERE prefix = %s AND revoked_at IS NULL RETURNING prefix"


class UnknownTenant(LookupError):
    """No tenant has that id."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept: everything but its secret."""

    prefix: str
    tenant_id: str
    environment: str
    name: str
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What authentication needs of a key."""

    tenant_id: str
    digest: bytes

    def fits(self, digest: bytes) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(self.digest, digest)


def prefix_of(token: str) -> str | None:
    """Return the prefix of a well-formed key, else None."""
    match = _KEY.fullmatch(token) if len(token) <= _MAX_KEY_LENGTH else None
    return match[1] if match else None


def digest_of(token: str) -> bytes:
    """Return the digest under which a key is kept."""
    return hashlib.sha256(token.encode()).digest()


def _random_word(size: int) -> str:
    return base64.b32encode(secrets.token_bytes(size)).decode().rstrip("=").lower()


async def find_key(pool: Pool, prefix: str) -> KeyRecord | None:
    """Return the key with that prefix unless it is unknown or revoked."""
    async with pool.connection() as connection, connection.cursor(row_factory=class_row(KeyRecord)) as cursor:
        await cursor.execute(_FIND, [prefix])
        return await cursor.fetchone()


async def create_key(
    connection: AsyncConnection[object], tenant_id: str, environment: str, name: str
) -> tuple[ApiKey, str]:
    """Make a key; the second value is the key itself, which nothing can show again.

    `environment` is a short word such as `live` or `dev`. Raises UnknownTenant, or psycopg.errors.CheckViolation when the
    environment or the name is malformed.
    """
    prefix = _random_word(_PREFIX_BYTES)
    token = f"ch_{environment}_{prefix}_{_random_word(_SECRET_BYTES)}"
    async with connection.cursor(row_factory=class_row(ApiKey)) as cursor:
        try:
            await cursor.execute(_INSERT, [prefix, tenant_id, environment, name, digest_of(token)])
        except errors.ForeignKeyViolation as error:
            raise UnknownTenant(f"There is no tenant {tenant_id!r}.") from error
        made = await cursor.fetchone()
    if made is None:
        raise RuntimeError("INSERT … RETURNING returned no row")
    return made, token


async def create_tenant(connection: AsyncConnection[object], tenant_id: str, name: str) -> None:
    """Make a tenant, unless it exists."""
    await connection.execute("INSERT INTO tenants (id, name) VALUES (%s, %s) ON CONFLICT DO NOTHING", [tenant_id, name])


async def list_keys(connection: AsyncConnection[object], tenant_id: str | None = None) -> list[ApiKey]:
    """Return the newest MAX_KEYS_LISTED keys, revoked ones included, of one tenant or of all."""
    async with connection.cursor(row_factory=class_row(ApiKey)) as cursor:
        await cursor.execute(_LIST, {"tenant": tenant_id})
        return await cursor.fetchall()


async def revoke_key(connection: AsyncConnection[object], prefix: str) -> bool:
    """Revoke a key at once and for good; False when there is none with that prefix, or it was revoked before.

    API processes remember a key for a few seconds (`api.authentication.CACHE_TTL_S`).
    """
    cursor = await connection.execute(_REVOKE, [prefix])
    return await cursor.fetchone() is not None
