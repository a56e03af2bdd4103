"""What a loan lives through once it is paid out, and how it ends."""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal

from domain.loans.allocation import Portion
from domain.loans.changes import Restructure, RestructureKind
from domain.loans.restructure import PrepaymentEffect
from domain.loans.status import LoanStatus
from tests.replay.loan_scene import CHECKER, MAKER, PRINCIPAL, LoanScene, loan_path
from tests.support.loan_world import LoanHandle
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import (
    ChargeOff,
    CheckProposal,
    PauseLoan,
    PayOff,
    Recover,
    RefundOverpayment,
    Repay,
    RestructureLoan,
    ResumeLoan,
    ReverseRepayment,
    WaiveCharge,
    WriteOff,
)

S = LoanStatus
CLOSED = S.CLOSED_OBLIGATIONS_MET
FIRST_DUE, SECOND_DUE, LAST_DUE = date(2026, 2, 15), date(2026, 3, 15), date(2026, 4, 15)
ENOUGH = 40_000


async def _late(scene: LoanScene) -> LoanHandle:
    """Return a loan whose first instalment was missed and has cost a late fee."""
    handle = await scene.active()
    scene.world.take("borrower")
    await scene.until(handle, date(2026, 2, 21))
    scene.expect_told(handle, "collection_failed", "past_due", "late_fee_charged")
    return handle


@loan_path
async def loan_paid_off_by_its_mandate(scene: LoanScene) -> None:
    handle = await scene.active(scene.application({"reminder_days": (3,)}))
    scene.world.give("borrower", ENOUGH)
    await scene.until(handle, LAST_DUE)
    await scene.end_on(handle, date(2026, 4, 20), CLOSED)
    scene.expect_told(handle, "reminded", "instalment_due", "repaid")


@loan_path
async def loan_repaid_and_not_booked_at_first(scene: LoanScene) -> None:
    handle = await scene.active()
    scene.world.give("borrower", ENOUGH)
    scene.world.book.refuse["repaid"] = "debit_account_closed"
    await scene.tell_in_vain(handle, LoanWorkflow.pay_off, PayOff(), "LedgerRefused")
    scene.world.book.refuse.clear()
    await scene.tell_in_vain(handle, LoanWorkflow.repay, Repay(1_000), "illegal_transition")
    await scene.end_on(handle, date(2026, 4, 20), CLOSED)
    assert len(scene.world.book.repayments) == 1


@loan_path
async def loan_missed_then_caught_up(scene: LoanScene) -> None:
    handle = await _late(scene)
    scene.world.give("borrower", ENOUGH)
    caught_up = await scene.until(handle, date(2026, 2, 22))
    assert caught_up.days_past_due == 0
    await scene.tell(handle, LoanWorkflow.pay_off, PayOff())


@loan_path
async def loan_late_fee_waived(scene: LoanScene) -> None:
    handle = await _late(scene)
    waived = await scene.tell(handle, LoanWorkflow.waive_charge, WaiveCharge(1, Portion.FEE, 1_500, MAKER))
    assert waived.fees_outstanding_minor == 0
    scene.world.give("borrower", ENOUGH)
    await scene.tell(handle, LoanWorkflow.pay_off, PayOff())


@loan_path
async def loan_prepaid_for_a_lower_instalment(scene: LoanScene) -> None:
    handle = await scene.active()
    await scene.tell(handle, LoanWorkflow.repay, Repay(10_000, PrepaymentEffect.REDUCE_INSTALMENT))
    scene.world.give("borrower", ENOUGH)
    await scene.until(handle, FIRST_DUE)
    await scene.tell(handle, LoanWorkflow.pay_off, PayOff())


@loan_path
async def loan_prepaid_for_a_shorter_term(scene: LoanScene) -> None:
    handle = await scene.active()
    await scene.tell(handle, LoanWorkflow.repay, Repay(15_000, PrepaymentEffect.REDUCE_TERM))
    scene.world.give("borrower", ENOUGH)
    await scene.until(handle, SECOND_DUE)
    await scene.end_on(handle, date(2026, 3, 20), CLOSED)


@loan_path
async def loan_repayment_declined(scene: LoanScene) -> None:
    handle = await scene.active()
    await scene.tell_in_vain(handle, LoanWorkflow.repay, Repay(ENOUGH), "payment_declined")
    await scene.tell(handle, LoanWorkflow.pay_off, PayOff())
    await scene.end_on(handle, date(2026, 1, 20), CLOSED)


@loan_path
async def loan_repaid_by_many_at_once(scene: LoanScene) -> None:
    handle = await scene.active()
    asked = (scene.tell(handle, LoanWorkflow.repay, Repay(1_000 * number)) for number in (1, 2, 3, 4))
    await asyncio.gather(*asked)
    assert sorted(each.amount for each in scene.world.book.repayments.values()) == [1_000, 2_000, 3_000, 4_000]


@loan_path
async def loan_overpaid_and_refunded(scene: LoanScene) -> None:
    handle = await scene.active()
    scene.world.give("borrower", ENOUGH)
    overpaid = await scene.tell(handle, LoanWorkflow.repay, Repay(PRINCIPAL + 1_000))
    assert overpaid.status is S.OVERPAID
    await scene.tell(handle, LoanWorkflow.refund_overpayment, RefundOverpayment(MAKER))
    await scene.end_on(handle, date(2026, 1, 20), CLOSED)


@loan_path
async def loan_charged_back(scene: LoanScene) -> None:
    handle = await scene.active()
    await scene.until(handle, FIRST_DUE)
    back = await scene.tell(handle, LoanWorkflow.reverse_repayment, ReverseRepayment(1, MAKER, "R01"))
    assert back.status is S.ACTIVE
    await scene.tell(handle, LoanWorkflow.repay, Repay(10_201))


@loan_path
async def loan_charged_back_after_it_was_paid_off(scene: LoanScene) -> None:
    handle = await scene.active()
    await scene.tell(handle, LoanWorkflow.pay_off, PayOff())
    back = await scene.tell(handle, LoanWorkflow.reverse_repayment, ReverseRepayment(1, MAKER, "R01"))
    assert back.status is S.ACTIVE
    await scene.tell(handle, LoanWorkflow.pay_off, PayOff())
    await scene.end_on(handle, date(2026, 1, 20), CLOSED)


@loan_path
async def loan_restructured(scene: LoanScene) -> None:
    handle = await _late(scene)
    change = Restructure(RestructureKind.RE_AGE, first_due_on=date(2026, 4, 1), instalments=2, capitalize_interest=True)
    await scene.tell(handle, LoanWorkflow.restructure, RestructureLoan(change, MAKER))
    await scene.tell(handle, LoanWorkflow.check_proposal, CheckProposal(1, CHECKER))
    scene.world.give("borrower", ENOUGH)
    await scene.until(handle, date(2026, 5, 1))
    await scene.end_on(handle, date(2026, 5, 6), CLOSED)
    scene.expect_told(handle, "restructured")


@loan_path
async def loan_restructure_rejected_then_another_rate(scene: LoanScene) -> None:
    handle = await scene.active()
    change = Restructure(RestructureKind.CHANGE_RATE, effective_on=date(2026, 3, 1), annual_rate_percent=Decimal(6))
    await scene.tell(handle, LoanWorkflow.restructure, RestructureLoan(change, MAKER))
    await scene.tell(handle, LoanWorkflow.check_proposal, CheckProposal(1, CHECKER, approve=False))
    await scene.tell(handle, LoanWorkflow.restructure, RestructureLoan(change, MAKER))
    await scene.tell(handle, LoanWorkflow.check_proposal, CheckProposal(2, CHECKER))
    await scene.tell(handle, LoanWorkflow.pay_off, PayOff())


@loan_path
async def loan_paused_and_resumed(scene: LoanScene) -> None:
    handle = await scene.active()
    await scene.tell(handle, LoanWorkflow.pause, PauseLoan(date(2026, 3, 1), MAKER, "flood"))
    await scene.until(handle, date(2026, 2, 20))
    await scene.tell(handle, LoanWorkflow.resume, ResumeLoan(MAKER))
    await scene.tell(handle, LoanWorkflow.pause, PauseLoan(date(2026, 2, 25), MAKER))
    await scene.until(handle, date(2026, 2, 26))
    scene.expect_told(handle, "paused", "resumed")


@loan_path
async def loan_charged_off_written_off_and_recovered(scene: LoanScene) -> None:
    handle = await _late(scene)
    await scene.tell(handle, LoanWorkflow.charge_off, ChargeOff(MAKER))
    scene.world.give("borrower", 3_000)
    await scene.tell(handle, LoanWorkflow.repay, Repay(1_000))
    await scene.tell(handle, LoanWorkflow.write_off, WriteOff(MAKER))
    await scene.tell_in_vain(handle, LoanWorkflow.check_proposal, CheckProposal(1, MAKER), "second_person_required")
    gone = await scene.tell(handle, LoanWorkflow.check_proposal, CheckProposal(1, CHECKER))
    assert gone.status is S.CLOSED_WRITTEN_OFF
    await scene.tell(handle, LoanWorkflow.recover, Recover(2_000, MAKER))
    await scene.end_on(handle, date(2026, 2, 26), S.CLOSED_WRITTEN_OFF)


@loan_path
async def loan_written_off_at_once(scene: LoanScene) -> None:
    handle = await scene.active()
    await scene.tell(handle, LoanWorkflow.write_off, WriteOff(MAKER))
    await scene.tell(handle, LoanWorkflow.check_proposal, CheckProposal(1, CHECKER))
    await scene.end_on(handle, date(2026, 1, 20), S.CLOSED_WRITTEN_OFF)


@loan_path
async def loan_canceled_in_temporal_goes_on(scene: LoanScene) -> None:
    handle = await scene.active()
    await handle.cancel()
    await scene.until_told(handle.id, "cancellation_ignored")
    await scene.until(handle, FIRST_DUE)
    await scene.tell(handle, LoanWorkflow.repay, Repay(1_000))


SECOND_RUN = "loan_continued_as_new_second_run"


@loan_path
async def loan_continued_as_new(scene: LoanScene) -> None:
    """Two runs: the second goes on with what the first carried, a command of the first included."""
    handle = await scene.active(max_days_per_run=1)
    scene.world.give("borrower", ENOUGH)
    repay = Repay(1_000)
    await handle.execute_update(LoanWorkflow.repay, repay, id="upd_of_the_first_run")
    await scene.until(handle, FIRST_DUE)
    second = (await handle.describe()).run_id
    assert second != scene.kept[scene.name].run_id
    again = scene.world.client.get_workflow_handle(handle.id, run_id=second)
    scene.keep(again, SECOND_RUN)
    await handle.execute_update(LoanWorkflow.repay, repay, id="upd_of_the_first_run")
    assert [each.amount for each in scene.world.book.repayments.values()][:1] == [1_000]
    await scene.tell(handle, LoanWorkflow.pay_off, PayOff())
    await scene.end_on(handle, date(2026, 2, 20), CLOSED)


@loan_path
async def loan_in_real_time(scene: LoanScene) -> None:
    handle = await scene.active(scene.application(test_clock=None))
    await scene.tell(handle, LoanWorkflow.repay, Repay(1_000))
    await scene.tell(handle, LoanWorkflow.pay_off, PayOff())
