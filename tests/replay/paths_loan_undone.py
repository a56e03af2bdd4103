"""What is done to loans beyond the ordinary: tranches, charges by hand, and what is taken back or given a successor."""

from __future__ import annotations

from datetime import date

from domain.loans.changes import Restructure, RestructureKind
from domain.loans.status import LoanStatus
from domain.loans.terms import BalanceMove
from tests.replay.loan_scene import CHECKER, INSTALMENTS, MAKER, PRINCIPAL, LoanScene, loan_path
from tests.support.loan_world import terms
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import (
    AddCharge,
    ApproveApplication,
    CheckProposal,
    PayOff,
    RestructureLoan,
    RetryDisbursement,
    UndoApproval,
    UndoDisbursal,
    UndoWriteOff,
    WithdrawApplication,
    WriteOff,
)

S = LoanStatus
ENOUGH = 60_000
SUCCESSOR = "loan_rescheduled_successor"
TRANCHE = BalanceMove(date(2026, 3, 1), 10_000)


@loan_path
async def loan_approval_undone_and_given_again(scene: LoanScene) -> None:
    scene.world.ledger.funds["lender"] = 100
    handle = await scene.apply()
    await scene.accept(handle)
    undone = await scene.tell(handle, LoanWorkflow.undo_approval, UndoApproval(MAKER, "second thoughts"))
    assert undone.status is S.SUBMITTED_AND_PENDING_APPROVAL
    scene.world.ledger.funds["lender"] = ENOUGH
    await scene.tell(handle, LoanWorkflow.approve_application, ApproveApplication(MAKER))
    paid = await scene.tell(handle, LoanWorkflow.check_proposal, CheckProposal(1, CHECKER))
    assert paid.status in (S.ACTIVE, S.APPROVED), paid.status


@loan_path
async def loan_payout_taken_back_by_a_person(scene: LoanScene) -> None:
    handle = await scene.active()
    undone = await scene.tell(handle, LoanWorkflow.undo_disbursal, UndoDisbursal(MAKER, "wrong account"))
    assert undone.status is S.APPROVED
    await scene.tell(handle, LoanWorkflow.withdraw, WithdrawApplication())
    await scene.expect(handle, S.WITHDRAWN_BY_CLIENT)


@loan_path
async def loan_charged_by_hand(scene: LoanScene) -> None:
    handle = await scene.active()
    charged = await scene.tell(handle, LoanWorkflow.add_charge, AddCharge(500, MAKER, "copy of the contract"))
    assert charged.fees_outstanding_minor == 500
    scene.world.give("borrower", ENOUGH)
    await scene.tell(handle, LoanWorkflow.pay_off, PayOff())


@loan_path
async def loan_write_off_undone(scene: LoanScene) -> None:
    handle = await scene.active()
    await scene.tell(handle, LoanWorkflow.write_off, WriteOff(MAKER))
    await scene.tell(handle, LoanWorkflow.check_proposal, CheckProposal(1, CHECKER))
    await scene.tell(handle, LoanWorkflow.undo_write_off, UndoWriteOff(MAKER, "found again"))
    back = await scene.tell(handle, LoanWorkflow.check_proposal, CheckProposal(2, CHECKER))
    assert back.status is S.ACTIVE
    await scene.tell(handle, LoanWorkflow.pay_off, PayOff())


@loan_path
async def loan_rescheduled(scene: LoanScene) -> None:
    """The loan ends, and the first run of its successor is recorded beside it."""
    handle = await scene.active()
    change = Restructure(RestructureKind.RESCHEDULE, instalments=2)
    await scene.tell(handle, LoanWorkflow.restructure, RestructureLoan(change, MAKER))
    await handle.execute_update(LoanWorkflow.check_proposal, CheckProposal(1, CHECKER), id="upd_reschedule")
    await scene.expect(handle, S.CLOSED_RESCHEDULED)
    (successor,) = [loan_id for loan_id in scene.world.book.loans if loan_id != handle.id]
    follower = scene.world.handle(successor)
    scene.keep(follower, SUCCESSOR)
    scene.world.give("borrower", ENOUGH)
    await scene.rested(follower)
    await scene.tell(follower, LoanWorkflow.pay_off, PayOff())


@loan_path
async def loan_paid_out_in_tranches(scene: LoanScene) -> None:
    """The second tranche fails on its day, and is paid out when a person says so."""
    asked = scene.application(terms=terms(principal=PRINCIPAL, instalments=INSTALMENTS, tranches=(TRANCHE,)))
    handle = await scene.active(asked)
    scene.world.ledger.refuse["reserve"] = "exceeds_credits"
    held = await scene.until(handle, date(2026, 3, 2))
    assert held.disbursed_minor == PRINCIPAL
    scene.world.ledger.refuse.clear()
    paid = await scene.tell(handle, LoanWorkflow.retry_disbursement, RetryDisbursement(MAKER))
    assert paid.disbursed_minor == PRINCIPAL + TRANCHE.amount
    scene.world.give("borrower", ENOUGH)
    await scene.tell(handle, LoanWorkflow.pay_off, PayOff())
