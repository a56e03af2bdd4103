"""The problems that only loans have.

Invariant: they stand in the one catalogue of `api.problems`, so that each has its page and an example.
"""

from __future__ import annotations

import re

from api import problems
from api.engine import Refused
from api.problems import RETRY_AFTER, FieldError, Problem, declare
from domain.errors import DomainError
from domain.loans.errors import LoanTermsError

INVALID_LOAN_TERMS = declare(
    "invalid_loan_terms",
    422,
    "The terms of the loan cannot be used",
    "A field of the terms, or of a change of terms, is missing, unknown or does not fit the others; `errors` names it.",
    "Correct the field that `errors` names; nothing was done.",
)
SECOND_PERSON_REQUIRED = declare(
    "second_person_required",
    403,
    "A second person must decide",
    "Whoever proposed something tried to approve or reject it as well.",
    "Have another person decide, under another `Clearhold-Actor`.",
)
PROPOSAL_NOT_OPEN = declare(
    "proposal_not_open",
    409,
    "The proposal is not open",
    "There is no open proposal of this number, or one of this kind is open already.",
    "Read the loan's proposals, and have the open one decided.",
)
NOT_REFERRED = declare(
    "not_referred",
    409,
    "No person is asked to decide",
    "The application is decided by the rules, or was decided before.",
    "Read the loan and act on its present status.",
)
NO_MANDATE = declare(
    "no_mandate",
    422,
    "Nobody said where the money comes from",
    "The loan has no mandate, and no `source` was sent.",
    "Send a `source`: a wallet account or a card token.",
)
PAYMENT_DECLINED = declare(
    "payment_declined",
    402,
    "The money was not to be had",
    "The payment behind this call did not succeed; nothing was booked on the loan.",
    "Use another source or try again later, with a new Idempotency-Key.",
)
PAYOUT_NOT_RETURNED = declare(
    "payout_not_returned",
    402,
    "The payout could not be taken back",
    "The borrower's wallet does not hold what was paid out; nothing was changed on the loan.",
    "Have the wallet funded and try again, with a new Idempotency-Key, or leave the loan active.",
)
LEDGER_REFUSED = declare(
    "ledger_refused",
    409,
    "The ledger refused the booking",
    "The ledger would not book this step, for the reason in `detail`; nothing was written.",
    "Read the loan and the accounts it names, then decide.",
)
CLOCK_NOT_FOUND = declare(
    "test_clock_not_found",
    422,
    "The test clock does not exist",
    "The test clock named in the request is none of the tenant's.",
    "Make one with POST /v1/test_clocks.",
)
INVALID_CLOCK_DATE = declare(
    "invalid_clock_date",
    422,
    "The test clock cannot show this day",
    "A test clock goes forward only, and not too far at once.",
    "Send a later day than the one it shows.",
)
LOAN_INTERRUPTED = declare(
    "loan_interrupted",
    409,
    "The loan's workflow was stopped",
    "The loan is open, but its workflow was ended from outside.",
    "It goes on by itself within minutes: send the call again, with the same key. If it does not, tell who runs the service.",
)

_OF_CODE = {
    **{
        kind.code: kind
        for kind in (
            INVALID_LOAN_TERMS,
            SECOND_PERSON_REQUIRED,
            PROPOSAL_NOT_OPEN,
            NOT_REFERRED,
            NO_MANDATE,
            PAYMENT_DECLINED,
            PAYOUT_NOT_RETURNED,
            LEDGER_REFUSED,
            INVALID_CLOCK_DATE,
        )
    },
    "LedgerRefused": LEDGER_REFUSED,
    "PayoutNotReturned": PAYOUT_NOT_RETURNED,
    "loan_not_booked": problems.ILLEGAL_TRANSITION,
    "domain_error": problems.VALIDATION_FAILED,
}
_FIELD = re.compile(r"(?P<field>[a-z_]+(?:\[\d+\]|\.[a-z_]+)*): ")


def pointer_of(field: str, below: str = "") -> str:
    """Return the JSON pointer of a field as the domain writes it: `fees[0].amount` is `/fees/0/amount`."""
    return below + "".join(f"/{part}" for part in re.split(r"[.\[\]]+", field) if part)


def of_terms(error: DomainError, below: str = "") -> Problem:
    """Return the problem of terms that the domain refuses; `below` is the pointer of the object they stand in."""
    if isinstance(error, LoanTermsError):
        found = FieldError(pointer_of(error.field, below), str(error))
        return Problem(INVALID_LOAN_TERMS, str(error), advice=error.advice, errors=[found])
    return problems.of_domain(error, below or None)


def as_problem(refusal: Refused) -> Exception:
    """Return the problem that a loan's refusal is; one that has none is a defect."""
    known = problems.refusal(refusal.code, str(refusal), refusal.advice)
    if known is not None:
        return known
    kind = _OF_CODE.get(refusal.code)
    if kind is None:
        return refusal
    errors = []
    if kind is INVALID_LOAN_TERMS and (found := _FIELD.match(str(refusal))):
        errors.append(FieldError(pointer_of(found["field"]), str(refusal)))
    headers = RETRY_AFTER if kind.status == 429 else None
    return Problem(kind, str(refusal), advice=refusal.advice, errors=errors, headers=headers)
