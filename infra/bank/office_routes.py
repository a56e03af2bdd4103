"""Routes of the back office: health, the statement, and faults on demand.

Invariant: nothing here moves money.
"""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from infra.bank import statement
from infra.bank.desk import desk_of, read_body, reply
from infra.bank.faults import FaultOrder
from infra.bank.openapi import body_of
from infra.bank.statement import MAX_PAGE, Extract

router = APIRouter()


@router.get("/health", tags=["health"])
async def health(request: Request) -> Response:
    """Answer 200 when the memory can be read."""
    desk_of(request).reader.execute("SELECT 1 FROM operation LIMIT 1").fetchone()
    return reply({"status": "ok"})


@router.get("/statement", tags=["statement"])
async def show_statement(
    request: Request,
    cursor: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = MAX_PAGE,
    currency: Annotated[str | None, Query(pattern="^[A-Z]{3}$")] = None,
    reference: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """List operations in the order they were committed; follow `next_cursor` until it is null."""
    extract = Extract(cursor, limit, currency, reference)
    return reply(await asyncio.to_thread(statement.list_operations, request.app.state.data_file, extract))


@router.get("/statement/totals", tags=["statement"])
async def show_totals(request: Request) -> Response:
    """Return the totals per currency, in minor units."""
    return reply(await asyncio.to_thread(statement.total_by_currency, request.app.state.data_file))


@router.post("/admin/faults", tags=["admin"], openapi_extra=body_of(FaultOrder, keyed=False), status_code=201)
async def arm_fault(request: Request) -> Response:
    """Arm a fault."""
    order = await read_body(request, FaultOrder)
    return reply(desk_of(request).faults.arm(order).describe(), 201)


@router.get("/admin/faults", tags=["admin"])
async def list_faults(request: Request) -> Response:
    """List the faults, with how often each struck and is still due."""
    return reply({"faults": desk_of(request).faults.describe()})


@router.delete("/admin/faults", tags=["admin"])
async def clear_faults(request: Request) -> Response:
    """Forget all faults."""
    desk_of(request).faults.clear()
    return reply({"faults": []})
