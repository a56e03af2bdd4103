"""Routes of the account side: payouts, collections, screenings.

Invariant: as for cards, one effect per idempotency key; a screening moves nothing and needs none.
"""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from infra.bank import rails, screening
from infra.bank.connection import hold_until_client_leaves
from infra.bank.desk import desk_of, read_body, read_trace_id, reply
from infra.bank.faults import FaultyOperation
from infra.bank.messages import Applicant, CollectionOrder, PayoutOrder
from infra.bank.openapi import body_of

router = APIRouter(tags=["accounts"])


@router.post("/payouts", openapi_extra=body_of(PayoutOrder))
async def pay_out(request: Request) -> Response:
    """Send money to an account token or an IBAN; 402 with reason and return code when it is rejected."""
    order = await read_body(request, PayoutOrder)
    return await desk_of(request).carry_out(request, FaultyOperation.PAYOUT, order, rails.pay_out)


@router.post("/collections", openapi_extra=body_of(CollectionOrder))
async def collect(request: Request) -> Response:
    """Pull money under a mandate; 402 with reason and return code when it is rejected."""
    order = await read_body(request, CollectionOrder)
    return await desk_of(request).carry_out(request, FaultyOperation.COLLECTION, order, rails.collect)


@router.post("/screenings", openapi_extra=body_of(Applicant, keyed=False))
async def screen(request: Request) -> Response:
    """Compare an applicant with the sanctions list: `clear`, `weak_match` or `match`, with a score of 0 to 100."""
    desk, applicant = desk_of(request), await read_body(request, Applicant)

    async def work() -> Response:
        if screening.times_out(applicant.name):
            return await hold_until_client_leaves(request)
        finding, trace_id = screening.screen(applicant), read_trace_id(request)
        return reply(await desk.write(lambda c: screening.keep(c, applicant, finding, trace_id)))

    return await desk.answer(request, FaultyOperation.SCREENING, applicant.reference, work)
