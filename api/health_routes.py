"""Liveness, readiness, metrics and the pages of problems: what operators and machines ask, without a key.

Invariant: none of it takes a place or a connection that a payment needs, so it answers under any load.
"""

from __future__ import annotations

from html import escape
from typing import Literal

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.responses import HTMLResponse, Response

from api import problems
from api.documentation import TRACE_HEADER, answers, problems_of
from api.problems import CATALOGUE, ProblemType
from api.readiness import ReadinessView
from api.services import services_of

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"]


@router.get(
    "/livez",
    operation_id="get_liveness",
    summary="Whether the process lives",
    response_model=Alive,
    responses={**answers(200, "It lives."), **problems_of(problems.CARD_NUMBER_REFUSED)},
)
async def get_liveness() -> Response:
    """Answer whenever the process can answer at all."""
    return Response(b'{"status":"alive"}', media_type="application/json")


@router.get(
    "/readyz",
    operation_id="get_readiness",
    summary="Whether the process can serve",
    response_model=ReadinessView,
    responses={
        **answers(200, "Database and Temporal answer."),
        503: {
            "description": "A dependency is down; the answer says which.",
            "model": ReadinessView,
            "headers": TRACE_HEADER,
        },
        **problems_of(problems.CARD_NUMBER_REFUSED),
    },
)
async def get_readiness(request: Request) -> Response:
    """Say which dependency is down, if one is. Workers are told for information."""
    found = await services_of(request).readiness.look()
    status = 200 if found.status == "ready" else 503
    return Response(found.model_dump_json(), status, media_type="application/json")


@router.get("/metrics", include_in_schema=False)
async def get_metrics(request: Request) -> Response:
    """Return the metrics of this process for Prometheus."""
    if not services_of(request).settings.metrics_enabled:
        raise problems.Problem(problems.NOT_FOUND, "There is nothing at this path.")
    return Response(request.app.state.metrics.render(), media_type=CONTENT_TYPE_LATEST)


@router.get("/problems", include_in_schema=False)
async def list_problem_types() -> Response:
    """List every problem type."""
    rows = "".join(
        f'<li><a href="/problems/{kind.code}">{kind.code}</a> ({kind.status}): {escape(kind.title)}</li>'
        for kind in CATALOGUE.values()
    )
    return HTMLResponse(_page("Problems", f"<ul>{rows}</ul>"))


@router.get("/problems/{code}", include_in_schema=False)
async def show_problem_type(code: str) -> Response:
    """Explain one problem type."""
    kind = CATALOGUE.get(code)
    if kind is None:
        raise problems.Problem(problems.NOT_FOUND, "There is no problem type of this name; /problems lists them.")
    return HTMLResponse(_page(kind.title, _explain(kind)))


def _explain(kind: ProblemType) -> str:
    return (
        f"<p>HTTP {kind.status}, <code>{kind.code}</code></p><p>{escape(kind.meaning)}</p>"
        f'<p><b>What to do:</b> {escape(kind.advice)}</p><p><a href="/problems">All problems</a></p>'
    )


def _page(title: str, content: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        "<style>body{font:16px/1.5 system-ui;max-width:44rem;margin:3rem auto;padding:0 1rem}</style></head>"
        f"<body><h1>{escape(title)}</h1>{content}</body></html>"
    )
