"""What an operator can filter by in the Temporal UI. A namespace has few custom attributes: payments and loans share them."""

from __future__ import annotations

from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from domain.payments.payment import Payment
from domain.payments.refund import Refund

DETAILS_END = "---"
"""The last line of a workflow's current details: the Temporal UI cuts off the end of the last paragraph."""

PAYMENT_STATUS = SearchAttributeKey.for_keyword("PaymentStatus")
AMOUNT = SearchAttributeKey.for_int("Amount")
CURRENCY = SearchAttributeKey.for_keyword("Currency")
ACCOUNT_ID = SearchAttributeKey.for_keyword("AccountId")
GATEWAY_NAME = SearchAttributeKey.for_keyword("GatewayName")
NEEDS_REVIEW = SearchAttributeKey.for_bool("NeedsReview")


def of_payment(payment: Payment) -> TypedSearchAttributes:
    """Return the attributes a payment starts with; `Amount` is in minor units."""
    return _of(payment, str(payment.status), payment.amount_minor)


def of_refund(refund: Refund, payment: Payment) -> TypedSearchAttributes:
    """Return the attributes a refund starts with: its own status and amount, and what it shares with its payment."""
    return _of(payment, f"refund_{refund.status}", refund.amount_minor)


def _of(payment: Payment, status: str, amount_minor: int) -> TypedSearchAttributes:
    return TypedSearchAttributes(
        [
            SearchAttributePair(PAYMENT_STATUS, status),
            SearchAttributePair(AMOUNT, amount_minor),
            SearchAttributePair(CURRENCY, payment.currency),
            SearchAttributePair(ACCOUNT_ID, payment.credit_account),
            SearchAttributePair(GATEWAY_NAME, payment.gateway or "ledger"),
            SearchAttributePair(NEEDS_REVIEW, False),
        ]
    )
