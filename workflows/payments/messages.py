"""What workflows are started with, told and asked: their wire format, so fields are only ever added, with defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from domain.payments.payment import Payment
from domain.payments.refund import Refund
from domain.payments.status import PaymentStatus


@dataclass(frozen=True, slots=True)
class PaymentTimers:
    """How long a payment waits for somebody, in seconds."""

    abandon_after_s: float = 24 * 3600
    """For a payment method or a confirmation."""
    challenge_timeout_s: float = 15 * 60
    """For the cardholder to answer a challenge."""
    authorization_lifetime_s: float = 7 * 24 * 3600
    """For a capture; card networks let an authorization live about a week."""

    @property
    def abandon_after(self) -> timedelta:
        """As a duration."""
        return timedelta(seconds=self.abandon_after_s)

    @property
    def challenge_timeout(self) -> timedelta:
        """As a duration."""
        return timedelta(seconds=self.challenge_timeout_s)

    @property
    def authorization_lifetime(self) -> timedelta:
        """As a duration."""
        return timedelta(seconds=self.authorization_lifetime_s)


@dataclass(frozen=True, slots=True)
class PaymentOrder:
    """Start a payment. With `recover`, its earlier run was terminated: undo what that run may have left behind."""

    payment: Payment
    confirm: bool = True
    timers: PaymentTimers = field(default_factory=PaymentTimers)
    recover: bool = False


@dataclass(frozen=True, slots=True)
class ConfirmPayment:
    """Begin an attempt, with another payment method if one is given."""

    payment_method: str | None = None


@dataclass(frozen=True, slots=True)
class CapturePayment:
    """Capture `amount_minor` (None: all that is left). `final=False` keeps the rest of the authorization for later captures."""

    amount_minor: int | None = None
    final: bool = True


@dataclass(frozen=True, slots=True)
class CancelPayment:
    """Give up what is not captured."""

    reason: str = "requested_by_client"


@dataclass(frozen=True, slots=True)
class ElapsedDeadline:
    """The time of a waiting payment is up. Sent by the workflow to itself."""


@dataclass(frozen=True, slots=True)
class RetryReview:
    """An operator asks to try again what could not be undone."""

    actor: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class ResolveReview:
    """An operator states how the payment ended outside; `outcome` is a final payment status."""

    actor: str
    outcome: PaymentStatus
    note: str


PaymentCommand = ConfirmPayment | CapturePayment | CancelPayment | ElapsedDeadline | RetryReview | ResolveReview


@dataclass(frozen=True, slots=True)
class PaymentProgress:
    """The live state of a payment, straight from its workflow."""

    payment: Payment
    step: str
    waits_for: str
    deadline: datetime | None
    compensations: list[str]
    waiting_commands: int


@dataclass(frozen=True, slots=True)
class RefundOrder:
    """Start a refund of a payment as it stands."""

    refund: Refund
    payment: Payment


@dataclass(frozen=True, slots=True)
class ResolveRefund:
    """An operator states whether the refund reached the cardholder."""

    actor: str
    succeeded: bool
    note: str


@dataclass(frozen=True, slots=True)
class RefundProgress:
    """The live state of a refund, straight from its workflow."""

    refund: Refund
    step: str
    waits_for: str
