"""The bank as an ASGI application.

Invariant: it opens its data file when it starts and has committed everything it answered when it stops; killed without
warning, it has too.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from infra.bank import card_routes, office_routes, rail_routes
from infra.bank.commit_group import CommitGroup
from infra.bank.desk import Desk
from infra.bank.errors import Refusal
from infra.bank.faults import Faults, problem
from infra.bank.storage import open_reader, read_secret
from infra.swagger_ui import swagger_ui


def create_app(data_file: Path, authorization_valid_for_s: float) -> FastAPI:
    """Build the bank on a data file; authorizations expire after `authorization_valid_for_s` seconds."""

    @asynccontextmanager
    async def open_for_business(app: FastAPI) -> AsyncIterator[None]:
        group = CommitGroup(data_file)
        await group.start()
        reader = open_reader(data_file)
        app.state.data_file = data_file
        app.state.desk = Desk(
            group, reader, Faults(), read_secret(reader, "card_fingerprint"), round(authorization_valid_for_s * 1000)
        )
        try:
            yield
        finally:
            await group.stop()
            reader.close()

    app = FastAPI(
        title="Clearhold sandbox bank",
        version="1",
        description="Card network, bank rails and screening provider for tests. Takes published test cards only.",
        lifespan=open_for_business,
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(swagger_ui(app.title))
    for routes in (card_routes, rail_routes, office_routes):
        app.include_router(routes.router)
    app.add_exception_handler(Refusal, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_parameters)
    app.add_exception_handler(HTTPException, _refuse_route)
    return app


async def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - registered for this class only
    return problem(error.status, error.code, error.detail)


async def _refuse_parameters(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    wrong = sorted({str(part["loc"][-1]) for part in error.errors()})
    return problem(422, "invalid_request", f"Wrong or missing: {', '.join(wrong)}.")


async def _refuse_route(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    return problem(error.status_code, "no_such_route", str(error.detail))
