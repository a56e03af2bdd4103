"""The description of the loans is complete, and every answer fits it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from api.loans.views import (
    ClockResource,
    LiveLoan,
    LoanPage,
    LoanQuote,
    LoanSchedule,
    LoanTimeline,
    LoanView,
    PayoffView,
    ProposalList,
    ProposalView,
)
from tests.support.api_world import ApiWorld
from tests.support.lending import Lending, path_of


async def test_every_command_of_loans_is_idempotent_waits_and_says_what_can_go_wrong(idle_world: ApiWorld) -> None:
    document = idle_world.app.openapi()
    commands = [
        (path, item["post"])
        for path, item in document["paths"].items()
        if path.startswith(("/v1/loans", "/v1/test_clocks")) and "post" in item
    ]
    assert len(commands) == 25
    for path, operation in commands:
        named = {parameter["name"]: parameter for parameter in operation["parameters"]}
        assert named["Idempotency-Key"]["required"], path
        assert not named["Prefer"]["required"]
        assert {"202", "400", "401", "409", "422", "503"} <= set(operation["responses"]), path
        assert ("Clearhold-Actor" in named) == ("lending" in operation["tags"]), path


async def test_every_answer_about_loans_fits_the_model_that_describes_it(lender: Lending) -> None:
    clock = await lender.clock()
    offered = await lender.applied(test_clock=clock["id"], metadata={"a": "b"})
    path = path_of(offered)
    expected = await lender.ask(f"{path}/schedule")
    active = await lender.tell(f"{path}/accept")
    await lender.advance(clock, "2026-03-01")
    proposal = await lender.tell(f"{path}/restructure", {"kind": "re_amortize"}, actor="ana")
    rejected = await lender.applied(income={"monthly_income": 100_000, "monthly_debt": 60_000})
    quote = await lender.world.http.post(
        "/v1/loan_quotes", json=lender.application()["terms"] | {"disbursed_on": "2026-01-15"}
    )
    views: list[tuple[type[BaseModel], Any]] = [
        (ClockResource, clock),
        (LoanView, offered),
        (LoanView, active),
        (LoanView, rejected),
        (LoanSchedule, expected),
        (ProposalView, proposal),
        (LoanQuote, quote.json()),
    ]
    reads: tuple[tuple[type[BaseModel], str], ...] = (
        (LoanView, path),
        (LoanPage, "/v1/loans?limit=1"),
        (LoanSchedule, f"{path}/schedule"),
        (LoanTimeline, f"{path}/timeline"),
        (LiveLoan, f"{path}/live"),
        (LiveLoan, f"{path_of(rejected)}/live"),
        (PayoffView, f"{path}/payoff"),
        (ProposalList, f"{path}/proposals"),
        (ClockResource, f"/v1/test_clocks/{clock['id']}"),
    )
    for model, target in reads:
        views.append((model, await lender.ask(target)))
    for model, view in views:
        parsed = model.model_validate(view)
        assert parsed.model_dump(mode="json").keys() == view.keys() == model.model_fields.keys(), model
