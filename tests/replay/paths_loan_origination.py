"""What becomes of an application: offered, referred, declined, withdrawn, lapsed, cancelled."""

from __future__ import annotations

import asyncio
from datetime import date

from activities.screening_port import ScreeningOutcome
from domain.loans.status import LoanStatus
from tests.replay.loan_scene import CHECKER, MAKER, LoanScene, loan_path
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import (
    ApproveApplication,
    CheckProposal,
    DeclineApplication,
    WithdrawApplication,
)

S = LoanStatus
REFERRED_SCORE, DECLINED_SCORE = 640, 500
SILENT_FOR_LONG = 1_000


@loan_path
async def loan_declined(scene: LoanScene) -> None:
    scene.world.providers.score = DECLINED_SCORE
    await scene.expect(await scene.apply(S.REJECTED), S.REJECTED)


@loan_path
async def loan_declined_for_a_sanctions_match(scene: LoanScene) -> None:
    scene.world.providers.outcome = ScreeningOutcome.MATCH
    await scene.expect(await scene.apply(S.REJECTED), S.REJECTED)


@loan_path
async def loan_referred_then_approved_by_two(scene: LoanScene) -> None:
    scene.world.providers.score = REFERRED_SCORE
    handle = await scene.apply(S.UNDERWRITING)
    await scene.tell(handle, LoanWorkflow.approve_application, ApproveApplication(MAKER, "payslips seen"))
    await scene.tell_in_vain(handle, LoanWorkflow.check_proposal, CheckProposal(1, MAKER), "second_person_required")
    offered = await scene.tell(handle, LoanWorkflow.check_proposal, CheckProposal(1, CHECKER))
    assert offered.status is S.OFFERED
    await scene.tell(handle, LoanWorkflow.withdraw, WithdrawApplication())
    await scene.expect(handle, S.WITHDRAWN_BY_CLIENT)


@loan_path
async def loan_referred_then_declined_by_a_person(scene: LoanScene) -> None:
    scene.world.providers.score = REFERRED_SCORE
    handle = await scene.apply(S.UNDERWRITING)
    await scene.tell(handle, LoanWorkflow.approve_application, ApproveApplication(MAKER))
    await scene.tell(handle, LoanWorkflow.check_proposal, CheckProposal(1, CHECKER, approve=False))
    await scene.tell(handle, LoanWorkflow.decline_application, DeclineApplication(CHECKER, "too thin"))
    await scene.expect(handle, S.REJECTED)


@loan_path
async def loan_of_a_weak_match_cleared_by_two(scene: LoanScene) -> None:
    scene.world.providers.outcome = ScreeningOutcome.WEAK_MATCH
    handle = await scene.apply(S.KYC_PENDING)
    await scene.tell(handle, LoanWorkflow.approve_application, ApproveApplication(MAKER))
    cleared = await scene.tell(handle, LoanWorkflow.check_proposal, CheckProposal(1, CHECKER))
    assert cleared.status is S.OFFERED
    await scene.tell(handle, LoanWorkflow.withdraw, WithdrawApplication())
    await scene.expect(handle, S.WITHDRAWN_BY_CLIENT)


@loan_path
async def loan_screened_at_the_second_try(scene: LoanScene) -> None:
    scene.world.providers.silent_times = 1
    handle = await scene.apply()
    await scene.tell(handle, LoanWorkflow.withdraw, WithdrawApplication())
    await scene.expect(handle, S.WITHDRAWN_BY_CLIENT)


@loan_path
async def loan_of_an_unknown_to_the_bureau(scene: LoanScene) -> None:
    scene.world.providers.score = None
    handle = await scene.apply(S.UNDERWRITING)
    await scene.tell(handle, LoanWorkflow.withdraw, WithdrawApplication())
    await scene.expect(handle, S.WITHDRAWN_BY_CLIENT)


@loan_path
async def loan_withdrawn(scene: LoanScene) -> None:
    handle = await scene.apply()
    await scene.tell(handle, LoanWorkflow.withdraw, WithdrawApplication("found another"))
    await scene.expect(handle, S.WITHDRAWN_BY_CLIENT)


@loan_path
async def loan_withdrawn_while_the_screening_is_silent(scene: LoanScene) -> None:
    scene.world.providers.silent_times = SILENT_FOR_LONG
    asked = scene.application()
    applying = asyncio.create_task(scene.world.apply(asked))
    await scene.until_told(asked.id, "applied")
    handle = await scene.keep_first(asked.id)
    await scene.rested(handle, pending_activities=1)
    await scene.tell(handle, LoanWorkflow.withdraw, WithdrawApplication())
    await applying
    await scene.expect(handle, S.WITHDRAWN_BY_CLIENT)


@loan_path
async def loan_offer_expired(scene: LoanScene) -> None:
    handle = await scene.apply()
    await handle.signal(LoanWorkflow.advance_clock, date(2026, 2, 15))
    await scene.expect(handle, S.WITHDRAWN_BY_CLIENT)
    scene.expect_told(handle, "offer_expired")


@loan_path
async def loan_canceled_in_temporal_before_the_payout(scene: LoanScene) -> None:
    handle = await scene.apply()
    await handle.cancel()
    await scene.expect(handle, S.WITHDRAWN_BY_CLIENT)
