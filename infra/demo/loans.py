"""The loan part of the demonstration: real applications decided, one loan's whole life, one declined, and the books proved.

Invariant: what the API says of a loan is compared with the rules, with the schedule and with the ledger, read apart from it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import httpx
from rich.console import Console
from rich.table import Table

from domain.loans.credit import Outcome, Reason, decide
from domain.money import Money
from infra.demo.answers import Answer
from infra.demo.applications import (
    POLICY,
    Comparison,
    Decided,
    RealApplication,
    matrix_table,
    read_applications,
    reasons_table,
    spread,
)
from infra.demo.lending import LATE_FEE_MINOR, Lender, Life
from infra.demo.proof import Check
from infra.demo.purchases import CURRENCY
from infra.local.progress import Progress
from infra.postgres.loan_proof import verify_loans
from infra.postgres.pool import open_pool
from infra.settings import Settings

APPLICATIONS_PLAYED = 100
CLERKS = 10
"""Applications under way at once."""
TENANT = "default"
_STATUS = {Outcome.APPROVE: "offered", Outcome.REFER: "underwriting", Outcome.DECLINE: "rejected"}


async def run_loans(
    api: httpx.AsyncClient, bank: httpx.AsyncClient, settings: Settings, progress: Progress, console: Console
) -> list[Check]:
    """Play the loans, print what happened, and return every expectation."""
    lender = Lender(api, bank)
    await lender.prepare()
    applications = spread(read_applications(), APPLICATIONS_PLAYED)
    started = time.monotonic()
    # The one loan lives while the clerks decide on the others: they wait for each other no more than real ones would.
    with progress.step(
        f"deciding on {len(applications)} real applications, and living one loan", lambda: f"{lender.decided} decided"
    ):
        loans, life, declined = await asyncio.gather(
            _originate(lender, applications), lender.live(), lender.be_declined()
        )
    elapsed_s = time.monotonic() - started
    comparison = Comparison(
        [
            Decided(each, loan.within("decision").choice("outcome", Outcome), _reasons(loan))
            for each, loan in zip(applications, loans, strict=True)
        ]
    )
    console.print(matrix_table(comparison))
    console.print(reasons_table(comparison))
    for line in comparison.summary():
        console.print(line, markup=False)
    console.print(_story(life))
    statements = (str(each["statement"]) for each in declined.within("decision").each("reasons"))
    console.print(f"declined: {'; '.join(statements)}", markup=False)
    console.print(f"the loans took {elapsed_s:.1f} s", markup=False)
    return [
        *_check_decisions(applications, loans),
        *_check_life(life),
        *_check_declined(declined),
        await _check_books(settings),
    ]


async def _originate(lender: Lender, applications: Sequence[RealApplication]) -> list[Answer]:
    turns = asyncio.Semaphore(CLERKS)

    async def decide_on(application: RealApplication) -> Answer:
        async with turns:
            return await lender.originate(application)

    return list(await asyncio.gather(*(decide_on(each) for each in applications)))


def _reasons(loan: Answer) -> tuple[Reason, ...]:
    return tuple(each.choice("code", Reason) for each in loan.within("decision").each("reasons"))


def _check_decisions(applications: Sequence[RealApplication], loans: Sequence[Answer]) -> list[Check]:
    checks = []
    for application, loan in zip(applications, loans, strict=True):
        expected = decide(application.credit, POLICY)
        name = f"application {application.number}"
        checks += [
            Check(f"{name}: status", _STATUS[expected.outcome], loan["status"]),
            Check(f"{name}: reasons", expected.reasons, _reasons(loan)),
            Check(f"{name}: is explained", True, bool(loan.within("decision")["findings"])),
        ]
    return checks


def _check_life(life: Life) -> list[Check]:
    instalments = life.schedule.each("instalments")
    steps = [event["name"] for event in life.timeline]
    paid = sum(each.number("amount") for each in life.schedule.each("repayments"))
    prepaid = life.schedule.number("prepaid_principal")
    due = sum(row.within("paid").number("total") for row in instalments)
    return [
        Check("the late loan is 10 days past due", 10, life.late["days_past_due"]),
        Check("the late loan owes a late fee", LATE_FEE_MINOR, life.late.within("outstanding")["fees"]),
        *(
            Check(f"the loan's story tells of {step}", True, step in steps)
            for step in ("collection_failed", "late_fee_charged", "past_due", "repaid", "restructured")
        ),
        Check("the loan is closed", "closed_obligations_met", life.loan["status"]),
        Check("the loan owes nothing", 0, life.loan.within("outstanding")["total"]),
        Check("every instalment is paid", {"paid"}, {str(row["status"]) for row in instalments}),
        Check("what was received paid instalments, or principal ahead of them", paid, due + prepaid),
        Check(
            "the principal came back",
            life.loan["principal"],
            prepaid + sum(row.within("paid").number("principal") for row in instalments),
        ),
    ]


def _check_declined(loan: Answer) -> list[Check]:
    return [
        Check("the stretched application is rejected", "rejected", loan["status"]),
        Check("it is told why", True, 0 < len(_reasons(loan)) <= 4),
    ]


async def _check_books(settings: Settings) -> Check:
    async with open_pool(settings, "demo") as pool:
        found = await verify_loans(pool, TENANT)
    return Check("receivables equal the schedules, for every loan", [], [str(each) for each in found])


def _story(life: Life) -> Table:
    table = Table(title=f"one loan of {Money(life.loan.number('principal'), CURRENCY)}, from application to closing")
    for name in ("day", "what happened", "by", "ledger transfers"):
        table.add_column(name, justify="right" if name == "ledger transfers" else "left")
    for event in life.timeline:
        told = (str(event["on"]), str(event["text"]), str(event["actor"] or ""))
        table.add_row(*told, str(len(event.each("transfers")) or ""))
    return table
