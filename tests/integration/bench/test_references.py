from __future__ import annotations

import sys
from pathlib import Path

import httpx
import psycopg

from infra.bench.control import ask
from infra.bench.loops import DONE, Pace
from infra.bench.seed import DBOS_CURRENCY, TENANT, sow
from infra.bench.world import GOOD_CARD
from infra.local.child import ProcessSpec
from infra.local.ports import PortAllocator
from infra.local.postgres import LocalPostgres
from infra.local.processes import Supervisor
from infra.local.readiness import http_probe, tcp_probe
from infra.local.temporary import temporary_temporal
from tests.support.bank_process import running_bank
from tests.support.database import Database

PROJECT = Path(__file__).resolve().parents[3]
ANSWER_TIMEOUT_S = 60.0
DECLINED_CARD = {**GOOD_CARD, "number": "4000000000009995"}


async def test_the_saga_on_dbos_moves_the_same_money_through_ledger_and_bank(
    postgres_server: LocalPostgres, database: Database, tmp_path: Path
) -> None:
    seed = await sow(database.owner_url)
    port, system = PortAllocator().free(), f"{database.name}_dbos"
    postgres_server.create_database(system)
    async with running_bank(tmp_path / "bank") as bank:
        environment = {
            "CLEARHOLD_DATABASE_URL": database.app_url,
            "CLEARHOLD_BANK_URL": bank.url,
            "BENCH_DBOS_SYSTEM_DATABASE_URL": postgres_server.owner_url(system),
            "BENCH_DBOS_TENANT_ID": TENANT,
            "BENCH_DBOS_PORT": str(port),
        }
        argv = (sys.executable, "-m", "infra.bench.dbos_server")
        ready = http_probe(f"http://127.0.0.1:{port}/readyz")
        with Supervisor() as supervisor:
            supervisor.start(ProcessSpec("dbos", argv, tmp_path / "dbos.log", environment, cwd=PROJECT, ready=ready))
            async with httpx.AsyncClient(trust_env=False, timeout=ANSWER_TIMEOUT_S) as http:
                tokens = [
                    (await http.post(f"{bank.url}/tokens", json=card)).json()["id"]
                    for card in (GOOD_CARD, DECLINED_CARD)
                ]
                answers = [
                    await http.post(
                        f"http://127.0.0.1:{port}/v1/payments",
                        json={
                            "amount": 700,
                            "currency": DBOS_CURRENCY,
                            "account": seed.dbos_merchants[0],
                            "payment_method": {"type": "card", "token": token},
                            "capture_method": "automatic",
                        },
                        headers={"Idempotency-Key": key},
                    )
                    for token, key in ((tokens[0], "one"), (tokens[1], "two"), (tokens[0], "one"))
                ]
                totals = (await http.get(f"{bank.url}/statement/totals")).json()["totals"][DBOS_CURRENCY]
    postgres_server.drop_database(system)

    assert [answer.json()["status"] for answer in answers] == ["succeeded", "failed", "succeeded"]
    assert answers[0].json()["id"] == answers[2].json()["id"]
    with psycopg.connect(database.owner_url) as connection:
        rows = connection.execute("SELECT status, amount_captured_minor FROM payments ORDER BY status").fetchall()
        pending = connection.execute("SELECT sum(debits_pending) FROM ledger_balances").fetchone()
    assert rows == [("failed", 0), ("succeeded", 700)]
    assert totals["captured_minor"] == 700
    assert pending == (0,)


def test_empty_workflows_run_to_their_end(tmp_path: Path) -> None:
    port = PortAllocator().free()
    argv = (sys.executable, "-m", "infra.bench.empty_driver", "--port", str(port))
    with temporary_temporal() as temporal, Supervisor() as supervisor:
        environment = {"CLEARHOLD_TEMPORAL_ADDRESS": temporal.address}
        spec = ProcessSpec("empty", argv, tmp_path / "log", environment, cwd=PROJECT, ready=tcp_probe(port))
        supervisor.start(spec)
        pace = {"concurrency": 4, "window_s": 30.0, "operations_max": 20}
        answer = ask(port, {"do": "run", "pace": pace, "first": 1}, ANSWER_TIMEOUT_S)
    assert answer["outcomes"] == {DONE: 20}
    assert Pace(**pace).duration_s == 30.0
