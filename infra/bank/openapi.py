"""How routes that read their bodies by hand describe them in the OpenAPI document.

Invariant: the description is made from the model the route parses with, so the two cannot differ.
"""

from typing import Any

from infra.bank.messages import MAX_KEY, Message


def body_of(model: type[Message], *, keyed: bool = True) -> dict[str, Any]:
    """Describe a route's body, and its idempotency key, in the OpenAPI document."""
    described: dict[str, Any] = {
        "requestBody": {"required": True, "content": {"application/json": {"schema": model.model_json_schema()}}}
    }
    if keyed:
        schema = {"type": "string", "minLength": 1, "maxLength": MAX_KEY}
        described["parameters"] = [{"name": "Idempotency-Key", "in": "header", "required": True, "schema": schema}]
    return described
