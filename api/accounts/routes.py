"""Routes of accounts.

Invariant: opening an account is safe to repeat, as the ledger opens each id once; the account that stands against it, what the
gateway owes in that currency, is opened in the same call.
"""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api import json_answers, problems
from api.accounts.views import (
    GATEWAY_PURPOSE,
    AccountPage,
    AccountView,
    BalancesView,
    CreateAccount,
    EntryPage,
    account_view,
    balances_view,
    entry_view,
)
from api.body import read_json, validate
from api.cursors import Cursor, number_cursor, number_position
from api.documentation import (
    ACCOUNT_LINKS,
    BODY_PROBLEMS,
    LIST_PROBLEMS,
    OPTIONAL_IDEMPOTENCY_KEY,
    READ_PROBLEMS,
    answers,
    described,
    problems_of,
)
from api.identifiers import require_id
from api.json_answers import to_json
from api.money_call import optional_key_of
from api.payments.commands import CARD_GATEWAY
from api.problems import FieldError, Problem
from api.services import Services, services_of
from api.strict_route import StrictRoute
from domain import ids
from domain.ledger.accounts import Account, AccountResult, NormalSide
from infra.postgres.account_reads import MAX_PAGE, StoredAccount

DEFAULT_PAGE = 20

router = APIRouter(prefix="/v1/accounts", tags=["accounts"], route_class=StrictRoute)

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Most on a page.")]


@router.post(
    "",
    operation_id="create_account",
    summary="Open an account",
    status_code=201,
    response_model=AccountView,
    responses={
        **answers(201, "The account; the same when it was open already.", location=True, links=ACCOUNT_LINKS),
        **problems_of(*BODY_PROBLEMS, problems.ACCOUNT_EXISTS, problems.UNKNOWN_CURRENCY),
    },
    openapi_extra=described(CreateAccount, parameters=(OPTIONAL_IDEMPOTENCY_KEY,)),
)
async def create_account(request: Request) -> Response:
    """Open an account. The same call again answers the same; another account under the id is a conflict (409)."""
    services = services_of(request)
    tenant_id = await services.authenticator.tenant_of(request)
    key = optional_key_of(request)
    wanted = validate(CreateAccount, await read_json(request, services.settings.api_body_max_bytes))
    if wanted.purpose == GATEWAY_PURPOSE:
        rule = "Accounts of gateways are opened by the API itself."
        raise Problem(problems.VALIDATION_FAILED, rule, errors=[FieldError("/purpose", rule)])
    account_id = wanted.id or ids.account_id(tenant_id, key or str(uuid.uuid4()))
    account = Account(tenant_id, account_id, wanted.currency, NormalSide.CREDIT, wanted.purpose, wanted.may_go_negative)
    clearing = Account(
        tenant_id,
        ids.clearing_account(CARD_GATEWAY, wanted.currency),
        wanted.currency,
        NormalSide.DEBIT,
        GATEWAY_PURPOSE,
        may_go_negative=True,
    )
    result, _ = await services.ledger.open_accounts([account, clearing])
    if result is AccountResult.EXISTS_WITH_DIFFERENT_CONTENT:
        raise Problem(problems.ACCOUNT_EXISTS, f"Account {account_id} was opened before with other properties.")
    stored = await _find(services, tenant_id, account_id)
    headers = {"Location": f"/v1/accounts/{account_id}"}
    return Response(to_json(account_view(stored)), 201, headers, "application/json")


@router.get(
    "",
    operation_id="list_accounts",
    summary="List accounts",
    response_model=AccountPage,
    responses={**answers(200, "A page of accounts."), **problems_of(*LIST_PROBLEMS)},
    openapi_extra=described(),
)
async def list_accounts(request: Request, limit: Limit = DEFAULT_PAGE, cursor: Cursor = None) -> Response:
    """List the tenant's accounts in the order they were opened, those of gateways included."""
    services = services_of(request)
    tenant_id = await services.authenticator.tenant_of(request)
    after = 0 if cursor is None else number_position(cursor)
    found, more = await services.accounts.page(tenant_id, limit, after)
    data = [account_view(stored) for stored in found]
    return json_answers.page(data, number_cursor(found[-1].number) if more else None)


async def _find(services: Services, tenant_id: str, account_id: str) -> StoredAccount:
    stored = await services.accounts.account(tenant_id, require_id("account", account_id))
    if stored is None:
        raise problems.not_found("account", account_id)
    return stored


@router.get(
    "/{account_id}",
    operation_id="get_account",
    summary="Read an account",
    response_model=AccountView,
    responses={**answers(200, "The account."), **problems_of(*READ_PROBLEMS)},
    openapi_extra=described(),
)
async def get_account(request: Request, account_id: str) -> Response:
    """Read an account."""
    services = services_of(request)
    stored = await _find(services, await services.authenticator.tenant_of(request), account_id)
    return json_answers.answer(account_view(stored))


@router.get(
    "/{account_id}/balances",
    operation_id="get_balances",
    summary="Read what an account has",
    response_model=BalancesView,
    responses={**answers(200, "The balances."), **problems_of(*READ_PROBLEMS)},
    openapi_extra=described(),
)
async def get_balances(request: Request, account_id: str) -> Response:
    """Read what an account has now: booked, held, and available."""
    services = services_of(request)
    tenant_id = await services.authenticator.tenant_of(request)
    stored = await _find(services, tenant_id, account_id)
    balances = await services.ledger.balances(tenant_id, [account_id])
    return json_answers.answer(balances_view(stored, balances[account_id]))


@router.get(
    "/{account_id}/entries",
    operation_id="list_entries",
    summary="List an account's entries",
    response_model=EntryPage,
    responses={**answers(200, "A page of transfers."), **problems_of(*LIST_PROBLEMS, problems.NOT_FOUND)},
    openapi_extra=described(),
)
async def list_entries(
    request: Request, account_id: str, limit: Limit = DEFAULT_PAGE, cursor: Cursor = None
) -> Response:
    """List the transfers on an account, newest first."""
    services = services_of(request)
    tenant_id = await services.authenticator.tenant_of(request)
    after = None if cursor is None else number_position(cursor)
    await _find(services, tenant_id, account_id)
    found = await services.ledger.statement(tenant_id, account_id, after, limit, newest_first=True)
    data = [entry_view(transfer, account_id) for transfer in found.transfers]
    return json_answers.page(data, None if found.next_cursor is None else number_cursor(found.next_cursor))


@router.post(
    "/{account_id}/close",
    operation_id="close_account",
    summary="Close an account",
    response_model=AccountView,
    responses={
        **answers(200, "The account, closed."),
        **problems_of(*READ_PROBLEMS, problems.ILLEGAL_TRANSITION, problems.ACCOUNT_NOT_EMPTY),
    },
    openapi_extra=described(),
)
async def close_account(request: Request, account_id: str) -> Response:
    """Close an account for good: it takes no new payments. One with a balance or holds is refused (409). Safe to repeat."""
    services = services_of(request)
    tenant_id = await services.authenticator.tenant_of(request)
    stored = await _find(services, tenant_id, account_id)
    if stored.account.purpose == GATEWAY_PURPOSE:
        raise Problem(problems.ILLEGAL_TRANSITION, "The account of a gateway cannot be closed.")
    result = await services.ledger.close_account(tenant_id, account_id, only_if_empty=True)
    if result is AccountResult.ACCOUNT_NOT_EMPTY:
        raise await _not_empty(services, stored.account)
    services.directory.forget(tenant_id, account_id)
    stored = await _find(services, tenant_id, account_id)
    return json_answers.answer(account_view(stored))


async def _not_empty(services: Services, account: Account) -> Problem:
    """Say what is left in an account; read after the refusal, so it may have changed since."""
    balances = (await services.ledger.balances(account.tenant_id, [account.id]))[account.id]
    return Problem(
        problems.ACCOUNT_NOT_EMPTY,
        f"Account {account.id} has a balance of {balances.posted(account.normal_side)}, and holds of "
        f"{balances.credits_pending} coming in and {balances.debits_pending} going out (minor units of {account.currency}).",
    )
