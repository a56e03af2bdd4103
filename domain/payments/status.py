"""The states of a payment and of an operation, and the moves between them.

Invariant: four things stay apart: the payment (what the client asked for), an attempt at a gateway, an operation (authorize,
capture, void, refund), and what the ledger holds. "Refunded" and "disputed" are read off the operations; they are no states.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from domain.transitions import Action, TransitionTable


class PaymentStatus(StrEnum):
    """Where a payment stands."""

    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    REQUIRES_CONFIRMATION = "requires_confirmation"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    REQUIRES_CAPTURE = "requires_capture"
    SUCCEEDED = "succeeded"
    PARTIALLY_CAPTURED = "partially_captured"
    CANCELED = "canceled"
    EXPIRED = "expired"
    FAILED = "failed"
    NEEDS_REVIEW = "needs_review"

    @property
    def is_final(self) -> bool:
        """Whether the payment can change no more."""
        return self in _FINAL

    @property
    def is_resting(self) -> bool:
        """Whether the engine has nothing to do until somebody acts: the answer a client waits for."""
        return self is not PaymentStatus.PROCESSING


_FINAL = frozenset(
    {
        PaymentStatus.SUCCEEDED,
        PaymentStatus.PARTIALLY_CAPTURED,
        PaymentStatus.CANCELED,
        PaymentStatus.EXPIRED,
        PaymentStatus.FAILED,
    }
)


class PaymentAction(Action):
    """What moves a payment."""

    ATTACH_PAYMENT_METHOD = "attach_payment_method", "take another payment method"
    CONFIRM = "confirm", "be confirmed"
    CHALLENGE = "challenge", "be challenged"
    AUTHORIZE = "authorize", "be authorized"
    CAPTURE_PART = "capture_part", "be captured in part"
    CAPTURE = "capture", "be captured"
    CLOSE_PARTIAL = "close_partial", "be closed with a part captured"
    DECLINE = "decline", "be declined"
    CANCEL = "cancel", "be canceled"
    EXPIRE = "expire", "expire"
    FAIL = "fail", "fail"
    REVIEW = "review", "be given to a person to review"
    RETRY = "retry", "be tried again"
    RESOLVE_SUCCEEDED = "resolve_succeeded", "be resolved as succeeded"
    RESOLVE_PARTIALLY_CAPTURED = "resolve_partially_captured", "be resolved as partially captured"
    RESOLVE_CANCELED = "resolve_canceled", "be resolved as canceled"
    RESOLVE_FAILED = "resolve_failed", "be resolved as failed"
    RESOLVE_EXPIRED = "resolve_expired", "be resolved as expired"


_S, _A = PaymentStatus, PaymentAction
_WAITING = (_S.REQUIRES_PAYMENT_METHOD, _S.REQUIRES_CONFIRMATION, _S.REQUIRES_ACTION)
_OPEN = (*_WAITING, _S.PROCESSING, _S.REQUIRES_CAPTURE)

RESOLUTIONS: Mapping[PaymentStatus, PaymentAction] = MappingProxyType(
    {
        _S.SUCCEEDED: _A.RESOLVE_SUCCEEDED,
        _S.PARTIALLY_CAPTURED: _A.RESOLVE_PARTIALLY_CAPTURED,
        _S.CANCELED: _A.RESOLVE_CANCELED,
        _S.FAILED: _A.RESOLVE_FAILED,
        _S.EXPIRED: _A.RESOLVE_EXPIRED,
    }
)
"""How a person may say that a payment ended, and the action that says so."""

PAYMENT_TRANSITIONS: TransitionTable[PaymentStatus, PaymentAction] = TransitionTable(
    "payment",
    [
        (_S.REQUIRES_PAYMENT_METHOD, _A.ATTACH_PAYMENT_METHOD, _S.REQUIRES_CONFIRMATION),
        (_S.REQUIRES_CONFIRMATION, _A.ATTACH_PAYMENT_METHOD, _S.REQUIRES_CONFIRMATION),
        (_S.REQUIRES_CONFIRMATION, _A.CONFIRM, _S.PROCESSING),
        (_S.REQUIRES_ACTION, _A.CONFIRM, _S.PROCESSING),
        (_S.PROCESSING, _A.CHALLENGE, _S.REQUIRES_ACTION),
        (_S.PROCESSING, _A.AUTHORIZE, _S.REQUIRES_CAPTURE),
        (_S.PROCESSING, _A.CAPTURE, _S.SUCCEEDED),
        (_S.PROCESSING, _A.CAPTURE_PART, _S.REQUIRES_CAPTURE),
        (_S.PROCESSING, _A.CLOSE_PARTIAL, _S.PARTIALLY_CAPTURED),
        (_S.PROCESSING, _A.DECLINE, _S.REQUIRES_PAYMENT_METHOD),
        (_S.REQUIRES_CAPTURE, _A.CAPTURE_PART, _S.REQUIRES_CAPTURE),
        (_S.REQUIRES_CAPTURE, _A.CAPTURE, _S.SUCCEEDED),
        (_S.REQUIRES_CAPTURE, _A.CLOSE_PARTIAL, _S.PARTIALLY_CAPTURED),
        (_S.REQUIRES_CAPTURE, _A.EXPIRE, _S.EXPIRED),
        (_S.PROCESSING, _A.EXPIRE, _S.EXPIRED),
        (_S.NEEDS_REVIEW, _A.RETRY, _S.PROCESSING),
        *((_S.NEEDS_REVIEW, action, outcome) for outcome, action in RESOLUTIONS.items()),
        *((state, _A.CANCEL, _S.CANCELED) for state in _OPEN),
        *((state, _A.FAIL, _S.FAILED) for state in _OPEN),
        *((state, _A.REVIEW, _S.NEEDS_REVIEW) for state in _OPEN),
    ],
)


class OperationKind(StrEnum):
    """What was asked of a gateway."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"


class OperationStatus(StrEnum):
    """How an operation ended. `unknown`: no answer came, so the gateway is asked before anything is sent again."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


class OperationAction(Action):
    """What moves an operation."""

    SUCCEED = "succeed", "succeed"
    FAIL = "fail", "fail"
    LOSE_ANSWER = "lose_answer", "lose its answer"


_O, _B = OperationStatus, OperationAction

OPERATION_TRANSITIONS: TransitionTable[OperationStatus, OperationAction] = TransitionTable(
    "operation",
    [
        (_O.PENDING, _B.SUCCEED, _O.SUCCEEDED),
        (_O.PENDING, _B.FAIL, _O.FAILED),
        (_O.PENDING, _B.LOSE_ANSWER, _O.UNKNOWN),
        (_O.UNKNOWN, _B.SUCCEED, _O.SUCCEEDED),
        (_O.UNKNOWN, _B.FAIL, _O.FAILED),
    ],
)
