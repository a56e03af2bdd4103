"""The payout of loans: done, failed at each step and tried again, stuck, given up."""

from __future__ import annotations

from domain.loans.status import LoanStatus
from tests.replay.loan_scene import MAKER, PRINCIPAL, LoanScene, loan_path
from tests.support.loan_world import LoanHandle
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import PayOff, RetryDisbursement, WithdrawApplication

S = LoanStatus
REFUSED = "debit_account_closed"


async def _fails(scene: LoanScene) -> LoanHandle:
    handle = await scene.apply()
    failed = await scene.accept(handle)
    assert failed.status is S.APPROVED
    assert failed.failure_code is not None
    return handle


async def _succeeds(scene: LoanScene, handle: LoanHandle) -> None:
    paid = await scene.tell(handle, LoanWorkflow.retry_disbursement, RetryDisbursement(MAKER))
    assert paid.status is S.ACTIVE, paid.failure_message
    assert scene.world.ledger.posted["borrower"] == PRINCIPAL
    await scene.tell(handle, LoanWorkflow.pay_off, PayOff())


async def _fails_at(scene: LoanScene, step: str) -> None:
    scene.world.book.refuse[step] = REFUSED
    handle = await _fails(scene)
    scene.world.book.refuse.clear()
    await _succeeds(scene, handle)


@loan_path
async def loan_payout_failed_while_reserving(scene: LoanScene) -> None:
    await _fails_at(scene, "funds_reserved")


@loan_path
async def loan_payout_failed_while_booking(scene: LoanScene) -> None:
    await _fails_at(scene, "booked")


@loan_path
async def loan_payout_failed_while_activating(scene: LoanScene) -> None:
    """The money was paid out, and is taken back."""
    await _fails_at(scene, "disbursed")


@loan_path
async def loan_payout_refused_then_tried_again(scene: LoanScene) -> None:
    scene.world.ledger.refuse["transfer"] = "credit_account_closed"
    handle = await _fails(scene)
    scene.world.ledger.refuse.clear()
    await _succeeds(scene, handle)


@loan_path
async def loan_payout_not_taken_back_until_a_person_retries(scene: LoanScene) -> None:
    scene.world.book.refuse["disbursed"] = "loan_is_ahead"
    scene.world.ledger.refuse["refund_hold"] = "exceeds_credits"
    handle = await _fails(scene)
    assert (await handle.query(LoanWorkflow.progress)).compensations == ["take back the payout"]
    await scene.tell_in_vain(
        handle, LoanWorkflow.retry_disbursement, RetryDisbursement(MAKER), "disbursement_not_undone"
    )


@loan_path
async def loan_withdrawn_after_a_failed_payout(scene: LoanScene) -> None:
    scene.world.ledger.funds["lender"] = 100
    handle = await _fails(scene)
    await scene.tell(handle, LoanWorkflow.withdraw, WithdrawApplication())
    await scene.expect(handle, S.WITHDRAWN_BY_CLIENT)


@loan_path
async def loan_paid_out_while_the_database_stumbles(scene: LoanScene) -> None:
    scene.world.book.fail_times["booked"] = 2
    await scene.tell(await scene.active(), LoanWorkflow.pay_off, PayOff())
