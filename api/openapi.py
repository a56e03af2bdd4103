"""The OpenAPI document.

Invariant: it is complete: every body, header, answer and problem of every route, with examples; a fuzzer holds the API to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.accounts.views import CreateAccount
from api.documentation import ProblemView
from api.loans.command_requests import (
    ChargeBody,
    DecideProposalBody,
    EmptyBody,
    NoteBody,
    PauseBody,
    PayoffBody,
    RecoverBody,
    RepayBody,
    RestructureBody,
    ReverseBody,
    WaiveBody,
    WithdrawBody,
)
from api.loans.requests import AdvanceClockBody, ApplyForLoan, CreateClock
from api.loans.terms import QuoteBody
from api.payments.requests import (
    CancelPaymentBody,
    CapturePaymentBody,
    ConfirmPaymentBody,
    CreatePayment,
    CreateRefund,
    ReviewPayment,
    ReviewRefund,
)

TITLE = "Clearhold"
VERSION = "1"
DESCRIPTION = """
Payments as durable workflows over a double-entry ledger.

**Keys.** Every call under `/v1` carries `Authorization: Bearer ch_…`. A key belongs to one tenant; what belongs to another
does not exist for it (404).

**Once.** Every POST that moves money carries an `Idempotency-Key`. The same key with the same request gets the stored answer,
with `Idempotent-Replayed: true`; with another request 422; while the first call is under way 409 with `Retry-After`. Only
successes are stored. After a timeout, a 202, a 409 or a 5xx, repeat the call with its key: the money moves once, and you get the
outcome. A 4xx means that nothing was begun; correct the request and send it again.

**HEAD** is answered wherever GET is, with the status and headers of GET and no body.

**Waiting.** A call waits for the outcome. `Prefer: wait=N` bounds that; past it the answer is 202 with `Location`, and the work
goes on. `wait=0` only hands the work over: its answer is always 202, also for work that is done a moment later. A wait beyond the
API's own bound is cut to it; `Preference-Applied` of a 202 says what was applied.

**Declines.** A payment that the issuer declines is an answer about a payment that exists (201, `status` and `failure` say it),
not an HTTP error.

**Amounts** are integers in the currency's minor unit: 2933 with USD is 29.33 USD, 500 with JPY is 500 yen, 1500 with KWD is
1.500 dinar. The terms of a loan, quoted or applied for, are the exception: there amounts and rates are decimal strings in major
units. So a string is always in major units, an integer in minor units.

**Loans.** What the lender's people do names them in `Clearhold-Actor`. Manual approval, restructuring and write-off need two: one
call proposes, and another person approves the proposal. A rejection is an answer about a loan that exists, as a decline is.

**Card numbers** never belong here. A request that holds 13 to 19 digits which look like one (range and check digit fit; spaces
and dashes do not hide it), in the body, path, query or a header described here, is refused with 422 and neither repeated, logged
nor stored.
About one in twenty ids made only of that many digits would be refused by chance: put a letter into yours. UUIDs and hexadecimal
digests pass.

**Problems** follow RFC 9457: `type` and `code` are stable, `detail` says what happened, `advice` what to do, `trace_id` (also
the header `Trace-Id` of every answer) names the call.
"""
TAGS = [
    {"name": "payments", "description": "Create, confirm, capture, cancel, read."},
    {"name": "refunds", "description": "Give money back."},
    {"name": "accounts", "description": "Accounts of the ledger, what they have, and how it came about."},
    {"name": "loans", "description": "Quote, apply, accept, repay, read: the borrower's side of a loan."},
    {"name": "lending", "description": "What the lender's people decide about a loan; some of it takes two of them."},
    {"name": "test clocks", "description": "Let months pass in seconds for the loans that follow a clock."},
    {"name": "operators", "description": "For people who look after payments."},
    {"name": "health", "description": "For machines that look after processes."},
]
_BODIES: tuple[type[BaseModel], ...] = (
    CreatePayment,
    ConfirmPaymentBody,
    CapturePaymentBody,
    CancelPaymentBody,
    CreateRefund,
    ReviewPayment,
    ReviewRefund,
    CreateAccount,
    QuoteBody,
    ApplyForLoan,
    EmptyBody,
    NoteBody,
    WithdrawBody,
    RepayBody,
    PayoffBody,
    RecoverBody,
    ReverseBody,
    WaiveBody,
    PauseBody,
    RestructureBody,
    DecideProposalBody,
    ChargeBody,
    CreateClock,
    AdvanceClockBody,
)


def document_of(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Return the function that FastAPI calls for the document; it is built once."""

    def build() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=TITLE, version=VERSION, description=DESCRIPTION, routes=app.routes, tags=TAGS)
            _complete(document)
            app.openapi_schema = document
        return app.openapi_schema

    return build


def _complete(document: dict[str, Any]) -> None:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    _, bodies = models_json_schema(
        [(model, "validation") for model in _BODIES], ref_template="#/components/schemas/{model}"
    )
    _, answers = models_json_schema([(ProblemView, "serialization")], ref_template="#/components/schemas/{model}")
    schemas.update(bodies["$defs"])
    schemas.update(answers["$defs"])
    components["securitySchemes"] = {
        "apiKey": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key, `ch_<environment>_<prefix>_<secret>`; `clearhold keys create` makes one.",
        }
    }
