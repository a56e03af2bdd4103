"""Ids and names that come in a path or a header.

Invariant: an id that cannot be one of ours is unknown, like any other that does not exist: the answer is 404, and the database
is not asked.
"""

from __future__ import annotations

import re

from starlette.requests import Request

from api import problems
from api.problems import FieldError, Problem

_OURS = {
    "payment": re.compile(r"pay_[a-z0-9]{1,60}"),
    "refund": re.compile(r"re_[a-z0-9]{1,60}"),
    "loan": re.compile(r"ln_[a-z0-9]{1,60}"),
    "test clock": re.compile(r"clk_[a-z0-9]{1,60}"),
    "account": re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}"),
}
ACTOR_HEADER = "Clearhold-Actor"
"""Names whoever acts for the operator or the lender, until there is authentication of people."""
_ACTOR = re.compile(r"[!-~](?:[ -~]{0,98}[!-~])?")


def require_id(kind: str, resource_id: str) -> str:
    """Return the id. Raises Problem 404 when it cannot be one of that kind: payment, refund, loan, test clock or account."""
    if _OURS[kind].fullmatch(resource_id) is None:
        raise problems.not_found(kind)
    return resource_id


def actor_of(request: Request) -> str:
    """Return who decides, by `ACTOR_HEADER`. Raises Problem 422 when the header is missing or no short visible text."""
    actors = request.headers.getlist(ACTOR_HEADER)
    if len(actors) != 1 or _ACTOR.fullmatch(actors[0]) is None:
        rule = f"Say who decides in one header `{ACTOR_HEADER}`: 1 to 100 visible ASCII characters."
        raise Problem(problems.VALIDATION_FAILED, rule, errors=[FieldError(f"/header/{ACTOR_HEADER}", rule)])
    return actors[0]
