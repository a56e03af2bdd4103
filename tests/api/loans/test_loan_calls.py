"""Loans under repeated calls, other tenants, absent workers and bad input; lists, waiting and what operators see."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.routing import APIRoute

from api.loans import clock_routes
from api.loans import command_routes as loan_command_routes
from api.loans import desk_routes as loan_desk_routes
from api.loans import proposal_routes as loan_proposal_routes
from api.loans import routes as loan_routes
from tests.support.api_world import ApiWorld, new_key
from tests.support.lending import Lending, lending, path_of
from workflows.loans.visibility import DAYS_PAST_DUE, LOAN_STATUS, NEXT_DUE_ON, OUTSTANDING
from workflows.visibility import CURRENCY

COMMAND_MODULES = (loan_command_routes, loan_desk_routes, loan_proposal_routes, clock_routes)
BODIES: dict[str, Any] = {
    "repay_loan": {"amount": 1},
    "recover_loan": {"amount": 1},
    "reverse_loan_repayment": {"repayment": 1, "reason": "R01"},
    "charge_loan": {"amount": 1},
    "waive_loan_charge": {"instalment": 1, "portion": "fee", "amount": 1},
    "pause_loan": {"until": "2100-01-01"},
    "restructure_loan": {"kind": "re_amortize"},
    "advance_test_clock": {"to": "2100-01-01"},
}


async def test_a_repeated_application_makes_one_loan(lender: Lending) -> None:
    key = new_key()
    first = await lender.post("/v1/loans", lender.application(), key=key)
    again = await lender.post("/v1/loans", lender.application(), key=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    other = await lender.post("/v1/loans", lender.application(payout_account="guest"), key=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert await lender.world.count("loans") == 1


async def test_a_repeated_repayment_is_taken_once(lender: Lending) -> None:
    path = path_of(await lender.active())
    key = new_key()
    answers = [await lender.post(f"{path}/repay", {"amount": 5_000}, key=key) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len({answer.text for answer in answers}) == 1
    assert await lender.world.balance("borrower") == 115_000
    await lender.world.execute("DELETE FROM idempotency_keys")
    forgotten = await lender.post(f"{path}/repay", {"amount": 5_000}, key=key)
    assert forgotten.status_code == 200
    assert await lender.world.balance("borrower") == 115_000
    assert len((await lender.ask(f"{path}/schedule"))["repayments"]) == 1


async def test_many_callers_at_once_repay_each_once(lender: Lending) -> None:
    path = path_of(await lender.active())
    keys = [new_key() for _ in range(4)]
    calls = [lender.post(f"{path}/repay", {"amount": 1_000}, key=key) for key in keys * 2]
    statuses = {answer.status_code for answer in await asyncio.gather(*calls)}
    assert statuses <= {200, 202, 409}
    async with asyncio.timeout(60):
        for key in keys:
            while (await lender.post(f"{path}/repay", {"amount": 1_000}, key=key)).status_code != 200:
                await asyncio.sleep(0.05)
    assert await lender.world.balance("borrower") == 116_000
    await lender.prove()


async def test_every_command_needs_an_idempotency_key_and_a_lenders_command_its_actor(lender: Lending) -> None:
    path = path_of(await lender.active())
    headers = {"Clearhold-Actor": "ana"}
    posts = [each for each in _routes(*COMMAND_MODULES) if each[0] == "POST"]
    assert len(posts) >= 23
    for _, target, operation in [*posts, ("POST", "/v1/loans", "apply_for_loan"), ("POST", "/v1/test_clocks", "")]:
        body = BODIES.get(operation, {})
        keyless = await lender.world.http.post(_filled(target, path, "clk_1"), json=body, headers=headers)
        assert (keyless.status_code, keyless.json()["code"]) == (400, "idempotency_key_missing"), target
    assert (await lender.ask(path))["status"] == "active"
    for module in (loan_desk_routes, loan_proposal_routes):
        for _, target, operation in _routes(module):
            nobody = await lender.post(_filled(target, path), BODIES.get(operation))
            assert nobody.status_code == 422, target
            assert nobody.json()["errors"][0]["pointer"] == "/header/Clearhold-Actor", target


def _routes(*modules: Any) -> list[tuple[str, str, str]]:
    return [
        (method, route.path, route.operation_id or "")
        for module in modules
        for route in module.router.routes
        if isinstance(route, APIRoute) and "{" in route.path
        for method in sorted(route.methods or ())
    ]


def _filled(target: str, path: str, clock_id: str = "") -> str:
    filled = target.replace("/v1/loans/{loan_id}", path).replace("{number}", "1")
    return re.sub(r"{clock_id}", clock_id, filled)


async def test_every_loan_and_clock_is_unknown_to_another_tenant(lender: Lending) -> None:
    clock = await lender.clock()
    loan = await lender.active(test_clock=clock["id"])
    before = await lender.ask(path_of(loan))
    routes = _routes(loan_routes, loan_command_routes, loan_desk_routes, loan_proposal_routes, clock_routes)
    assert len(routes) >= 30
    headers = {"Authorization": f"Bearer {lender.world.other_token}", "Clearhold-Actor": "eve"}
    for method, target, operation in routes:
        path = _filled(target, path_of(loan), clock["id"])
        body = BODIES.get(operation, {}) if method == "POST" else None
        sent = {**headers, "Idempotency-Key": new_key()}
        answer = await lender.world.http.request(method, path, json=body, headers=sent)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), (method, path, answer.text)
    assert (await lender.world.get("/v1/loans", headers=headers)).json()["data"] == []
    theirs = await lender.post("/v1/loans", lender.application(test_clock=clock["id"]), headers=headers)
    assert (theirs.status_code, theirs.json()["code"]) == (422, "test_clock_not_found")
    assert await lender.ask(path_of(loan)) == before


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"terms": {"principal": 1200}}, "/terms/principal", "validation_failed"),
        ({"funding_account": "nobody"}, "/funding_account", "account_not_found"),
        ({"payout_account": "lender"}, "/payout_account", "invalid_loan_terms"),
        ({"policy": "generous-2026-1"}, "/policy", "validation_failed"),
        ({"test_clock": "clk_unknown"}, "/test_clock", "test_clock_not_found"),
        ({"applicant": {"customer": "cus_1", "name": " "}}, "/applicant/name", "invalid_loan_terms"),
        (
            {"applicant": {"customer": "cus_1", "name": "Unborn", "date_of_birth": "2999-01-01"}},
            "/applicant/date_of_birth",
            "invalid_loan_terms",
        ),
        (
            {"applicant": {"customer": "cus_1", "name": "Young", "date_of_birth": "2015-01-01"}},
            "/applicant/date_of_birth",
            "invalid_loan_terms",
        ),
        ({"income": {"monthly_income": 0}}, "/income/monthly_income", "invalid_amount"),
        ({"mandate": {"type": "wallet", "account": "nobody"}}, "/mandate/account", "account_not_found"),
        ({"servicing": {"retry_days": [-1]}}, "/servicing/retry_days/0", "validation_failed"),
        ({"interest": "none"}, "/interest", "validation_failed"),
    ],
)
async def test_an_application_that_cannot_be_is_refused_with_the_field(
    lender: Lending, change: dict[str, Any], pointer: str, code: str
) -> None:
    answer = await lender.post("/v1/loans", lender.application(**change))
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert pointer in {error["pointer"] for error in answer.json()["errors"]}, answer.text
    assert await lender.world.count("loans") == 0
    assert await lender.world.count("idempotency_keys") == 0


async def test_terms_that_do_not_fit_together_name_their_field(lender: Lending) -> None:
    terms = lender.application()["terms"]
    for change, pointer in (
        ({"principal": "0"}, "/terms/principal"),
        ({"every": "often"}, "/terms/every"),
        ({"fees": [{"amount": "2000.00"}]}, "/terms/fees"),
        ({"balloon": "1300.00"}, "/terms/balloon"),
    ):
        answer = await lender.post("/v1/loans", lender.application(terms=terms | change))
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_loan_terms"), answer.text
        assert answer.json()["errors"][0]["pointer"] == pointer


async def test_a_command_out_of_place_is_a_conflict_and_changes_nothing(lender: Lending) -> None:
    offered = await lender.applied()
    path = path_of(offered)
    for name, body in (("repay", {"amount": 1}), ("write_off", {}), ("charge_off", {}), ("resume", {})):
        answer = await lender.post(f"{path}/{name}", body, actor="ana")
        assert (answer.status_code, answer.json()["code"]) == (409, "illegal_transition"), (name, answer.text)
        assert re.fullmatch(r"A loan that is [a-z ]+ cannot [a-z ]+\.", answer.json()["detail"]), (name, answer.text)
    early = await lender.world.get(f"{path}/payoff")
    assert (early.status_code, early.json()["code"]) == (409, "illegal_transition")
    approved = await lender.post(f"{path}/approve", actor="ana")
    assert (approved.status_code, approved.json()["code"]) == (409, "not_referred")
    assert (await lender.ask(path))["version"] == offered["version"]


async def test_refusals_of_a_running_loan_have_their_problems(lender: Lending) -> None:
    clock = await lender.clock()
    loan = await lender.active(test_clock=clock["id"], mandate=None)
    path = path_of(loan)
    nothing = await lender.post(f"{path}/repay", {"amount": 1_000})
    assert (nothing.status_code, nothing.json()["code"]) == (422, "no_mandate")
    poor = await lender.post(f"{path}/repay", {"amount": 1_000, "source": {"type": "wallet", "account": "guest"}})
    assert (poor.status_code, poor.json()["code"]) == (402, "payment_declined"), poor.text
    assert re.fullmatch(r"10\.00 USD could not be taken: There is not enough money.*[^.]\.", poor.json()["detail"])
    backwards = await lender.post(f"/v1/test_clocks/{clock['id']}/advance", {"to": "2026-01-15"})
    assert (backwards.status_code, backwards.json()["code"]) == (422, "invalid_clock_date")
    terms = await lender.post(
        f"{path}/restructure",
        {"kind": "change_rate", "effective_on": "2026-01-01", "annual_rate_percent": "9"},
        actor="ana",
    )
    assert (terms.status_code, terms.json()["code"]) == (422, "invalid_loan_terms")
    assert terms.json()["errors"][0]["pointer"] == "/effective_on"
    past = await lender.world.get(f"{path}/payoff?on=2025-12-31")
    assert (past.status_code, past.json()["errors"][0]["pointer"]) == (422, "/query/on")
    none = await lender.post(f"{path}/proposals/7/approve", actor="ben")
    assert (none.status_code, none.json()["code"]) == (409, "proposal_not_open")
    assert (await lender.post(f"{path}/proposals/x/approve", actor="ben")).status_code == 404


async def test_a_refusal_of_a_command_points_into_its_body(lender: Lending) -> None:
    path = path_of(await lender.active())
    for command, body, pointer in (
        ("waive", {"instalment": 99, "portion": "fee", "amount": 1}, "/instalment"),
        ("waive", {"instalment": 1, "portion": "principal", "amount": 1}, "/instalment"),
        ("waive", {"instalment": 1, "portion": "fee", "amount": 1}, "/amount"),
        ("reverse", {"repayment": 99, "reason": "R01"}, "/repayment"),
        ("pause", {"until": "2020-01-01"}, "/until"),
        ("restructure", {"kind": "re_age"}, "/first_due_on"),
        ("restructure", {"kind": "change_rate", "annual_rate_percent": "9"}, "/effective_on"),
        ("restructure", {"kind": "payment_holiday"}, "/instalments"),
        ("restructure", {"kind": "payment_holiday", "instalments": 2_000}, "/instalments"),
        ("restructure", {"kind": "payment_holiday", "instalments": 13}, "/instalments"),
    ):
        answer = await lender.post(f"{path}/{command}", body, actor="ana")
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_loan_terms"), (command, answer.text)
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer], (command, body)


async def test_a_change_after_the_last_due_date_is_refused_for_its_kind(lender: Lending) -> None:
    clock = await lender.clock()
    path = path_of(await lender.active(test_clock=clock["id"], mandate=None))
    await lender.advance(clock, "2027-02-01")
    answer = await lender.post(f"{path}/restructure", {"kind": "re_amortize"}, actor="ana")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_loan_terms"), answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/kind"]
    assert answer.json()["advice"] == "Re-age the loan instead."


async def test_loans_are_listed_by_status_and_borrower_page_by_page(lender: Lending) -> None:
    made = [await lender.applied(applicant={"customer": f"cus_{n % 2}", "name": "Sample Borrower"}) for n in range(4)]
    await lender.tell(f"{path_of(made[0])}/withdraw")
    seen: list[str] = []
    path = "/v1/loans?limit=3"
    for _ in range(2):
        page = await lender.ask(path)
        seen += [loan["id"] for loan in page["data"]]
        path = f"/v1/loans?limit=3&cursor={page['next_cursor']}"
    assert not page["has_more"]
    assert seen == [loan["id"] for loan in reversed(made)]
    withdrawn = (await lender.ask("/v1/loans?status=withdrawn_by_client"))["data"]
    assert [loan["id"] for loan in withdrawn] == [made[0]["id"]]
    assert len((await lender.ask("/v1/loans?customer=cus_1&currency=USD"))["data"]) == 2
    assert (await lender.world.get("/v1/loans?cursor=abc")).json()["code"] == "invalid_cursor"


async def test_a_call_that_does_not_wait_is_answered_202_and_the_loan_is_found_later(world: ApiWorld) -> None:
    async with lending(world, worker=False) as idle:
        key = new_key()
        told = await idle.post("/v1/loans", idle.application(), key=key, headers={"Prefer": "wait=0"})
        assert told.status_code == 202, told.text
        assert told.headers["Retry-After"]
        location = told.headers["Location"]
        assert (await idle.ask(location))["status"] == "draft"
        unheard = await idle.world.get(f"{location}/live")
        assert unheard.status_code == 404
        await idle.start_worker()
        answer = await idle.post("/v1/loans", idle.application(), key=key)
        assert (answer.status_code, answer.json()["status"]) == (201, "offered")
        path = path_of(answer.json())
        accepted = await idle.post(f"{path}/accept", headers={"Prefer": "wait=0"})
        assert accepted.status_code == 202
        async with asyncio.timeout(30):
            while (await idle.ask(path))["status"] != "active":
                await asyncio.sleep(0.05)


async def test_reads_work_while_no_worker_serves(lender: Lending) -> None:
    path = path_of(await lender.active())
    await lender.stop_worker()
    for target in (path, f"{path}/schedule", f"{path}/timeline", f"{path}/proposals", "/v1/loans"):
        assert (await lender.world.get(target)).status_code == 200, target
    live = await lender.world.get(f"{path}/live")
    assert (live.status_code, live.json()["code"]) == (503, "no_worker")


async def test_a_timeline_leads_from_each_step_to_the_ledger_page_by_page(lender: Lending) -> None:
    loan = await lender.active()
    path = path_of(loan)
    await lender.tell(f"{path}/repay", {"amount": 1_000})
    whole = (await lender.ask(f"{path}/timeline"))["events"]
    booked = next(event for event in whole if event["name"] == "repaid")
    assert booked["payment"].startswith("pay_")
    assert {"lender", f"loan:{loan['id']}:principal"} & {
        account
        for transfer in booked["transfers"]
        for account in (transfer["debit_account"], transfer["credit_account"])
    }
    assert (await lender.ask(f"/v1/payments/{booked['payment']}"))["status"] == "succeeded"
    pages: list[Any] = []
    target = f"{path}/timeline?limit=3"
    while target:
        page = await lender.ask(target)
        pages += page["events"]
        target = f"{path}/timeline?limit=3&cursor={page['next_cursor']}" if page["has_more"] else ""
    assert pages == whole


async def test_an_operator_filters_loans_by_status_lateness_and_amount(lender: Lending) -> None:
    clock = await lender.clock()
    loan = await lender.active(test_clock=clock["id"])
    await lender.take_all("borrower")
    await lender.advance(clock, "2026-03-01")
    now = await lender.ask(path_of(loan))
    described = await lender.world.temporal.get_workflow_handle(loan["id"]).describe()
    found = described.typed_search_attributes
    assert found.get(LOAN_STATUS) == "active"
    assert found.get(DAYS_PAST_DUE) == now["days_past_due"] == 14
    assert found.get(OUTSTANDING) == now["outstanding"]["total"]
    assert found.get(CURRENCY) == "USD"
    assert found.get(NEXT_DUE_ON) == datetime(2026, 3, 15, tzinfo=UTC)
    assert "Loan of 1200.00 USD" in str(await described.static_summary())
    query = f"LoanStatus = 'active' AND DaysPastDue > 10 AND WorkflowId = '{loan['id']}'"
    async with asyncio.timeout(30):
        while not [each async for each in lender.world.temporal.list_workflows(query)]:
            await asyncio.sleep(0.1)


async def test_a_loan_that_was_stopped_from_outside_says_so(lender: Lending) -> None:
    loan = await lender.active()
    await lender.world.temporal.get_workflow_handle(loan["id"]).terminate("by hand")
    for answer in (
        await lender.world.get(f"{path_of(loan)}/live"),
        await lender.post(f"{path_of(loan)}/repay", {"amount": 1}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "loan_interrupted")


async def test_a_test_clock_moves_all_its_loans(lender: Lending) -> None:
    clock = await lender.clock()
    loans = [await lender.active(test_clock=clock["id"]) for _ in range(3)]
    alone = await lender.active()
    key = new_key()
    path = f"/v1/test_clocks/{clock['id']}"
    moved = await lender.post(f"{path}/advance", {"to": "2026-03-20"}, key=key)
    again = await lender.post(f"{path}/advance", {"to": "2026-03-20"}, key=key)
    assert (moved.status_code, moved.json()["on"]) == (200, "2026-03-20")
    assert again.json() == moved.json()
    assert (await lender.ask(path))["advancing_to"] is None
    for loan in loans:
        assert (await lender.ask(path_of(loan)))["business_date"] == "2026-03-20"
    assert len((await lender.ask(f"/v1/loans?test_clock={clock['id']}"))["data"]) == 3
    assert (await lender.ask(path_of(alone)))["version"] == alone["version"]
