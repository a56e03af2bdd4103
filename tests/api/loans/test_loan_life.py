"""Whole lives of loans over HTTP, on a test clock; after each step the books are proved."""

from __future__ import annotations

from tests.support.lending import Lending, path_of


async def test_a_loan_lives_from_application_to_closing_with_a_missed_instalment_a_prepayment_and_a_restructure(
    lender: Lending,
) -> None:
    clock = await lender.clock()
    offered = await lender.applied(test_clock=clock["id"])
    assert offered["status"] == "offered"
    assert offered["decision"]["outcome"] == "approve"
    assert offered["offer"] == {
        "apr_percent": "12.00",
        "first_instalment": 10_662,
        "maturity_on": "2027-01-15",
        "expires_on": "2026-02-14",
    }
    path = path_of(offered)
    expected = await lender.ask(f"{path}/schedule")
    assert expected["is_expected"]
    assert [row["due"]["total"] for row in expected["instalments"]][:2] == [10_662, 10_662]

    active = await lender.tell(f"{path}/accept")
    assert (active["status"], active["disbursed"]) == ("active", 120_000)
    assert await lender.world.balance("borrower") == 120_000
    await lender.prove()

    await lender.advance(clock, "2026-02-15")
    first = (await lender.ask(f"{path}/schedule"))["instalments"][0]
    assert (first["status"], first["paid"]["total"]) == ("paid", 10_662)

    await lender.take_all("borrower")
    await lender.advance(clock, "2026-03-25")
    late = await lender.ask(path)
    assert (late["days_past_due"], late["bucket"], late["outstanding"]["fees"]) == (10, "1-29", 1_500)
    assert (await lender.ask(f"{path}/schedule"))["instalments"][1]["status"] == "overdue"
    await lender.prove()

    await lender.give("borrower", 200_000)
    caught_up = await lender.tell(f"{path}/repay", {"amount": 10_662 + 1_500})
    assert caught_up["days_past_due"] == 0
    before = caught_up["outstanding"]["principal"]
    prepaid = await lender.tell(f"{path}/repay", {"amount": 40_000, "effect": "reduce_instalment"})
    assert before - 40_000 <= prepaid["outstanding"]["principal"] < before
    await lender.prove()

    change = {"kind": "change_rate", "effective_on": "2026-05-01", "annual_rate_percent": "9", "note": "good payer"}
    proposal = await lender.tell(f"{path}/restructure", change, actor="ana")
    assert (proposal["kind"], proposal["status"], proposal["number"]) == ("restructure", "pending", 1)
    changed = await lender.tell(f"{path}/proposals/1/approve", actor="ben")
    assert changed["status"] == "active"
    await lender.advance(clock, "2026-06-20")
    await lender.prove()

    quoted = await lender.ask(f"{path}/payoff?on=2026-06-30")
    today = await lender.ask(f"{path}/payoff")
    assert quoted["total"] > today["total"] > 0
    closed = await lender.tell(f"{path}/payoff")
    assert (closed["status"], closed["outstanding"]["total"]) == ("closed_obligations_met", 0)
    assert closed["closed_on"] == "2026-06-20"
    await lender.prove()

    schedule = await lender.ask(f"{path}/schedule")
    assert {row["status"] for row in schedule["instalments"]} == {"paid"}
    assert schedule["repayments"][-1]["amount"] == today["total"]
    paid = sum(row["paid"]["total"] for row in schedule["instalments"]) + schedule["prepaid_principal"]
    assert paid == sum(each["amount"] for each in schedule["repayments"])
    told = [event["name"] for event in (await lender.ask(f"{path}/timeline"))["events"]]
    for step in ("applied", "offered", "accepted", "collection_failed", "late_fee_charged", "restructured", "repaid"):
        assert step in told
    earned = [await lender.world.balance(f"loans:{name}_income:USD") for name in ("interest", "fee")]
    assert await lender.world.balance("lender") == 10_000_000 + sum(earned)


async def test_a_declined_application_says_why_in_the_words_of_an_adverse_action_letter(lender: Lending) -> None:
    loan = await lender.applied(income={"monthly_income": 100_000, "monthly_debt": 60_000})
    assert loan["status"] == "rejected"
    assert loan["failure"]["code"] == "credit_declined"
    decision = loan["decision"]
    assert decision["outcome"] == "decline"
    assert decision["reasons"] == [
        {
            "code": "excessive_obligations_in_relation_to_income",
            "statement": "Excessive obligations in relation to income",
        }
    ]
    assert decision["findings"][0]["rule"] == "debt-over-half"
    again = await lender.post(f"{path_of(loan)}/accept")
    assert (again.status_code, again.json()["code"]) == (409, "illegal_transition")
    assert (await lender.ask(f"{path_of(loan)}/live"))["step"] == "done"


async def test_a_referred_application_is_approved_by_two_persons(lender: Lending) -> None:
    lender.providers.score = 640
    loan = await lender.applied()
    assert (loan["status"], loan["decision"]["outcome"]) == ("underwriting", "refer")
    path = path_of(loan)
    live = await lender.ask(f"{path}/live")
    assert (live["step"], "two persons" in live["waits_for"]) == ("waiting", True)
    proposal = await lender.tell(f"{path}/approve", {"note": "payslips seen"}, actor="ana")
    assert proposal["kind"] == "approval"
    for same in ("ana", "Ana", "ANA"):
        alone = await lender.post(f"{path}/proposals/1/approve", actor=same)
        assert (alone.status_code, alone.json()["code"]) == (403, "second_person_required")
    offered = await lender.tell(f"{path}/proposals/1/approve", actor="ben")
    assert offered["status"] == "offered"
    assert offered["decision"]["decided_by"] == "ana, ben"


async def test_a_referred_application_is_declined_by_a_person(lender: Lending) -> None:
    lender.providers.score = 640
    loan = await lender.applied()
    declined = await lender.tell(f"{path_of(loan)}/decline", {"note": "no"}, actor="ana")
    assert (declined["status"], declined["failure"]["code"]) == ("rejected", "declined_by_person")
    assert declined["decision"]["reasons"][0]["code"] == "poor_credit_performance_in_bureau_report"


async def test_a_write_off_needs_a_second_person_and_can_be_recovered(lender: Lending) -> None:
    clock = await lender.clock()
    loan = await lender.active(test_clock=clock["id"])
    path = path_of(loan)
    await lender.take_all("borrower")
    await lender.advance(clock, "2026-05-20")
    charged_off = await lender.tell(f"{path}/charge_off", {"note": "no contact"}, actor="ana")
    assert (charged_off["status"], charged_off["charged_off_on"]) == ("active", "2026-05-20")
    proposal = await lender.tell(f"{path}/write_off", {"note": "insolvent"}, actor="ana")
    twice = await lender.post(f"{path}/write_off", {"note": "again"}, actor="ben")
    assert (twice.status_code, twice.json()["code"]) == (409, "proposal_not_open")
    assert (await lender.ask(path))["status"] == "active"
    live = await lender.ask(f"{path}/live")
    assert (live["open_proposals"], "second person" in live["waits_for"]) == ([1], True)
    alone = await lender.post(f"{path}/proposals/1/approve", actor="ana")
    assert (alone.status_code, alone.json()["code"]) == (403, "second_person_required")
    gone = await lender.tell(f"{path}/proposals/{proposal['number']}/approve", actor="ben")
    assert gone["status"] == "closed_written_off"
    assert gone["written_off"] == charged_off["outstanding"]["total"]
    await lender.prove()
    await lender.give("borrower", 5_000)
    recovered = await lender.tell(f"{path}/recover", {"amount": 5_000}, actor="ana")
    assert recovered["recovered"] == 5_000
    await lender.prove()
    (decided,) = (await lender.ask(f"{path}/proposals"))["data"]
    assert (decided["status"], decided["maker"], decided["checker"]) == ("approved", "ana", "ben")


async def test_a_rejected_proposal_changes_nothing(lender: Lending) -> None:
    loan = await lender.active()
    path = path_of(loan)
    await lender.tell(f"{path}/write_off", actor="ana")
    kept = await lender.tell(f"{path}/proposals/1/reject", {"note": "not yet"}, actor="ben")
    assert kept["status"] == "active"
    assert (await lender.ask(f"{path}/proposals"))["data"][0]["status"] == "rejected"


async def test_a_returned_payment_and_an_overpayment_are_made_good(lender: Lending) -> None:
    clock = await lender.clock()
    loan = await lender.active(test_clock=clock["id"])
    path = path_of(loan)
    await lender.give("borrower", 100_000)
    await lender.tell(f"{path}/repay", {"amount": 10_000})
    back = await lender.tell(f"{path}/reverse", {"repayment": 1, "reason": "R01"}, actor="bank desk")
    assert back["outstanding"]["principal"] == 120_000
    await _assert_told_on_the_payment(lender, path)
    overpaid = await lender.tell(f"{path}/repay", {"amount": 121_000})
    assert (overpaid["status"], overpaid["overpaid"]) == ("overpaid", 1_000)
    closed = await lender.tell(f"{path}/refund_overpayment", actor="ana")
    assert (closed["status"], closed["overpaid"]) == ("closed_obligations_met", 0)
    await lender.prove()


async def test_a_pause_rests_the_charges_until_it_ends(lender: Lending) -> None:
    clock = await lender.clock()
    loan = await lender.active(test_clock=clock["id"])
    path = path_of(loan)
    await lender.take_all("borrower")
    paused = await lender.tell(f"{path}/pause", {"until": "2026-04-01", "note": "hospital"}, actor="ana")
    assert paused["paused_until"] == "2026-04-01"
    await lender.advance(clock, "2026-03-01")
    assert (await lender.ask(path))["outstanding"]["fees"] == 0
    resumed = await lender.tell(f"{path}/resume", actor="ana")
    assert resumed["paused_until"] is None
    await lender.advance(clock, "2026-03-25")
    owing = await lender.ask(path)
    assert owing["outstanding"]["fees"] == 1_500  # of the second instalment alone: the first was late within the pause
    waived = await lender.tell(f"{path}/waive", {"instalment": 2, "portion": "fee", "amount": 1_500}, actor="ana")
    assert waived["outstanding"]["fees"] == 0
    await lender.prove()


async def test_a_payout_that_failed_is_tried_again_or_withdrawn(lender: Lending) -> None:
    await lender.take_all("lender")
    loan = await lender.applied()
    path = path_of(loan)
    stuck = await lender.tell(f"{path}/accept")
    assert stuck["status"] == "approved"
    assert stuck["failure"] is not None
    await lender.give("lender", 500_000)
    paid_out = await lender.tell(f"{path}/retry_disbursement", actor="ana")
    assert paid_out["status"] == "active"
    other = await lender.applied()
    withdrawn = await lender.tell(f"{path_of(other)}/withdraw", {"reason": "found another lender"})
    assert withdrawn["status"] == "withdrawn_by_client"


async def _assert_told_on_the_payment(lender: Lending, path: str) -> None:
    """The payment that was taken back says so, counts as refunded, and cannot be refunded on top."""
    (repayment,) = (await lender.ask(f"{path}/schedule"))["repayments"]
    payment = f"/v1/payments/{repayment['payment']}"
    assert repayment["reversed_on"] is not None
    assert (await lender.ask(payment))["amount_refunded"] == repayment["amount"]
    story = (await lender.ask(f"{payment}/timeline"))["events"]
    (told,) = (event for event in story if event["name"] == "charged_back")
    assert "R01" in told["text"]
    assert [transfer["amount"] for transfer in told["transfers"]] == [repayment["amount"]]
    again = await lender.post(f"{payment}/refunds", {"amount": 1})
    assert (again.status_code, again.json()["code"]) == (422, "refund_exceeds_captured"), again.text
