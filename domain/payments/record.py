"""What one step of a payment writes in one transaction: the booking, the row clients read, its operations, its timeline.

Invariant: all of a record is written or none of it, and writing it again changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from domain.ids import effect_key
from domain.ledger.entries import JournalEntry
from domain.payments.payment import Payment
from domain.payments.status import OPERATION_TRANSITIONS, OperationAction, OperationKind, OperationStatus


@dataclass(frozen=True, slots=True)
class Operation:
    """One request to a gateway under its idempotency key. `owner_id` is the payment or refund that asked for it."""

    key: str
    owner_id: str
    kind: OperationKind
    amount_minor: int
    status: OperationStatus = OperationStatus.PENDING
    gateway_reference: str | None = None
    error_code: str | None = None

    def after(self, action: OperationAction, reference: str | None = None, error: str | None = None) -> Operation:
        """Return the operation after its answer (or the lack of one)."""
        return Operation(
            self.key,
            self.owner_id,
            self.kind,
            self.amount_minor,
            OPERATION_TRANSITIONS.after(self.status, action),
            reference or self.gateway_reference,
            error,
        )


def authorization_of(payment: Payment) -> Operation:
    """Return the request for the present attempt's authorization, as it stands before its answer."""
    key = effect_key(payment.id, "authorize", payment.attempt)
    return Operation(key, payment.id, OperationKind.AUTHORIZE, payment.amount_minor)


def capture_of(payment: Payment) -> Operation:
    """Return the request for the capture that is under way, as it stands before its answer."""
    key = effect_key(payment.id, "capture", payment.captures)
    return Operation(key, payment.id, OperationKind.CAPTURE, payment.pending_capture_minor)


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """One line of a payment's story. `key` makes it unique, `name` is stable, `text` is for people."""

    key: str
    name: str
    text: str
    at: datetime
    owner_id: str
    amount_minor: int | None = None
    entry_key: str | None = None
    gateway_reference: str | None = None


@dataclass(frozen=True, slots=True)
class PaymentRecord:
    """One atomic step. `check_limits` on the first: the limits are checked, and refuse the whole record.

    `moves` says that it changes the payment: then it is written only while the row is behind it. A note leaves the row as it is.
    """

    payment: Payment
    events: tuple[TimelineEvent, ...]
    entry: JournalEntry | None = None
    operations: tuple[Operation, ...] = ()
    check_limits: bool = False
    moves: bool = True


LIMIT_EXCEEDED = "limit_exceeded"
OVERTAKEN = "overtaken"
"""Results that a record can have beside the ledger's own. Overtaken: the row is where this step would bring it, or further, by
other steps. Nothing was written."""


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """The answer to a record: a LedgerResult name, LIMIT_EXCEEDED or OVERTAKEN; `detail` says more when it was refused."""

    result: str
    detail: str = ""

    @property
    def booked(self) -> bool:
        """Whether the record stands."""
        return self.result in ("created", "exists")

    @property
    def is_new(self) -> bool:
        """Whether it was written just now. If not, what follows it may have been done already, by a run that was lost."""
        return self.result == "created"
