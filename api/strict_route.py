"""A route that takes the query parameters it describes, each once, and no others.

Invariant: a misspelt filter is refused, as a misspelt field of a body is; it never silently means "everything".
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from api import problems
from api.problems import FieldError, Problem

MAX_NAME = 40
"""Most of an unknown name that is repeated."""


class StrictRoute(APIRoute):
    """For `APIRouter(route_class=…)`; a request without a query costs nothing more."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler with the check before it."""
        handle = super().get_route_handler()
        known = frozenset(parameter.alias for parameter in self.dependant.query_params)

        async def handle_known(request: Request) -> Response:
            if request.scope["query_string"]:
                _require_known(request, known)
            return await handle(request)

        return handle_known


def _require_known(request: Request, known: frozenset[str]) -> None:
    names = [name for name, _ in request.query_params.multi_items()]
    for name in dict.fromkeys(names):
        if name not in known:
            takes = ", ".join(sorted(known)) or "none"
            raise _invalid(name, f"There is no such query parameter; this path takes {takes}.")
        if names.count(name) > 1:
            raise _invalid(name, "The query parameter comes twice.")


def _invalid(name: str, rule: str) -> Problem:
    pointer = "/query/" + name[:MAX_NAME].replace("~", "~0").replace("/", "~1")
    return Problem(problems.VALIDATION_FAILED, f"{pointer}: {rule}", errors=[FieldError(pointer, rule)])
