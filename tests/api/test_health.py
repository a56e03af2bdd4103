"""Liveness, readiness, metrics, overload, and what happens when a dependency is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from temporalio.client import Client

from infra.local.ports import PortAllocator
from infra.local.postgres import LocalPostgres
from infra.local.temporal import LocalTemporal
from infra.settings import Settings
from tests.support.api_world import ApiWorld, api_world, calling, card, make_key, new_key, serving
from tests.support.database import Database
from tests.support.fake_gateway import Fault

PATIENCE_S = 30.0


async def test_a_process_with_all_it_needs_is_ready_and_tells_of_its_workers(world: ApiWorld) -> None:
    assert (await world.get("/livez")).json() == {"status": "alive"}
    told = {}
    async with asyncio.timeout(PATIENCE_S):
        while told.get("workers") != "up":  # a worker's first poll is not at the server with the worker's first breath
            ready = await world.get("/readyz")
            assert ready.status_code == 200, ready.text
            told = {name: ready.json()[name]["status"] for name in ("database", "temporal", "workers")}
            await asyncio.sleep(0.05)
    assert told == {"database": "up", "temporal": "up", "workers": "up"}


async def test_a_process_starts_and_reads_without_temporal_and_says_that_it_is_down(database: Database) -> None:
    nowhere = f"127.0.0.1:{PortAllocator().free()}"
    settings = Settings(database_url=database.app_url, database_pool_min=0, temporal_address=nowhere)
    token = await make_key(database, "default")
    async with serving(settings) as app, calling(app, token) as http:
        ready = await http.get("/readyz")
        assert ready.status_code == 503
        assert (ready.json()["temporal"]["status"], ready.json()["database"]["status"]) == ("down", "up")
        assert (await http.get("/livez")).status_code == 200
        assert (await http.post("/v1/accounts", json={"id": "merchant", "currency": "USD"})).status_code == 201
        assert (await http.get("/v1/payments")).status_code == 200
        body = {"amount": 1, "currency": "USD", "account": "merchant", "payment_method": card()}
        answer = await http.post("/v1/payments", json=body, headers={"Idempotency-Key": new_key()})
        assert (answer.status_code, answer.json()["code"]) == (503, "engine_unavailable")
        assert answer.headers["retry-after"]


async def test_a_process_whose_database_is_away_says_so_and_answers_503(
    postgres_server: LocalPostgres, temporal_server: LocalTemporal, database: Database
) -> None:
    nowhere = f"postgresql://nobody@127.0.0.1:{PortAllocator().free()}/none"
    settings = Settings(
        database_url=nowhere,
        database_pool_min=0,
        database_acquire_timeout_s=0.5,
        temporal_address=temporal_server.address,
    )
    token = await make_key(database, "default")
    async with serving(settings) as app, calling(app, token) as http:
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()["database"]["status"]) == (503, "down")
        assert "nobody" not in ready.text
        answer = await http.get("/v1/payments")
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")


async def test_after_the_database_dropped_every_connection_one_request_fails_and_the_next_works(
    world: ApiWorld,
) -> None:
    await asyncio.gather(*(world.get("/v1/payments") for _ in range(20)))
    await world.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    failed = await world.get("/v1/payments")
    assert (failed.status_code, failed.json()["code"]) == (503, "database_unavailable")
    mending = world.services._mending
    assert mending is not None
    await asyncio.wait_for(mending, PATIENCE_S)
    answers = await asyncio.gather(*(world.get("/v1/payments") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}


async def test_beyond_its_bound_money_moving_requests_are_shed_and_the_rest_answers(
    database: Database, temporal_server: LocalTemporal, client: Client
) -> None:
    async with api_world(database, temporal_server, client, api_in_flight_max=2) as world:
        world.gateway.faults["authorize"] += [Fault.HANGS_BEFORE] * 4  # in the fast lane, and when it is sent again
        under_way = [asyncio.create_task(world.pay(headers={"Prefer": "wait=3"})) for _ in range(2)]
        async with asyncio.timeout(PATIENCE_S):
            while world.services.in_flight.now < 2:
                await asyncio.sleep(0.01)
        shed = await world.pay()
        assert (shed.status_code, shed.json()["code"]) == (503, "overloaded")
        assert shed.headers["retry-after"]
        for path in ("/livez", "/readyz", "/v1/payments", "/metrics"):
            assert (await world.get(path)).status_code == 200, path
        assert [answer.status_code for answer in await asyncio.gather(*under_way)] == [202, 202]
        async with asyncio.timeout(PATIENCE_S):
            while world.gateway.faults["authorize"]:
                await asyncio.sleep(0.01)
        assert (await world.pay()).status_code == 201
        told = (await world.get("/metrics")).text
        assert "clearhold_http_money_shed_total 1.0" in told
        assert 'clearhold_http_requests_total{method="POST",route="shed",status="503"} 1.0' in told


@pytest.mark.parametrize(
    ("path", "is_shed"),
    [
        ("/v1/payments", True),
        ("/v1/payments/pay_x/capture", True),
        ("/v1/refunds/re_x/review", True),
        ("/v1/loans/ln_x/repay", True),
        ("/v1/loan_quotes", False),
        ("/v1/accounts", False),
    ],
)
async def test_a_full_process_turns_away_what_moves_money_before_it_looks_at_it(
    database: Database, temporal_server: LocalTemporal, client: Client, path: str, is_shed: bool
) -> None:
    """Whatever its key, its id and its body: looking at them would cost what the work under way needs."""
    async with api_world(database, temporal_server, client, api_in_flight_max=1) as world:
        with world.services.in_flight.admit():
            answer = await world.http.post(path, content=b"{", headers={"Authorization": "Bearer nobody"})
        assert (answer.status_code == 503) is is_shed, answer.text
        if is_shed:
            assert answer.json()["code"] == "overloaded"
            assert answer.headers["trace-id"]


async def test_bodies_that_come_slowly_hold_no_place(
    database: Database, temporal_server: LocalTemporal, client: Client
) -> None:
    async with api_world(database, temporal_server, client, api_in_flight_max=1) as world:
        rest = asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield b'{"amount": 1,'
            begun.set()
            await rest.wait()
            yield b'"currency": 5}'

        begun = asyncio.Event()
        headers = {"Idempotency-Key": new_key(), "Content-Type": "application/json"}
        slow = asyncio.create_task(world.http.post("/v1/payments", content=slowly(), headers=headers))
        async with asyncio.timeout(PATIENCE_S):
            await begun.wait()
            assert (await world.pay()).status_code == 201
            rest.set()
            assert (await slow).status_code == 422


async def test_metrics_count_requests_by_route(world: ApiWorld) -> None:
    payment = await world.paid()
    await world.get(f"/v1/payments/{payment['id']}")
    await world.get("/v1/nothing/here")
    text = (await world.get("/metrics")).text
    assert 'clearhold_http_requests_total{method="POST",route="/v1/payments",status="201"} 1.0' in text
    assert 'route="/v1/payments/{payment_id}",status="200"} 1.0' in text
    assert 'route="unmatched",status="404"} 1.0' in text
    assert payment["id"] not in text


async def test_every_answer_carries_a_trace_id_and_the_callers_is_kept(idle_world: ApiWorld) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    for path in ("/livez", "/v1/payments", "/nothing", "/v1/payments/pay_x", "/openapi.json"):
        assert (await idle_world.get(path, headers=headers)).headers["trace-id"] == trace, path
    answer = await idle_world.get("/nothing", headers={"traceparent": "garbage"})
    assert len(answer.headers["trace-id"]) == 32
    assert answer.headers["trace-id"] == answer.json()["trace_id"]


async def test_a_defect_is_answered_with_a_problem_that_tells_nothing_internal(
    idle_world: ApiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("password=hunter2 at line 7")

    monkeypatch.setattr(type(idle_world.services.payments), "payments", broken)
    answer: httpx.Response = await idle_world.get("/v1/payments")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "hunter2" not in answer.text
    assert answer.json()["trace_id"] == answer.headers["trace-id"]


async def test_every_problem_type_has_a_page(idle_world: ApiWorld) -> None:
    index = (await idle_world.get("/problems")).text
    schema = (await idle_world.get("/openapi.json")).text
    for code in ("validation_failed", "idempotency_key_reused", "card_number_refused", "no_worker"):
        page = await idle_world.get(f"/problems/{code}")
        assert page.status_code == 200
        assert "What to do" in page.text
        assert f"/problems/{code}" in index
        assert f"/problems/{code}" in schema
    assert (await idle_world.get("/problems/none")).status_code == 404
