"""What clients send to the bank: one model per request body.

Invariant: a body is taken only when every field is known and well formed, and no identifier in it is a card number; a
refusal names the field and never repeats its value.
"""

from datetime import date
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from infra.bank.cards import looks_like_card_number
from infra.bank.errors import Refusal

# ISO 8583 field 4 holds twelve digits.
MAX_AMOUNT_MINOR = 999_999_999_999
MAX_IDENTIFIER = 200
MAX_KEY = 255
MAX_FAULT_TIMES = 1_000_000
MAX_FAULT_DELAY_S = 120.0


def _no_card_number(value: str) -> str:
    if looks_like_card_number(value):
        raise ValueError("holds a card number, which belongs in POST /tokens only")
    return value


Identifier = Annotated[
    str, Field(min_length=1, max_length=MAX_IDENTIFIER, pattern=r"^[!-~]+$"), AfterValidator(_no_card_number)
]
AmountMinor = Annotated[int, Field(gt=0, le=MAX_AMOUNT_MINOR, strict=True)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 alphabetic code")]


class Message(BaseModel):
    """Common rules of every body: nothing unknown, nothing changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class CardFields(Message):
    """The fields of a hosted card form."""

    number: str = Field(max_length=40)
    exp_month: int
    exp_year: int
    cvc: str = Field(max_length=8)


class Order(Message):
    """A request that moves or holds money; `reference` is the client's payment or loan id."""

    reference: Identifier


class AuthorizationOrder(Order):
    """Authorize a card, and capture at once when `capture` is automatic (a purchase in one message)."""

    amount_minor: AmountMinor
    currency: Currency
    token: Identifier
    capture: Literal["automatic", "manual"]
    challenge_id: Identifier | None = None


class CaptureOrder(Order):
    """Capture part of what is authorized; `final` releases the rest."""

    amount_minor: AmountMinor
    currency: Currency
    final: bool = False


class VoidOrder(Order):
    """Release what is authorized and not captured."""


class RefundOrder(Order):
    """Give back part of what was captured."""

    amount_minor: AmountMinor
    currency: Currency


class ReversalOrder(Order):
    """Undo the authorization of another key, or bar it when it never arrived."""

    original_key: Annotated[str, Field(min_length=1, max_length=MAX_KEY, pattern=r"^[!-~]+$")]


class PayoutOrder(Order):
    """Transfer out to an account token or an IBAN."""

    amount_minor: AmountMinor
    currency: Currency
    account: Identifier


class CollectionOrder(Order):
    """Direct debit under a mandate."""

    amount_minor: AmountMinor
    currency: Currency
    mandate: Identifier


class ChallengeOutcome(Message):
    """What the cardholder did with a challenge."""

    outcome: Literal["authenticated", "failed"]


class Applicant(Message):
    """Who is screened; `country` is an ISO 3166-1 alpha-2 code."""

    reference: Identifier
    name: str = Field(min_length=1, max_length=200)
    date_of_birth: date | None = None
    country: str = Field(pattern=r"^[A-Z]{2}$")


M = TypeVar("M", bound=Message)


def parse(model: type[M], body: bytes) -> M:
    """Read a body as `model`; raises Refusal 422 `invalid_request` naming each wrong field."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        problems = "; ".join(
            f"{_field(model, problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_context=False, include_input=False)
        )
        raise Refusal(422, "invalid_request", problems) from None


def _field(model: type[Message], location: tuple[int | str, ...]) -> str:
    """Name a wrong field; a name the client made up is not repeated, since it may be a card number."""
    if not location:
        return "body"
    name = str(location[0])
    return name if name in model.model_fields else "unknown field"
