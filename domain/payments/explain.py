"""Codes in words: what happened, for the timeline, the client and the operator.

Invariant: a code is stable and safe to branch on; its words may change at any time.
"""

from __future__ import annotations

from domain.ledger.entries import LedgerResult
from domain.money import Money
from domain.payments.payment import CaptureMethod, Payment, PaymentKind
from domain.payments.record import LIMIT_EXCEEDED, RecordOutcome
from domain.payments.refund import Refund

_DECLINES = {
    "card_declined": "The issuer declined the card without a reason; another card may work.",
    "insufficient_funds": "There is not enough money; use another payment method or a smaller amount.",
    "expired_card": "The card has expired; use another card.",
    "incorrect_cvc": "The card's security code is wrong; enter it again.",
    "processing_error": "The issuer could not process the card; try again in a moment.",
    "authentication_failed": "The cardholder did not authenticate; try again or use another card.",
    "lost_card": "The issuer declined the card; use another card.",
    "stolen_card": "The issuer declined the card; use another card.",
    "limit_exceeded": "The payment exceeds a limit on amount or on what one customer may pay in a day.",
    "account_not_found": "One of the accounts does not exist.",
    "account_closed": "One of the accounts is closed.",
    "currency_mismatch": "The accounts are not both of the payment's currency.",
}

_REFUSALS = {
    LedgerResult.EXCEEDS_CREDITS: "insufficient_funds",
    LedgerResult.EXCEEDS_DEBITS: "insufficient_funds",
    LedgerResult.DEBIT_ACCOUNT_NOT_FOUND: "account_not_found",
    LedgerResult.CREDIT_ACCOUNT_NOT_FOUND: "account_not_found",
    LedgerResult.DEBIT_ACCOUNT_CLOSED: "account_closed",
    LedgerResult.CREDIT_ACCOUNT_CLOSED: "account_closed",
    LedgerResult.CURRENCY_MISMATCH: "currency_mismatch",
}


def decline(code: str) -> str:
    """Say a decline code in words."""
    return _DECLINES.get(code, f"The payment was declined ({code.replace('_', ' ')}).")


def refusal_code(outcome: RecordOutcome) -> str:
    """Return the failure code of a payment whose first booking was refused."""
    if outcome.result == LIMIT_EXCEEDED:
        return LIMIT_EXCEEDED
    try:
        return _REFUSALS.get(LedgerResult(outcome.result), f"ledger_{outcome.result}")
    except ValueError:
        return outcome.result


def refusal(outcome: RecordOutcome) -> str:
    """Say why the ledger did not book a step, and which step."""
    why = refusal_code(outcome).replace("_", " ")
    return f"{why} ({outcome.detail})." if outcome.detail else f"{why}."


def is_funds_refusal(outcome: RecordOutcome) -> bool:
    """Tell whether another payment method could succeed where this one was refused."""
    return refusal_code(outcome) == "insufficient_funds"


def amount(minor: int, currency: str) -> str:
    """Say an amount: `29.33 USD`."""
    return str(Money(minor, currency))


def shortfall(ended: Payment | Refund) -> str:
    """Say in a sentence why a payment or refund did not succeed."""
    said = ended.failure_message or f"it is {ended.status}"
    return said.removesuffix(".") + "."


def summary(payment: Payment) -> str:
    """Say in one line what a payment is; the Temporal UI shows it in its list."""
    how = "Card payment" if payment.kind is PaymentKind.CARD else "Wallet payment"
    when = "" if payment.capture_method is CaptureMethod.AUTOMATIC else ", captured by hand"
    return f"{how} of {payment.money} to {payment.credit_account}{when}"
