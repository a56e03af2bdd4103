"""API keys: needed everywhere under /v1, shown once, revocable."""

from __future__ import annotations

import hashlib

import psycopg
import pytest

from api.authentication import CACHE_MAX, CACHE_TTL_S, Authenticator
from infra.postgres import api_keys
from infra.postgres.pool import Pool
from tests.support.api_world import ApiWorld, make_key
from tests.support.database import Database


async def test_every_route_under_v1_needs_a_key(idle_world: ApiWorld) -> None:
    asked = 0
    for path, operations in idle_world.app.openapi()["paths"].items():
        for method in operations:
            if path.startswith("/v1"):
                target = (
                    path.replace("{payment_id}", "pay_a").replace("{refund_id}", "re_a").replace("{account_id}", "a")
                )
                answer = await idle_world.http.request(method, target, headers={"Authorization": ""})
                assert answer.status_code == 401, (method, path)
                assert answer.headers["www-authenticate"].startswith("Bearer")
                assert answer.json()["code"] == "unauthenticated"
                asked += 1
    assert asked >= 19


async def test_a_key_that_is_not_quite_right_is_refused(idle_world: ApiWorld) -> None:
    token = idle_world.token
    for wrong in (
        token[:-1],
        token[:-1] + ("a" if token[-1] != "a" else "b"),
        token.upper(),
        token + "a",
        "ch_test_" + "a" * 13 + "_" + "b" * 52,
        "ch_test__",
        "nonsense",
        "ch_\x00",
        "x" * 5000,
    ):
        answer = await idle_world.get("/v1/payments", headers={"Authorization": f"Bearer {wrong}"})
        assert answer.status_code == 401, wrong
        assert wrong not in answer.text
    for scheme in ("Basic", "bearer "):
        answer = await idle_world.get("/v1/payments", headers={"Authorization": f"{scheme} {token}"})
        assert answer.status_code == (401 if scheme == "Basic" else 200)


async def test_a_key_is_kept_as_a_digest_alone(database: Database) -> None:
    token = await make_key(database, "default")
    async with await psycopg.AsyncConnection.connect(database.app_url) as connection:
        row = await (await connection.execute("SELECT * FROM api_keys")).fetchone()
    assert row is not None
    assert hashlib.sha256(token.encode()).digest() in row
    secret = token.rsplit("_", 1)[1]
    assert secret not in str(row)


async def test_a_revoked_key_is_refused_once_it_is_no_longer_remembered(
    database: Database, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await make_key(database, "default")
    prefix = api_keys.prefix_of(token)
    assert prefix is not None
    authenticator = Authenticator(pool)
    remembered = await authenticator._find(prefix)
    assert remembered is not None
    async with await psycopg.AsyncConnection.connect(database.owner_url, autocommit=True) as connection:
        assert await api_keys.revoke_key(connection, prefix)
        assert not await api_keys.revoke_key(connection, prefix)
    assert await authenticator._find(prefix) == remembered
    monkeypatch.setattr("api.authentication.time.monotonic", lambda: float(10**12))
    assert await authenticator._find(prefix) is None
    assert CACHE_TTL_S <= 5


async def test_guessed_keys_do_not_fill_the_memory_or_ask_the_database_twice(pool: Pool) -> None:
    authenticator = Authenticator(pool)
    for n in range(20):
        assert await authenticator._find(f"guess{n:08d}") is None
    assert len(authenticator._cache) == 20 <= CACHE_MAX
    await pool.close()
    assert await authenticator._find("guess00000000") is None


async def test_the_application_cannot_make_or_revoke_keys(database: Database) -> None:
    token = await make_key(database, "default")
    async with await psycopg.AsyncConnection.connect(database.app_url, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await api_keys.create_key(connection, "default", "test", "stolen")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await api_keys.revoke_key(connection, api_keys.prefix_of(token) or "")


async def test_a_key_for_an_unknown_tenant_is_not_made(database: Database) -> None:
    async with await psycopg.AsyncConnection.connect(database.owner_url, autocommit=True) as connection:
        with pytest.raises(api_keys.UnknownTenant):
            await api_keys.create_key(connection, "nobody", "test", "x")
        await make_key(database, "somebody")
        assert [key.tenant_id for key in await api_keys.list_keys(connection)] == ["somebody"]
        assert await api_keys.list_keys(connection, "default") == []
