"""What can be done to a loan, as messages to its workflow, and their outcomes as answers.

Invariant: the workflow decides; an answer is read from the row that the workflow wrote, so it is the same as any later read of
that moment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api import problems
from api.engine import Refused, WorkflowEnded
from api.identifiers import require_id
from api.loans.presenter import proposal_view
from api.loans.problems import CLOCK_NOT_FOUND, LOAN_INTERRUPTED, as_problem
from api.loans.requests import ApplyForLoan
from api.money_call import Accepted, Done, MoneyCall, NothingBegun, carry_out
from api.problems import RETRY_AFTER, FieldError, Problem
from api.services import Services, services_of
from domain import ids
from domain.loans.application import LoanApplication
from domain.loans.loan import CLOSED, ENDED, Loan
from domain.loans.proposals import ProposalKind
from domain.payments.payment import PaymentKind
from infra.postgres.idempotency import Claim, ClaimOutcome
from infra.postgres.loan_reads import StoredClock, StoredLoan


@dataclass(frozen=True, slots=True)
class LoanAction:
    """An update to a loan. `name` reads after "cannot"; `is_done` tells of an ended loan whether this is what ended it."""

    name: str
    update: Any
    message: object
    is_done: Callable[[Loan], bool] = lambda _: False


# Applying


async def apply(services: Services, call: MoneyCall, wanted: ApplyForLoan, claim: Claim) -> Done | Accepted:
    """Start the loan, or find it when it was started before."""
    clock = await _clock(services, call, wanted.test_clock)
    today = datetime.now(UTC).date() if clock is None else clock.advancing_to or clock.business_date
    try:
        application = wanted.application(call, today)
        if claim.outcome is ClaimOutcome.CLAIMED:
            await _require_accounts(services, application)
    except Problem as problem:
        raise NothingBegun(problem) from None
    path = f"/v1/loans/{application.id}"
    try:
        made = await services.loan_engine.apply(
            application, today if clock else None, ids.update_id(call.key), call.wait_s
        )
    except WorkflowEnded:
        ended = await written(services, call.tenant_id, application.id)
        _require_same(ended.loan.application, application)
        if not is_over(ended.loan):
            raise _interrupted(application.id) from None
        return Done(services.loan_presenter.stored(ended), 201, path)
    except Refused as refusal:
        raise as_problem(refusal) from refusal
    if clock is not None:
        await _catch_up(services, call, clock, application.id, today)
    known = await services.loans.loan(call.tenant_id, application.id)
    if known is not None:
        _require_same(known.loan.application, application)
    if made is None:
        view = services.loan_presenter.unwritten(Loan.apply(application, today))
        return Accepted(
            view if known is None else services.loan_presenter.stored(known), path, None if known else application.id
        )
    return Done(
        services.loan_presenter.unwritten(made) if known is None else services.loan_presenter.stored(known), 201, path
    )


async def _clock(services: Services, call: MoneyCall, clock_id: str | None) -> StoredClock | None:
    if clock_id is None:
        return None
    clock = await services.loans.clock(call.tenant_id, clock_id)
    if clock is None:
        detail = f"There is no test clock {clock_id}."
        raise NothingBegun(Problem(CLOCK_NOT_FOUND, detail, errors=[FieldError("/test_clock", detail)]))
    return clock


async def _catch_up(services: Services, call: MoneyCall, clock: StoredClock, loan_id: str, today: date) -> None:
    """Tell the loan the day when its clock moved on while it was started, too late for the clock to know of it."""
    now = await services.loans.clock(call.tenant_id, clock.id)
    shown = today if now is None else now.advancing_to or now.business_date
    if shown > today:
        try:
            await services.loan_engine.catch_up(loan_id, shown)
        except WorkflowEnded:
            return


async def _require_accounts(services: Services, application: LoanApplication) -> None:
    roles = {"/funding_account": application.funding_account, "/payout_account": application.payout_account}
    mandate = application.mandate
    if mandate is not None and mandate.kind is PaymentKind.WALLET:
        roles["/mandate/account"] = mandate.source
    await services.directory.require_payable(application.tenant_id, application.terms.currency, roles)


def _require_same(made: LoanApplication, asked: LoanApplication) -> None:
    """Refuse a key that led to another loan: what was remembered of its first use is gone."""
    same = (
        made.applicant == asked.applicant
        and made.terms.principal == asked.terms.principal
        and made.terms.currency == asked.terms.currency
        and made.terms.instalments == asked.terms.instalments
        and made.funding_account == asked.funding_account
        and made.payout_account == asked.payout_account
    )
    if not same:
        raise Problem(problems.IDEMPOTENCY_KEY_REUSED, f"This Idempotency-Key made another loan before, {made.id}.")


# Commands


async def command(request: Request, loan_id: str, call: MoneyCall, action: LoanAction) -> Response:
    """Have something done to a loan of the tenant, once, and answer with the loan as it is then."""
    services = services_of(request)
    await require_loan(services, call.tenant_id, loan_id)

    async def work(claim: Claim) -> Done | Accepted:
        view = services.loan_presenter.stored
        if await send(services, call, loan_id, action, claim) is None:
            return Accepted(view(await _known(services, call.tenant_id, loan_id)), f"/v1/loans/{loan_id}")
        return Done(view(await written(services, call.tenant_id, loan_id)))

    return await carry_out(services, call, work)


async def propose(
    request: Request, loan_id: str, call: MoneyCall, action: LoanAction, kind: ProposalKind, maker: str
) -> Response:
    """Have something proposed, once, and answer with the proposal that a second person must decide."""
    services = services_of(request)
    await require_loan(services, call.tenant_id, loan_id)

    async def work(claim: Claim) -> Done | Accepted:
        path = f"/v1/loans/{loan_id}/proposals"
        if await send(services, call, loan_id, action, claim) is None:
            view = services.loan_presenter.stored(await _known(services, call.tenant_id, loan_id))
            return Accepted(view, path)
        made = [
            each
            for each in await services.loans.proposals(call.tenant_id, loan_id)
            if each.kind == kind and each.maker == maker
        ]
        return Done(proposal_view(loan_id, made[-1]), 201, path)

    return await carry_out(services, call, work)


async def send(services: Services, call: MoneyCall, loan_id: str, action: LoanAction, claim: Claim) -> object | None:
    """Send an action to a loan; None when it was accepted and the wait is over. Raises Problem when it is refused."""
    try:
        answer: object = await services.loan_engine.command(
            loan_id, action.update, action.message, ids.update_id(call.key), call.wait_s
        )
    except WorkflowEnded:
        ended = (await written(services, call.tenant_id, loan_id)).loan
        if claim.outcome is ClaimOutcome.RESUMED and action.is_done(ended):
            return ended
        if not is_over(ended):
            raise _interrupted(loan_id) from None
        detail = f"A loan that is {ended.status} for good cannot {action.name}."
        raise Problem(problems.ILLEGAL_TRANSITION, detail) from None
    except Refused as refusal:
        raise as_problem(refusal) from refusal
    return answer


def is_over(loan: Loan) -> bool:
    """Tell whether a loan's workflow may have ended by itself."""
    return loan.status in ENDED | CLOSED


async def require_loan(services: Services, tenant_id: str, loan_id: str) -> None:
    """Check that the loan is the tenant's, written or only accepted as yet. Raises Problem 404."""
    require_id("loan", loan_id)
    if (
        await services.loans.loan(tenant_id, loan_id) is None
        and await services.keys.accepted(tenant_id, loan_id) is None
    ):
        raise problems.not_found("loan", loan_id)


async def written(services: Services, tenant_id: str, loan_id: str) -> StoredLoan:
    """Return a loan's row, which must be there."""
    stored = await services.loans.loan(tenant_id, loan_id)
    if stored is None:
        raise _interrupted(loan_id)
    return stored


async def _known(services: Services, tenant_id: str, loan_id: str) -> StoredLoan:
    stored = await services.loans.loan(tenant_id, loan_id)
    if stored is None:
        raise Problem(problems.NO_WORKER, "The loan is not written down yet.", headers=RETRY_AFTER)
    return stored


def _interrupted(loan_id: str) -> Problem:
    return Problem(LOAN_INTERRUPTED, f"The workflow of loan {loan_id} was stopped from outside.")
