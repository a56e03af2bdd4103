"""A refund: money going back, whole or in part, by a workflow of its own.

Invariant: refunds of a payment that are pending or done never sum to more than what it captured; the database holds this
against two refunds at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from domain.transitions import Action, TransitionTable


class RefundStatus(StrEnum):
    """Where a refund stands."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    NEEDS_REVIEW = "needs_review"

    @property
    def is_final(self) -> bool:
        """Whether the refund can change no more."""
        return self in (RefundStatus.SUCCEEDED, RefundStatus.FAILED)


class RefundAction(Action):
    """What moves a refund."""

    SUCCEED = "succeed", "succeed"
    FAIL = "fail", "fail"
    REVIEW = "review", "be given to a person to review"
    RETRY = "retry", "be tried again"


_S, _A = RefundStatus, RefundAction

REFUND_TRANSITIONS: TransitionTable[RefundStatus, RefundAction] = TransitionTable(
    "refund",
    [
        (_S.PENDING, _A.SUCCEED, _S.SUCCEEDED),
        (_S.PENDING, _A.FAIL, _S.FAILED),
        (_S.PENDING, _A.REVIEW, _S.NEEDS_REVIEW),
        (_S.NEEDS_REVIEW, _A.RETRY, _S.PENDING),
        (_S.NEEDS_REVIEW, _A.SUCCEED, _S.SUCCEEDED),
        (_S.NEEDS_REVIEW, _A.FAIL, _S.FAILED),
    ],
)


@dataclass(frozen=True, slots=True)
class Refund:
    """One refund of a payment; `amount_minor` in minor units of the payment's currency."""

    tenant_id: str
    id: str
    payment_id: str
    amount_minor: int
    currency: str
    created_at: datetime
    status: RefundStatus = RefundStatus.PENDING
    reason: str = ""
    gateway_reference: str | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    version: int = 1

    def moved(
        self, action: RefundAction, code: str | None = None, message: str | None = None, reference: str | None = None
    ) -> Refund:
        """Return the refund after the action, or raise IllegalTransition."""
        return replace(
            self,
            status=REFUND_TRANSITIONS.after(self.status, action),
            failure_code=code,
            failure_message=message,
            gateway_reference=reference or self.gateway_reference,
            version=self.version + 1,
        )
