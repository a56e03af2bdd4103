"""Every row of the published status graph, as something that happens to a loan over HTTP; after each the books are proved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from infra.postgres.pool import open_pool
from tests.support.lending import Json, Lending, path_of

PUBLISHED = json.loads((Path(__file__).parents[2] / "vectors" / "loan_states.json").read_text())["transitions"]

ROWS_AND_EVENTS = """
SELECT t.from_status, t.to_status, e.name FROM loan_transitions t
JOIN loan_events e
  ON e.tenant_id = t.tenant_id AND e.loan_id = t.loan_id AND e.key = e.loan_id || ':' || e.name || ':' || t.version
"""
ACTION_OF_EVENT = {
    "approved": "approve",
    "rejected": "reject",
    "withdrawn": "withdraw",
    "approval_undone": "undo_approval",
    "disbursed": "disburse",
    "took_over": "disburse",
    "disbursal_undone": "undo_disbursal",
    "repayment_reversed": "chargeback",
    "charge_added": "add_charge",
    "charge_waived": "repay_in_full",
    "overpayment_refunded": "refund_credit_balance",
    "written_off": "write_off",
    "write_off_undone": "undo_write_off",
    "rescheduled": "reschedule",
}


async def submitted(lender: Lending) -> str:
    """A loan whose payout failed and whose approval was taken back."""
    had = await lender.take_all("lender")
    path = path_of(await lender.applied())
    assert (await lender.tell(f"{path}/accept"))["status"] == "approved"
    undone = await lender.tell(f"{path}/undo_approval", {"note": "look again"}, actor="ana")
    assert undone["status"] == "submitted_and_pending_approval"
    assert "two persons" in (await lender.ask(f"{path}/live"))["waits_for"]
    await lender.give("lender", had)
    return path


async def test_every_row_of_the_published_graph_is_offered(lender: Lending) -> None:
    await lender.give("borrower", 1_000_000)
    await _of_approval(lender)
    await _of_payout(lender)
    await _of_closing(lender)
    await _of_giving_up(lender)
    seen = set()
    async with open_pool(lender.world.settings, "proof") as pool, pool.connection() as connection:
        rows = await (await connection.execute(ROWS_AND_EVENTS)).fetchall()
    for before, after, event in rows:
        action = ACTION_OF_EVENT.get(event)
        if event == "repaid":
            action = "overpay" if after == "overpaid" else "repay_in_full"
        seen.add((before, action, after))
    assert {tuple(row) for row in PUBLISHED} <= seen


async def _of_approval(lender: Lending) -> None:
    path = await submitted(lender)
    proposal = await lender.tell(f"{path}/approve", {"note": "seen"}, actor="ana")
    assert proposal["kind"] == "approval"
    paid_out = await lender.tell(f"{path}/proposals/1/approve", actor="ben")
    assert paid_out["status"] == "active"
    declined = await lender.tell(f"{await submitted(lender)}/decline", {"note": "no"}, actor="ana")
    assert (declined["status"], declined["failure"]["code"]) == ("rejected", "declined_by_person")
    withdrawn = await lender.tell(f"{await submitted(lender)}/withdraw")
    assert withdrawn["status"] == "withdrawn_by_client"
    await lender.prove()


async def _of_payout(lender: Lending) -> None:
    clock = await lender.clock()
    before = await lender.world.balance("lender"), await lender.world.balance("borrower")
    path = path_of(await lender.active(test_clock=clock["id"]))
    await lender.advance(clock, "2026-01-25")
    assert (await lender.ask(path))["outstanding"]["interest"] > 0
    undone = await lender.tell(f"{path}/undo_disbursal", {"note": "wrong account"}, actor="ana")
    assert (undone["status"], undone["disbursed"], undone["outstanding"]["total"]) == ("approved", 0, 0)
    assert (await lender.world.balance("lender"), await lender.world.balance("borrower")) == before
    assert (await lender.ask(f"{path}/schedule"))["is_expected"]
    await lender.prove()
    again = await lender.tell(f"{path}/retry_disbursement", actor="ana")
    assert (again["status"], again["disbursed_on"]) == ("active", "2026-01-25")
    await lender.prove()
    await lender.advance(clock, "2026-02-10")
    await lender.prove()
    await lender.tell(f"{path}/repay", {"amount": 1_000})
    refused = await lender.post(f"{path}/undo_disbursal", actor="ana")
    assert (refused.status_code, refused.json()["code"]) == (409, "illegal_transition")


async def _of_closing(lender: Lending) -> None:
    clock = await lender.clock()
    path = path_of(await lender.active(test_clock=clock["id"]))
    assert (await lender.tell(f"{path}/payoff"))["status"] == "closed_obligations_met"
    charged = await lender.tell(f"{path}/add_charge", {"amount": 2_500, "note": "a copy"}, actor="ana")
    assert (charged["status"], charged["outstanding"]["fees"], charged["closed_on"]) == ("active", 2_500, None)
    await lender.prove()
    assert (await lender.tell(f"{path}/payoff"))["status"] == "closed_obligations_met"
    await lender.prove()
    back = await lender.tell(f"{path}/reverse", {"repayment": 1, "reason": "R01"}, actor="bank")
    assert (back["status"], back["outstanding"]["principal"]) == ("active", 120_000)
    overpaid = await lender.tell(f"{path}/repay", {"amount": 120_500})
    assert (overpaid["status"], overpaid["overpaid"]) == ("overpaid", 500)
    again = await lender.tell(f"{path}/reverse", {"repayment": 3, "reason": "R01"}, actor="bank")
    assert (again["status"], again["overpaid"]) == ("active", 0)
    await lender.prove()
    await lender.tell(f"{path}/repay", {"amount": 120_500})
    refunded = await lender.tell(f"{path}/refund_overpayment", actor="ana")
    assert refunded["status"] == "closed_obligations_met"
    await lender.prove()


async def _of_giving_up(lender: Lending) -> None:
    clock = await lender.clock()
    path = path_of(await lender.active(test_clock=clock["id"], mandate=None))
    await lender.advance(clock, "2026-03-20")
    await _proposed(lender, path, "write_off")
    assert (await lender.ask(path))["status"] == "closed_written_off"
    await lender.advance(clock, "2026-04-20")
    await lender.prove()
    claimed = await _proposed(lender, path, "undo_write_off")
    assert (claimed["status"], claimed["written_off"], claimed["days_past_due"]) == ("active", 0, 64)
    assert claimed["outstanding"]["principal"] == 120_000
    await lender.prove()
    await lender.advance(clock, "2026-05-01")
    await lender.prove()
    owed = (await lender.ask(path))["outstanding"]["total"]
    moved = await _proposed(lender, path, "restructure", {"kind": "reschedule", "instalments": 24})
    assert (moved["status"], moved["outstanding"]["total"]) == ("closed_rescheduled", 0)
    successor = await lender.ask(f"/v1/loans/{moved['rescheduled_to']}")
    assert (successor["status"], successor["replaces"]) == ("active", moved["id"])
    assert (successor["outstanding"]["principal"], successor["days_past_due"]) == (owed, 0)
    await lender.prove()
    await lender.advance(clock, "2026-06-10")
    source: dict[str, Any] = {"source": {"type": "wallet", "account": "borrower"}}
    closed = await lender.tell(f"{path_of(successor)}/payoff", source)
    assert closed["status"] == "closed_obligations_met"
    await lender.prove()


async def _proposed(lender: Lending, path: str, name: str, body: Json | None = None) -> Json:
    """Propose as one person, and approve as another."""
    proposal = await lender.tell(f"{path}/{name}", body or {}, actor="ana")
    alone = await lender.post(f"{path}/proposals/{proposal['number']}/approve", actor="ana")
    assert (alone.status_code, alone.json()["code"]) == (403, "second_person_required")
    return await lender.tell(f"{path}/proposals/{proposal['number']}/approve", actor="ben")
