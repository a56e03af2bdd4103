"""A payment: what a client asked for and where it stands.

Invariant: every change goes through the transition table and raises `version` by one, so a stale copy can never overwrite a
newer row; captured never exceeds the amount asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from domain.errors import IllegalTransition, InvalidAmount
from domain.money import Money
from domain.payments.status import PAYMENT_TRANSITIONS, RESOLUTIONS, PaymentAction, PaymentStatus

MAX_CAPTURES = 50
"""Captures of one payment: keeps its history far below Temporal's limits."""

MAX_ATTEMPTS = 20
"""Attempts of one payment, those that a challenge interrupted included."""


class PaymentKind(StrEnum):
    """How the money comes: through a card gateway, or from another account of the ledger."""

    CARD = "card"
    WALLET = "wallet"


class CaptureMethod(StrEnum):
    """Whether an authorized payment is captured at once or when the client says so."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment. Amounts are minor units of `currency`.

    `debit_account` pays and `credit_account` is paid; for a card the debit account is the gateway's clearing account.
    `attempt` numbers the tries to authorize, `captures` the captures begun; both are part of effect keys. While a capture is
    under way, `pending_capture_minor` is its amount and `pending_capture_final` says whether it gives up the rest. `trace_id` is
    the trace of the call that created it. `commands` are the ids of the clients' commands that captured or confirmed: whoever
    meets one of them again knows that it was carried out.
    """

    tenant_id: str
    id: str
    kind: PaymentKind
    amount_minor: int
    currency: str
    capture_method: CaptureMethod
    debit_account: str
    credit_account: str
    created_at: datetime
    status: PaymentStatus = PaymentStatus.REQUIRES_PAYMENT_METHOD
    gateway: str = ""
    payment_method: str | None = None
    customer: str | None = None
    description: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    attempts_allowed: int = 1
    attempt: int = 0
    captures: int = 0
    pending_capture_minor: int = 0
    pending_capture_final: bool = False
    amount_authorized_minor: int = 0
    amount_captured_minor: int = 0
    gateway_reference: str | None = None
    challenge_id: str | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    review_reason: str | None = None
    expires_at: datetime | None = None
    trace_id: str | None = None
    commands: tuple[str, ...] = ()
    version: int = 1

    @property
    def money(self) -> Money:
        """The amount asked for."""
        return Money(self.amount_minor, self.currency)

    @property
    def amount_capturable_minor(self) -> int:
        """What may still be captured, in minor units: the authorization less what was captured of it."""
        if self.status is not PaymentStatus.REQUIRES_CAPTURE:
            return 0
        return self.amount_authorized_minor - self.amount_captured_minor

    @property
    def is_being_captured(self) -> bool:
        """Whether a capture was begun and not brought to its end."""
        return self.status is PaymentStatus.REQUIRES_CAPTURE and self.pending_capture_minor > 0

    def _move(self, action: PaymentAction) -> Payment:
        after = PAYMENT_TRANSITIONS.after(self.status, action)
        return replace(self, status=after, version=self.version + 1)

    def require(self, action: PaymentAction) -> None:
        """Raise IllegalTransition when the action is not allowed now."""
        PAYMENT_TRANSITIONS.after(self.status, action)

    def taking(self, command_id: str) -> Payment:
        """Remember the command that brings about this change; bounded, since captures and attempts are."""
        return replace(self, commands=(*self.commands, command_id)) if command_id else self

    def attach(self, payment_method: str) -> Payment:
        """Name the card token, or the wallet's account, to pay with."""
        moved = self._move(PaymentAction.ATTACH_PAYMENT_METHOD)
        payer = payment_method if self.kind is PaymentKind.WALLET else self.debit_account
        return replace(moved, payment_method=payment_method, debit_account=payer)

    def confirm(self) -> Payment:
        """Begin an attempt: a new one, or the one that a cardholder's challenge interrupted."""
        moved = self._move(PaymentAction.CONFIRM)
        return replace(moved, attempt=self.attempt + 1, failure_code=None, failure_message=None)

    def challenged(self, challenge_id: str) -> Payment:
        """The issuer wants the cardholder to answer a challenge first."""
        return replace(self._move(PaymentAction.CHALLENGE), challenge_id=challenge_id)

    def authorized(self, gateway_reference: str | None, expires_at: datetime) -> Payment:
        """The funds are reserved until `expires_at` (UTC)."""
        return replace(
            self._move(PaymentAction.AUTHORIZE),
            gateway_reference=gateway_reference,
            amount_authorized_minor=self.amount_minor,
            challenge_id=None,
            expires_at=expires_at,
        )

    def begin_capture(self, amount_minor: int, *, final: bool = False) -> Payment:
        """Number a capture of `amount_minor`; `final` gives up what it leaves.

        Raises IllegalTransition or InvalidAmount (zero, or more than is left).
        """
        if self.status is not PaymentStatus.REQUIRES_CAPTURE:
            raise IllegalTransition("payment", self.status, PaymentAction.CAPTURE.words)
        if not 0 < amount_minor <= self.amount_capturable_minor:
            left = Money(self.amount_capturable_minor, self.currency)
            raise InvalidAmount(
                f"{Money(amount_minor, self.currency)} cannot be captured: {left} is left of the authorization.",
                advice="Capture a positive amount up to amount_capturable.",
            )
        if self.captures >= MAX_CAPTURES:
            raise IllegalTransition("payment", f"captured {MAX_CAPTURES} times already", PaymentAction.CAPTURE.words)
        return replace(
            self,
            captures=self.captures + 1,
            pending_capture_minor=amount_minor,
            pending_capture_final=final or amount_minor == self.amount_capturable_minor,
            version=self.version + 1,
        )

    def captured(self, amount_minor: int, *, final: bool, gateway_reference: str | None = None) -> Payment:
        """Add a capture of `amount_minor`; `final` gives up the rest of the authorization."""
        total = self.amount_captured_minor + amount_minor
        action = PaymentAction.CAPTURE_PART
        if total == self.amount_minor:
            action = PaymentAction.CAPTURE
        elif final:
            action = PaymentAction.CLOSE_PARTIAL
        return replace(
            self._move(action),
            amount_captured_minor=total,
            pending_capture_minor=0,
            pending_capture_final=False,
            amount_authorized_minor=max(self.amount_authorized_minor, total),
            gateway_reference=gateway_reference or self.gateway_reference,
            challenge_id=None,
        )

    def declined(self, code: str, message: str) -> Payment:
        """The attempt was refused; another payment method may be tried while attempts are left, else the payment failed."""
        retry = self.attempt < min(self.attempts_allowed, MAX_ATTEMPTS)
        moved = self._move(PaymentAction.DECLINE if retry else PaymentAction.FAIL)
        return replace(moved, failure_code=code, failure_message=message, payment_method=None, challenge_id=None)

    def canceled(self, reason: str) -> Payment:
        """Give up what is not captured; what is captured stays captured."""
        return self._closed(PaymentAction.CANCEL, "canceled", reason)

    def expired(self) -> Payment:
        """The authorization ran out before it was captured."""
        return self._closed(PaymentAction.EXPIRE, "authorization_expired", "The authorization expired uncaptured.")

    def failed(self, code: str, message: str) -> Payment:
        """No way forward is left."""
        return self._closed(PaymentAction.FAIL, code, message)

    def _closed(self, action: PaymentAction, code: str, message: str) -> Payment:
        partly = self.amount_captured_minor > 0
        moved = self._move(PaymentAction.CLOSE_PARTIAL if partly else action)
        undone = self.pending_capture_minor > 0
        return replace(
            moved,
            failure_code=code,
            failure_message=message,
            commands=self.commands[:-1] if undone else self.commands,  # the capture under way was not made
            challenge_id=None,
            pending_capture_minor=0,
            pending_capture_final=False,
        )

    def under_review(self, reason: str) -> Payment:
        """A person must decide: `reason` says what could not be undone."""
        return replace(self._move(PaymentAction.REVIEW), review_reason=reason)

    def retried(self) -> Payment:
        """An operator asks to try again what failed."""
        return replace(self._move(PaymentAction.RETRY), review_reason=None)

    def resolved(self, outcome: PaymentStatus, note: str) -> Payment:
        """An operator states how it ended outside; `outcome` is a final status."""
        action = RESOLUTIONS.get(outcome)
        if action is None:
            raise IllegalTransition("payment", self.status, f"be resolved as {outcome}".replace("_", " "))
        partly = outcome is PaymentStatus.PARTIALLY_CAPTURED
        if outcome is not PaymentStatus.SUCCEEDED and partly != (self.amount_captured_minor > 0):
            captured = Money(self.amount_captured_minor, self.currency)
            raise IllegalTransition("payment", f"captured to {captured}", action.words)
        return replace(self._move(action), review_reason=note)

    def settled(self) -> Payment:
        """All of the amount counts as captured: an operator found that the gateway did take it."""
        return replace(self, amount_captured_minor=self.amount_minor, amount_authorized_minor=self.amount_minor)
