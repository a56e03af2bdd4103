"""A loan paid out in parts, over HTTP: what was quoted is what is owed, and the books agree after each part."""

from __future__ import annotations

from tests.support.lending import START, Lending, path_of

DISBURSEMENTS = [{"amount": "500.00", "on": "2026-03-01"}, {"amount": "300.00", "on": "2026-05-15"}]


async def test_a_loan_paid_out_in_parts_runs_as_it_was_quoted(lender: Lending) -> None:
    await lender.give("borrower", 300_000)
    clock = await lender.clock()
    terms = lender.application()["terms"] | {"disbursements": DISBURSEMENTS}
    quote = (await lender.world.http.post("/v1/loan_quotes", json=terms | {"disbursed_on": START})).json()
    offered = await lender.applied(terms=terms, test_clock=clock["id"])
    path = path_of(offered)
    assert offered["offer"]["apr_percent"] == quote["apr_percent"]
    assert offered["terms"]["disbursements"] == DISBURSEMENTS
    assert [_cents(row["amount"]) for row in quote["instalments"]] == [
        row["due"]["total"] for row in (await lender.ask(f"{path}/schedule"))["instalments"]
    ]
    active = await lender.tell(f"{path}/accept")
    assert (active["disbursed"], active["outstanding"]["principal"]) == (120_000, 120_000)
    await lender.prove()
    for day, disbursed in (("2026-02-28", 120_000), ("2026-03-01", 170_000), ("2026-05-20", 200_000)):
        await lender.advance(clock, day)
        await lender.prove()
        assert (await lender.ask(path))["disbursed"] == disbursed
    rows = (await lender.ask(f"{path}/schedule"))["instalments"]
    assert [_cents(row["amount"]) for row in quote["instalments"]] == [row["due"]["total"] for row in rows]
    told = (await lender.ask(f"{path}/timeline?limit=100"))["events"]
    paid = [event for event in told if event["name"] == "tranche_disbursed"]
    assert [(event["on"], event["amount"]) for event in paid] == [("2026-03-01", 50_000), ("2026-05-15", 30_000)]
    for event in paid:
        assert (await lender.ask(f"/v1/payments/{event['payment']}"))["status"] == "succeeded"
    await lender.advance(clock, "2027-01-15")
    assert (await lender.ask(path))["status"] == "closed_obligations_met"
    await lender.prove()


async def test_a_tranche_that_cannot_be_is_refused_with_its_field(lender: Lending) -> None:
    terms = lender.application()["terms"]
    fees = [{"amount": "100.00", "when": "disbursement"}]
    for change, pointer in (
        ({"disbursements": [{"amount": "500.00", "on": "2099-01-01"}]}, "/terms/disbursements/0/on"),
        ({"disbursements": [{"amount": "90.00", "on": "2026-03-01"}], "fees": fees}, "/terms/disbursements/0/amount"),
    ):
        asked = lender.application(terms=terms | {"disbursed_on": START} | change)
        answer = await lender.post("/v1/loans", asked)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_loan_terms"), answer.text
        assert answer.json()["errors"][0]["pointer"] == pointer


def _cents(amount: str) -> int:
    return int(amount.replace(".", ""))
