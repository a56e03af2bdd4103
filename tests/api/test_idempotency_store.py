"""Idempotency keys in PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest

from infra.postgres.idempotency import ClaimOutcome, IdempotencyKeys, StoredAnswer
from infra.postgres.pool import Pool
from tests.support.database import Database

LEASE = timedelta(seconds=30)
OVER = timedelta(seconds=-1)
ONE, OTHER = b"1" * 32, b"2" * 32
ANSWER = StoredAnswer(201, "/v1/payments/pay_a", b'{"id":"pay_a"}')


@pytest.fixture
def keys(pool: Pool) -> IdempotencyKeys:
    return IdempotencyKeys(pool)


async def test_a_key_goes_from_claimed_to_answered(keys: IdempotencyKeys) -> None:
    assert (await keys.claim("default", "k", ONE, LEASE)).outcome is ClaimOutcome.CLAIMED
    assert (await keys.claim("default", "k", ONE, LEASE)).outcome is ClaimOutcome.IN_FLIGHT
    await keys.answer("default", "k", ANSWER)
    again = await keys.claim("default", "k", ONE, LEASE)
    assert (again.outcome, again.answer) == (ClaimOutcome.ANSWERED, ANSWER)


async def test_another_request_is_told_apart_at_any_time(keys: IdempotencyKeys) -> None:
    await keys.claim("default", "k", ONE, LEASE)
    assert (await keys.claim("default", "k", OTHER, LEASE)).outcome is ClaimOutcome.REUSED
    await keys.release("default", "k")
    assert (await keys.claim("default", "k", OTHER, LEASE)).outcome is ClaimOutcome.REUSED
    await keys.answer("default", "k", ANSWER)
    assert (await keys.claim("default", "k", OTHER, LEASE)).outcome is ClaimOutcome.REUSED


async def test_a_lease_that_ran_out_is_taken_over_by_one_caller(keys: IdempotencyKeys) -> None:
    await keys.claim("default", "k", ONE, OVER)
    claims = await asyncio.gather(*(keys.claim("default", "k", ONE, LEASE) for _ in range(20)))
    outcomes = sorted(claim.outcome for claim in claims)
    assert outcomes == [ClaimOutcome.IN_FLIGHT] * 19 + [ClaimOutcome.RESUMED]


async def test_one_of_many_callers_at_once_gets_the_key(keys: IdempotencyKeys) -> None:
    claims = await asyncio.gather(*(keys.claim("default", "k", ONE, LEASE) for _ in range(50)))
    assert sum(claim.outcome is ClaimOutcome.CLAIMED for claim in claims) == 1
    assert {claim.outcome for claim in claims} == {ClaimOutcome.CLAIMED, ClaimOutcome.IN_FLIGHT}


async def test_the_first_answer_stands(keys: IdempotencyKeys) -> None:
    await keys.claim("default", "k", ONE, OVER)
    await keys.answer("default", "k", ANSWER)
    await keys.answer("default", "k", StoredAnswer(200, None, b"{}"))
    assert (await keys.claim("default", "k", ONE, LEASE)).answer == ANSWER


async def test_a_forgotten_key_is_free_for_any_request_but_an_answered_one_is_kept(keys: IdempotencyKeys) -> None:
    await keys.claim("default", "k", ONE, LEASE)
    await keys.forget("default", "k")
    assert (await keys.claim("default", "k", OTHER, LEASE)).outcome is ClaimOutcome.CLAIMED
    await keys.answer("default", "k", ANSWER)
    await keys.forget("default", "k")
    assert (await keys.claim("default", "k", OTHER, LEASE)).outcome is ClaimOutcome.ANSWERED


async def test_what_was_accepted_is_read_until_it_is_answered(keys: IdempotencyKeys) -> None:
    await keys.claim("default", "k", ONE, LEASE)
    await keys.release("default", "k", accepted_id="pay_a", accepted_body=b"{}")
    assert await keys.accepted("default", "pay_a") == b"{}"
    assert await keys.accepted("other", "pay_a") is None
    assert (await keys.claim("default", "k", ONE, LEASE)).outcome is ClaimOutcome.RESUMED
    await keys.answer("default", "k", ANSWER)
    assert await keys.accepted("default", "pay_a") is None


@pytest.mark.parametrize("status", [202, 400, 409, 500])
async def test_only_a_success_can_be_stored(keys: IdempotencyKeys, status: int) -> None:
    await keys.claim("default", "k", ONE, LEASE)
    with pytest.raises(psycopg.errors.CheckViolation):
        await keys.answer("default", "k", StoredAnswer(status, None, b"{}"))


async def test_a_command_to_a_payment_that_is_not_the_tenants_claims_nothing(keys: IdempotencyKeys) -> None:
    claim = await keys.claim("default", "k", ONE, LEASE, payment_id="pay_a", refund_id="re_a")
    assert claim.outcome is ClaimOutcome.NOT_FOUND
    assert (await keys.claim("default", "k", OTHER, LEASE)).outcome is ClaimOutcome.CLAIMED


async def test_old_keys_are_forgotten_in_bounded_steps_but_not_those_in_flight(keys: IdempotencyKeys) -> None:
    for n in range(5):
        await keys.claim("default", f"old{n}", ONE, OVER)
    await keys.claim("default", "alive", ONE, LEASE)
    assert await keys.prune(timedelta(hours=1)) == 0
    assert [await keys.prune(timedelta(0), limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert (await keys.claim("default", "alive", ONE, LEASE)).outcome is ClaimOutcome.IN_FLIGHT


async def test_the_application_writes_keys_through_the_functions_alone(pool: Pool) -> None:
    for statement in (
        "DELETE FROM idempotency_keys",
        "UPDATE idempotency_keys SET fingerprint = fingerprint",
        "INSERT INTO idempotency_keys SELECT * FROM idempotency_keys",
    ):
        async with pool.connection() as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(statement)


async def test_a_claim_does_not_wait_for_the_disk_but_a_hand_over_does(database: Database) -> None:
    async with await psycopg.AsyncConnection.connect(database.app_url) as connection:
        setting = "SELECT current_setting('synchronous_commit')"
        before = await (await connection.execute(setting)).fetchone()
        await connection.execute("SELECT idempotency_claim('default', 'k', %s, '30 s')", [ONE])
        assert await (await connection.execute(setting)).fetchone() == ("off",)
        await connection.commit()
        assert await (await connection.execute(setting)).fetchone() == before
        await connection.execute("SELECT idempotency_release('default', 'k', NULL, NULL)")
        assert await (await connection.execute(setting)).fetchone() == before
