"""Published two-phase transfers, step by step against the database."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from domain.ledger.accounts import AccountResult, Balances
from domain.ledger.entries import EntryOutcome, LedgerResult
from infra.postgres.ledger import PostgresLedger
from infra.postgres.ledger_verify import verify
from infra.postgres.ledger_wire import to_json
from tests.support import ledger_vector
from tests.support.database import Database


async def test_the_published_two_phase_vector_passes_exactly(ledger: PostgresLedger) -> None:
    case = ledger_vector.cases()[0]
    assert set(await ledger.open_accounts(case.accounts)) == {AccountResult.CREATED}
    start = datetime.now(UTC)
    for step in case.steps(start):
        if step.wait_s:
            # The vector waits for a hold to expire: wait until the clock says that it has.
            while datetime.now(UTC) < start + timedelta(seconds=step.wait_s):
                await asyncio.sleep(0.02)
        outcomes = await ledger.apply(step.entries)
        assert step.is_answered_by(outcomes), (step, outcomes)
        if step.balances is not None:
            assert await ledger.balances("default", list(step.balances)) == step.balances


@pytest.mark.parametrize("case", ledger_vector.cases(), ids=lambda case: case.name)
def test_every_published_vector_passes_at_the_times_it_names(database: Database, case: ledger_vector.Case) -> None:
    start = now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        opened = owner.execute(
            "SELECT result FROM ledger_open_accounts(%s::jsonb)", [to_json(case.accounts)]
        ).fetchall()
        assert set(opened) == {("created",)}
        for step in case.steps(start):
            now += timedelta(seconds=step.wait_s)
            rows = owner.execute(
                "SELECT result, failed_transfer FROM ledger_apply_at(%s::jsonb, %s) ORDER BY ordinal",
                [to_json(step.entries), now],
            ).fetchall()
            outcomes = [EntryOutcome(LedgerResult(result), failed) for result, failed in rows]
            assert step.is_answered_by(outcomes), (step, outcomes)
            if step.balances is not None:
                balances = "SELECT * FROM ledger_read_balances('default', %s, %s)"
                found = {
                    account: Balances(*sums) for account, *sums in owner.execute(balances, [[*step.balances], now])
                }
                assert found == step.balances, step
        assert verify(owner) == []
