"""Puts the application together.

Invariant: making it connects to nothing; the lifespan does, in the process and the event loop that serve.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route

from api import health_routes, problems
from api.accounts import routes as account_routes
from api.body import sentence
from api.edge import Edge
from api.in_flight import InFlight
from api.loans import clock_routes
from api.loans import command_routes as loan_command_routes
from api.loans import desk_routes as loan_desk_routes
from api.loans import proposal_routes as loan_proposal_routes
from api.loans import quote_routes as loan_quote_routes
from api.loans import routes as loan_routes
from api.metrics import RequestMetrics
from api.openapi import TITLE, VERSION, document_of
from api.payments import command_routes as payment_command_routes
from api.payments import refund_routes
from api.payments import routes as payment_routes
from api.problems import RETRY_AFTER, FieldError, Problem
from api.resident import Resident
from api.services import open_services
from infra.settings import Settings, get_settings
from infra.swagger_ui import swagger_ui

log = logging.getLogger(__name__)

_ROUTE_MODULES = (
    payment_routes,
    payment_command_routes,
    refund_routes,
    account_routes,
    loan_quote_routes,
    loan_routes,
    loan_command_routes,
    loan_proposal_routes,
    loan_desk_routes,
    clock_routes,
    health_routes,
)


def create_app(settings: Settings | None = None, resident: Resident | None = None) -> FastAPI:
    """Return the application for these settings (None: those of the process), with the worker that lives in its process."""
    chosen = settings or get_settings()
    metrics = RequestMetrics()
    in_flight = InFlight(chosen.api_in_flight_max, on_shed=metrics.count_shed)
    metrics.watch(lambda: in_flight.now)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services(chosen, in_flight, resident) as services:
            app.state.services = services
            yield
        del app.state.services

    app = FastAPI(
        title=TITLE, version=VERSION, lifespan=lifespan, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.metrics, app.state.in_flight = metrics, in_flight
    for module in _ROUTE_MODULES:
        app.include_router(module.router)
    docs = swagger_ui(TITLE)
    app.include_router(docs)
    app.state.routes = (*app.routes, *docs.routes, *(route for each in _ROUTE_MODULES for route in each.router.routes))
    app.openapi = document_of(app)  # type: ignore[method-assign]
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(RequestValidationError, _answer_invalid_parameters)
    app.add_exception_handler(psycopg.OperationalError, _answer_database_error)
    app.add_middleware(Edge, metrics=metrics, in_flight=in_flight)
    return app


def _render(request: Request, problem: Problem) -> Response:
    return problem.render(request.scope["path"], request.scope["clearhold.trace_id"])


async def _answer_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - what it is registered for
    return _render(request, error)


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    """Answer what the router itself refuses."""
    assert isinstance(error, HTTPException)  # noqa: S101
    if error.status_code == 405:
        allowed = ", ".join(sorted(_methods_of(request)))
        detail = f"{request.method} is not allowed here; allowed: {allowed}."
        return _render(request, Problem(problems.METHOD_NOT_ALLOWED, detail, headers={"Allow": allowed}))
    if error.status_code == 404:
        return _render(request, Problem(problems.NOT_FOUND, "There is nothing at this path."))
    return _render(request, Problem(problems.MALFORMED_REQUEST, "The request cannot be read."))


def _methods_of(request: Request) -> set[str]:
    """Return the methods of every route at the path, HEAD with GET: the router itself names those of the first alone."""
    methods = {
        method
        for route in request.app.state.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods or ()
    }
    return methods | {"HEAD"} if "GET" in methods else methods


async def _answer_invalid_parameters(request: Request, error: Exception) -> Response:
    """Answer query parameters out of their bounds, without repeating them."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    found: Sequence[Any] = error.errors()
    errors = [FieldError("".join(f"/{part}" for part in each["loc"]), sentence(each["msg"])) for each in found]
    detail = f"{errors[0].pointer}: {errors[0].detail}"
    return _render(request, Problem(problems.VALIDATION_FAILED, detail, errors=errors))


async def _answer_database_error(request: Request, error: Exception) -> Response:
    log.warning("database error %s, trace %s", type(error).__name__, request.scope["clearhold.trace_id"])
    request.app.state.services.mend_connections()
    detail = "The database did not answer, or not in time."
    return _render(request, Problem(problems.DATABASE_UNAVAILABLE, detail, headers=RETRY_AFTER))
