"""What clients send about payments and refunds.

Invariant: unknown fields are refused, so that a misspelt one is never silently ignored; amounts are integers in minor units.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    StrictBool,
    StrictFloat,
    StrictInt,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticCustomError

from domain.errors import DomainError
from domain.money import MAX_AMOUNT_MINOR, currencies, exponent_of
from domain.payments.payment import CaptureMethod
from domain.payments.status import PaymentStatus
from workflows.payments.messages import PaymentTimers

MAX_METADATA_ENTRIES = 20
MAX_ATTEMPTS_ALLOWED = 10
DAY_S = 24 * 3600
ACCOUNT_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""Ids that clients may give to accounts; ours for gateways contain a colon."""


def _is_known_currency(code: str) -> str:
    try:
        exponent_of(code)
    except DomainError as error:
        raise PydanticCustomError("unknown_currency", "{reason}", {"reason": str(error)}) from None
    return code


def _is_integer_amount(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int):
        if isinstance(value, float) and abs(value) > MAX_AMOUNT_MINOR:
            raise PydanticCustomError(
                "invalid_amount", f"The amount is beyond the largest one, {MAX_AMOUNT_MINOR} minor units."
            )
        raise PydanticCustomError(
            "invalid_amount",
            "An amount is an integer in the currency's minor unit, without a decimal point: 29.33 USD is 2933, "
            "500 JPY is 500, 1.500 KWD is 1500.",
        )
    return value


def _can_be_paid(minor: int) -> int:
    if minor <= 0:
        raise PydanticCustomError("invalid_amount", "An amount must be greater than zero.")
    if minor > MAX_AMOUNT_MINOR:
        raise PydanticCustomError(
            "invalid_amount", f"The amount is beyond the largest one, {MAX_AMOUNT_MINOR} minor units."
        )
    return minor


Amount = Annotated[
    StrictInt,
    Field(json_schema_extra={"minimum": 1, "maximum": MAX_AMOUNT_MINOR}, examples=[2933]),
    BeforeValidator(_is_integer_amount),
    AfterValidator(_can_be_paid),
]
"""A positive integer in minor units."""

Currency = Annotated[
    str, Field(json_schema_extra={"enum": [*currencies()]}, examples=["USD"]), AfterValidator(_is_known_currency)
]
AccountId = Annotated[str, StringConstraints(pattern=ACCOUNT_ID), Field(examples=["acct_merchant"])]
Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{4,128}$"), Field(examples=["tok_5f0c1b8e"])]
_TEXT = Field(json_schema_extra={"pattern": "^[^\\u0000]*$"})
"""A text has no NUL character; `api.body` sees to that."""

ShortText = Annotated[str, StringConstraints(max_length=200), _TEXT]
LongText = Annotated[str, StringConstraints(max_length=1000), _TEXT]
CustomerId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$")]
MetadataKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")]
MetadataValue = Annotated[str, StringConstraints(max_length=500)]
Metadata = Annotated[
    dict[MetadataKey, MetadataValue],
    Field(max_length=MAX_METADATA_ENTRIES),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": MAX_METADATA_ENTRIES,
            "propertyNames": {"pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$"},
            "additionalProperties": {"type": "string", "maxLength": 500, "pattern": "^[^\\u0000]*$"},
        }
    ),
]
"""A client's own names and values; written out because the generated schema would let any other name pass."""


class WireModel(BaseModel):
    """What is common to all bodies."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CardMethod(WireModel):
    """A card, by the token that the gateway gave for it; never its number."""

    type: Literal["card"]
    token: Token


class WalletMethod(WireModel):
    """Another account of the ledger, which pays."""

    type: Literal["wallet"]
    account: AccountId


PaymentMethod = Annotated[CardMethod | WalletMethod, Field(discriminator="type")]


def source_of(method: CardMethod | WalletMethod) -> str:
    """Return the token or the account that pays."""
    return method.token if isinstance(method, CardMethod) else method.account


class Timers(WireModel):
    """How long the payment waits for somebody, in seconds."""

    challenge_timeout_s: Annotated[StrictInt | StrictFloat, Field(ge=1, le=DAY_S)] = 15 * 60
    """For the cardholder to answer the issuer's challenge; then the payment fails."""
    authorization_lifetime_s: Annotated[StrictInt | StrictFloat, Field(ge=1, le=30 * DAY_S)] = 7 * DAY_S
    """For a capture; then the authorization is released."""
    abandon_after_s: Annotated[StrictInt | StrictFloat, Field(ge=1, le=30 * DAY_S)] = DAY_S
    """For a payment method or a confirmation; then the payment is canceled."""

    def to_message(self) -> PaymentTimers:
        """Return them as the workflow takes them."""
        return PaymentTimers(
            abandon_after_s=float(self.abandon_after_s),
            challenge_timeout_s=float(self.challenge_timeout_s),
            authorization_lifetime_s=float(self.authorization_lifetime_s),
        )


class CreatePayment(WireModel):
    """A payment to make."""

    currency: Currency = Field(description="ISO 4217 code.")
    amount: Amount = Field(description="Integer in the currency's minor unit: 2933 is 29.33 USD.")
    account: AccountId = Field(description="The account that is paid.")
    payment_method: PaymentMethod | None = Field(
        default=None, description="What pays. None: a card payment whose method comes with a later confirm."
    )
    capture_method: CaptureMethod = Field(
        default=CaptureMethod.AUTOMATIC, description="`manual` only authorizes; capture later."
    )
    confirm: StrictBool = Field(default=True, description="Whether to try at once, when there is a payment method.")
    customer: CustomerId | None = Field(default=None, description="Your id of who pays; daily limits count by it.")
    description: LongText = Field(default="", description="Your words; shown to operators.")
    metadata: Metadata = Field(default_factory=dict, description="Your own names and values; returned as they are.")
    attempts_allowed: Annotated[StrictInt, Field(ge=1, le=MAX_ATTEMPTS_ALLOWED)] = Field(
        default=1, description="How many payment methods may be tried; after the last decline the payment is `failed`."
    )
    timers: Timers = Field(default_factory=Timers, description="How long it waits for somebody.")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "amount": 2933,
                    "currency": "USD",
                    "account": "acct_merchant",
                    "payment_method": {"type": "card", "token": "tok_5f0c1b8e"},
                    "description": "Order A-1001",
                },
                {
                    "amount": 500,
                    "currency": "JPY",
                    "account": "acct_shop",
                    "payment_method": {"type": "wallet", "account": "acct_guest"},
                    "capture_method": "manual",
                    "metadata": {"order": "A-1002"},
                },
            ]
        }
    )

    @field_validator("payment_method")
    @classmethod
    def _pays_another(cls, method: CardMethod | WalletMethod | None, info: ValidationInfo) -> Any:
        if isinstance(method, WalletMethod) and method.account == info.data.get("account"):
            raise PydanticCustomError("accounts_must_differ", "A wallet cannot pay itself: name two accounts.")
        return method


class ConfirmPaymentBody(WireModel):
    """Begin an attempt, with another payment method if one is given."""

    payment_method: PaymentMethod | None = Field(
        default=None, description="What pays; needed when the payment requires a payment method."
    )

    model_config = ConfigDict(
        json_schema_extra={"examples": [{}, {"payment_method": {"type": "card", "token": "tok_5f0c1b8e"}}]}
    )


class CapturePaymentBody(WireModel):
    """Capture part or all of what is authorized."""

    amount: Amount | None = Field(default=None, description="In minor units; none: all that is left.")
    final: StrictBool = Field(
        default=True, description="Whether to release what is left; false keeps it for further captures."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"amount": 1000, "final": False}]})


class CancelPaymentBody(WireModel):
    """Give up what is not captured."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=200), _TEXT] = Field(
        default="requested_by_client", description="Why, for the timeline."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "customer changed their mind"}]})


class CreateRefund(WireModel):
    """Give money back."""

    amount: Amount | None = Field(default=None, description="In minor units; none: all that is left to refund.")
    reason: ShortText = Field(default="", description="Why, for the timeline.")

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"amount": 500, "reason": "damaged item"}]})


Note = Annotated[str, StringConstraints(min_length=1, max_length=500), _TEXT]
Outcome = Literal["succeeded", "partially_captured", "canceled", "failed", "expired"]


class RetryReviewBody(WireModel):
    """Try again what could not be undone, or ask the gateway again."""

    action: Literal["retry"]
    note: Annotated[str, StringConstraints(max_length=500), _TEXT] = Field(default="", description="For the timeline.")


class ResolvePaymentBody(WireModel):
    """Close the payment with what was found outside."""

    action: Literal["resolve"]
    outcome: Outcome = Field(description="How it ended.")
    note: Note = Field(description="What you found, and where; for the timeline.")

    def final_status(self) -> PaymentStatus:
        """Return the outcome as a status."""
        return PaymentStatus(self.outcome)


class ResolveRefundBody(WireModel):
    """Close the refund with what was found outside."""

    action: Literal["resolve"]
    succeeded: StrictBool = Field(description="Whether the money went back.")
    note: Note = Field(description="What you found, and where; for the timeline.")


class ReviewPayment(RootModel[Annotated[RetryReviewBody | ResolvePaymentBody, Field(discriminator="action")]]):
    """What an operator decides about a payment that needs review."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"action": "retry", "note": "the gateway is back"},
                {"action": "resolve", "outcome": "canceled", "note": "void seen in the gateway's portal"},
            ]
        }
    )


class ReviewRefund(RootModel[Annotated[RetryReviewBody | ResolveRefundBody, Field(discriminator="action")]]):
    """What an operator decides about a refund that needs review."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"action": "resolve", "succeeded": True, "note": "seen on the statement"}]}
    )
