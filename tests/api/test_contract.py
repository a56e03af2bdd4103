"""The OpenAPI document is complete, and the API holds to it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from api.accounts.views import AccountPage, AccountView, BalancesView, EntryPage
from api.payments.views import LivePayment, PaymentPage, PaymentView, RefundList, RefundView, Timeline
from api.readiness import ReadinessView
from tests.support.api_world import ApiWorld, card, wallet


def _operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, op) for path, item in document["paths"].items() for method, op in item.items()]


async def test_every_operation_says_who_may_call_what_comes_back_and_what_can_go_wrong(idle_world: ApiWorld) -> None:
    document = idle_world.app.openapi()
    operations = _operations(document)
    assert len(operations) == len({op["operationId"] for *_, op in operations}) >= 21
    for path, method, op in operations:
        assert op["summary"], path
        assert op["tags"], path
        for status, answer in op["responses"].items():
            assert answer["description"], (path, status)
            assert "Trace-Id" in answer["headers"], (path, status)
            assert answer["content"], (path, status)
        if path.startswith("/v1"):
            assert op["security"] == [{"apiKey": []}]
            assert {"401", "422", "500", "503"} <= set(op["responses"]), path
        if method == "post" and path.startswith(("/v1/payments", "/v1/refunds")):
            named = {parameter["name"]: parameter["required"] for parameter in op["parameters"]}
            assert named["Idempotency-Key"] is True
            assert named["Prefer"] is False
            assert {"202", "400", "409", "413", "415"} <= set(op["responses"])


async def test_there_is_one_way_to_say_who_acts_and_every_header_described_is_screened(idle_world: ApiWorld) -> None:
    named = {
        parameter["name"]
        for *_, op in _operations(idle_world.app.openapi())
        for parameter in op.get("parameters", ())
        if parameter["in"] == "header"
    }
    assert named == {"Idempotency-Key", "Prefer", "Clearhold-Actor"}
    for name in named:
        answer = await idle_world.post(
            "/v1/payments/pay_a/review", {"action": "retry"}, headers={name: "4242424242424242"}
        )
        assert answer.json()["code"] == "card_number_refused", name


async def test_every_body_and_problem_has_examples(idle_world: ApiWorld) -> None:
    document = idle_world.app.openapi()
    for path, _, op in _operations(document):
        for status, answer in op["responses"].items():
            problem = answer["content"].get("application/problem+json")
            assert problem is None or problem["examples"], (path, status)
        if "requestBody" in op:
            name = op["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
            assert document["components"]["schemas"][name]["examples"], name


async def test_every_reference_in_the_document_leads_somewhere(idle_world: ApiWorld) -> None:
    document = idle_world.app.openapi()

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [found for inner in value.values() for found in references(inner)]
        return [found for inner in value for found in references(inner)] if isinstance(value, list) else []

    found = references(document)
    assert found
    for reference in found:
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"], reference


async def test_every_answer_fits_the_model_that_describes_it(world: ApiWorld) -> None:
    await world.fund("guest", 5000)
    world.gateway.declines["tok_poor"] = "insufficient_funds"
    authorized = await world.authorized(customer="cus_1", metadata={"a": "b"})
    path = f"/v1/payments/{authorized['id']}"
    live = (await world.get(f"{path}/live")).json()
    await world.post(f"{path}/capture", {"amount": 1000})
    refund = (await world.post(f"{path}/refunds", {"amount": 1})).json()
    views: list[tuple[type[BaseModel], Any]] = [
        (PaymentView, authorized),
        (PaymentView, await world.paid(payment_method=wallet("guest"), amount=1)),
        (PaymentView, await world.paid(payment_method=card("tok_poor"))),
        (PaymentView, await world.paid(payment_method=card("challenge"))),
        (LivePayment, live),
        (LivePayment, (await world.get(f"{path}/live")).json()),
        (RefundView, refund),
    ]
    for model, target in (
        (PaymentView, path),
        (Timeline, f"{path}/timeline"),
        (RefundList, f"{path}/refunds"),
        (RefundView, refund["links"]["self"]),
        (PaymentPage, "/v1/payments?limit=2"),
        (AccountView, "/v1/accounts/guest"),
        (AccountPage, "/v1/accounts"),
        (BalancesView, "/v1/accounts/guest/balances"),
        (EntryPage, "/v1/accounts/guest/entries"),
        (ReadinessView, "/readyz"),
    ):
        answer = await world.get(target)
        assert answer.status_code == 200, target
        views.append((model, answer.json()))
    for model, view in views:
        parsed = model.model_validate(view)
        assert parsed.model_dump(mode="json").keys() == view.keys()
        assert view.keys() == model.model_fields.keys(), model
