from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from infra.bench.ledger_driver import ACCOUNTS, BATCH
from infra.bench.ledger_parts import BATCHED, HOT, SHARED, SINGLE, Ledgers
from infra.bench.loops import DONE, Pace
from infra.bench.sampling import Work, take_sample
from infra.local.postgres import LocalPostgres
from infra.local.processes import Supervisor


@pytest.fixture(scope="module")
def ledgers(postgres_server: LocalPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledgers]:
    with Supervisor() as supervisor:
        opened = Ledgers(supervisor, postgres_server, tmp_path_factory.mktemp("ledgers"))
        opened.open("bench_base")
        opened.fill("bench_base", ACCOUNTS)
        opened.pause("bench_base")
        yield opened
    for database in ("bench_base", "bench_copy", "bench_pgbench"):
        postgres_server.drop_database(database)


@pytest.fixture
def copy(ledgers: Ledgers) -> Iterator[str]:
    ledgers.open("bench_copy", template="bench_base")
    yield "bench_copy"
    ledgers.pause("bench_copy")


def transfers(ledgers: Ledgers, database: str) -> int:
    with psycopg.connect(ledgers.server.superuser_url(database)) as connection:
        row = connection.execute("SELECT count(*) FROM ledger_transfers").fetchone()
    assert row is not None
    return int(row[0])


def test_every_kind_of_posting_books_as_many_transfers_as_it_counts_and_the_ledger_verifies(
    ledgers: Ledgers, copy: str
) -> None:
    counted = ACCOUNTS
    for kind, operations in ((SINGLE, 20), (SHARED, 200), (BATCHED, 3), (HOT, 3)):
        answer = ledgers.run(copy, kind, Pace(4, 30.0, operations_max=operations))
        assert set(answer["outcomes"]) == {DONE}
        assert answer["outcomes"][DONE] == operations * (BATCH if kind in (BATCHED, HOT) else 1)
        counted += answer["outcomes"][DONE]
    assert transfers(ledgers, copy) == counted
    assert ledgers.prove(copy).holds


def test_a_ledger_changed_behind_its_back_does_not_verify(ledgers: Ledgers, copy: str) -> None:
    with psycopg.connect(ledgers.server.superuser_url(copy), autocommit=True) as connection:
        connection.execute("ALTER TABLE ledger_balances DISABLE TRIGGER ALL")
        connection.execute("UPDATE ledger_balances SET credits_posted = credits_posted + 1 WHERE account_id = 5")
    check = ledgers.prove(copy)
    assert not check.holds
    assert check.detail


def test_pgbench_is_measured_with_its_own_latencies_and_its_cpu(ledgers: Ledgers, copy: str, tmp_path: Path) -> None:
    ledgers.pgbench.prepare()
    work = Work("pgbench", "pgbench", ledgers.pgbench.run)
    sample = take_sample(ledgers.meter(copy), work, Pace(16, 1.0))
    assert sample.rate_per_s > 0
    assert 0 < sample.latency_ms["p50"] <= sample.latency_ms["p99"]
    assert sample.cpu_ms["postgres"] > 0
    assert sample.cpu_ms["client"] > 0
