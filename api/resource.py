"""Reading one resource: what is written of it or, while it has no row yet, what its caller was told when it was accepted."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from api import problems
from api.json_answers import MEDIA_TYPE, to_json
from api.services import Services

WAITING = "waiting"
"""The step of a workflow that does nothing until somebody asks for something, or a day comes."""


async def written_or_accepted(
    services: Services, tenant_id: str, kind: str, resource_id: str, written: dict[str, Any] | None
) -> Response:
    """Answer with the view of the row, or with the stored answer of the call. Raises Problem 404 when there is neither."""
    body = await services.keys.accepted(tenant_id, resource_id) if written is None else to_json(written)
    if body is None:
        raise problems.not_found(kind, resource_id)
    return Response(body, media_type=MEDIA_TYPE)
