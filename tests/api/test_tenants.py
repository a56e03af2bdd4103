"""What belongs to another tenant does not exist, on any route."""

from __future__ import annotations

import re
from typing import Any

import httpx
from fastapi.routing import APIRoute

from api.accounts import routes as account_routes
from api.payments import command_routes as payment_command_routes
from api.payments import refund_routes
from api.payments import routes as payment_routes
from tests.support.api_world import ApiWorld, new_key

BODIES: dict[str, Any] = {"review_payment": {"action": "retry"}, "review_refund": {"action": "retry"}}


def _routes_with_an_id() -> list[tuple[str, str, str]]:
    modules = (payment_routes, payment_command_routes, refund_routes, account_routes)
    return [
        (method, route.path, route.operation_id or "")
        for module in modules
        for route in module.router.routes
        if isinstance(route, APIRoute) and "{" in route.path
        for method in sorted(route.methods)
    ]


async def test_every_route_with_an_id_answers_404_to_another_tenant(world: ApiWorld) -> None:
    payment = await world.authorized()
    await world.post(f"/v1/payments/{payment['id']}/capture", {"amount": 100, "final": False})
    refund = (await world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 1})).json()
    ids = {"payment_id": payment["id"], "refund_id": refund["id"], "account_id": "merchant"}
    before = (await world.get(f"/v1/payments/{payment['id']}")).json()
    routes = _routes_with_an_id()
    assert len(routes) >= 14
    for method, path, operation in routes:
        target = re.sub(r"{(\w+)}", lambda match: ids[match[1]], path)
        answer = await _call(world, method, target, operation, world.other_token)
        assert answer.status_code == 404, (method, target, answer.text)
        assert answer.json()["code"] == "not_found"
        theirs = await _call(world, "GET", target, operation, world.token)
        assert method == "POST" or theirs.status_code == 200, target
    assert (await world.get(f"/v1/payments/{payment['id']}")).json() == before
    assert await world.count("idempotency_keys") == 3


async def _call(world: ApiWorld, method: str, path: str, operation: str, token: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": new_key(), "Clearhold-Actor": "ops-1"}
    body = BODIES.get(operation, {}) if method == "POST" else None
    return await world.http.request(method, path, json=body, headers=headers)


async def test_lists_show_only_the_tenants_own(world: ApiWorld) -> None:
    await world.paid()
    theirs = {"Authorization": f"Bearer {world.other_token}"}
    for path in ("/v1/payments", "/v1/accounts", "/v1/payments?account=merchant"):
        assert (await world.get(path, headers=theirs)).json()["data"] == [], path
        assert (await world.get(path)).json()["data"] != [], path


async def test_anothers_account_cannot_be_paid_or_charged(world: ApiWorld) -> None:
    await world.fund("guest", 100)
    theirs = {"Authorization": f"Bearer {world.other_token}"}
    opened = await world.http.post("/v1/accounts", json={"id": "ours", "currency": "USD"}, headers=theirs)
    assert opened.status_code == 201
    for body in ({}, {"account": "ours", "payment_method": {"type": "wallet", "account": "guest"}}):
        answer = await world.pay(headers=theirs, **body)
        assert (answer.status_code, answer.json()["code"]) == (422, "account_not_found")
    assert await world.balance("guest") == 100
