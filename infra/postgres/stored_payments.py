"""Rows of `payments` and `refunds` as the domain's objects: the one list of columns that every read uses.

Invariant: the columns are read in the order of the dataclass fields they fill, and by position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from domain.payments.payment import CaptureMethod, Payment, PaymentKind
from domain.payments.refund import Refund, RefundStatus
from domain.payments.status import PaymentStatus

_PAYMENT_FIELDS = tuple(field.name for field in fields(Payment))
_REFUND_FIELDS = tuple(field.name for field in fields(Refund))
_TOTALS = ("amount_refunded_minor", "amount_refunding_minor", "updated_at")
_REFUND_STATUS = _REFUND_FIELDS.index("status")

PAYMENT_COLUMNS = ", ".join(f"p.{name}" for name in (*_PAYMENT_FIELDS, *_TOTALS))
"""Select list for `stored_payment`; the table's alias is `p`."""

PAYMENT_WIDTH = len(_PAYMENT_FIELDS) + len(_TOTALS)

REFUND_COLUMNS = ", ".join(f"r.{name}" for name in _REFUND_FIELDS)
"""Select list for `stored_refund`; the table's alias is `r`."""


@dataclass(frozen=True, slots=True)
class StoredPayment:
    """A payment's row. Amounts in minor units: refunded for good, and reserved by refunds under way."""

    payment: Payment
    amount_refunded_minor: int
    amount_refunding_minor: int
    updated_at: datetime

    @property
    def amount_refundable_minor(self) -> int:
        """What may still be refunded."""
        return self.payment.amount_captured_minor - self.amount_refunded_minor - self.amount_refunding_minor


def payment_from_row(**row: Any) -> Payment:
    """Build a payment from the columns of its row, by name."""
    row["kind"] = PaymentKind(row["kind"])
    row["status"] = PaymentStatus(row["status"])
    row["commands"] = tuple(row["commands"])
    row["capture_method"] = CaptureMethod(row["capture_method"])
    return Payment(**row)


def stored_payment(row: Sequence[Any]) -> StoredPayment:
    """Build a payment from PAYMENT_COLUMNS."""
    payment = payment_from_row(**dict(zip(_PAYMENT_FIELDS, row, strict=False)))
    return StoredPayment(payment, *row[len(_PAYMENT_FIELDS) :])


def stored_refund(row: Sequence[Any]) -> Refund:
    """Build a refund from REFUND_COLUMNS."""
    values = list(row)
    values[_REFUND_STATUS] = RefundStatus(values[_REFUND_STATUS])
    return Refund(*values)
