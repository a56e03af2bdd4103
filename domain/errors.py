"""Every refusal the business knows, in one tree.

Invariant: each class has a stable `code`; the API turns it into a problem type, a workflow into the type of a
non-retryable failure. A message says what happened; `advice` says what to do next.

    DomainError
    ├── InvalidAmount            an amount that no payment can have
    ├── UnknownCurrency          not an ISO 4217 code we carry
    ├── CurrencyMismatch         two currencies met where one was needed
    ├── IllegalTransition        the state does not allow the action
    ├── LimitExceeded            a risk or amount limit stops the payment
    ├── LedgerRefused            the ledger would not book an entry (reason: a LedgerResult)
    ├── PaymentDeclined          the card network or bank said no
    └── RefundExceedsCaptured    more would be refunded than was captured
"""

from __future__ import annotations


class DomainError(Exception):
    """A refusal by a business rule. `code` is stable; `advice` tells the caller what to do next."""

    code = "domain_error"
    advice = "Check the request against the documentation."

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        super().__init__(message)
        if advice is not None:
            self.advice = advice


class InvalidAmount(DomainError):
    """The amount is zero, negative, not an integer number of minor units, or beyond what a ledger row holds."""

    code = "invalid_amount"
    advice = "Send a positive integer in the currency's minor unit (cents for USD, whole yen for JPY)."


class UnknownCurrency(DomainError):
    """The code is not an active ISO 4217 currency."""

    code = "unknown_currency"
    advice = "Use a three-letter ISO 4217 code, such as USD."


class CurrencyMismatch(DomainError):
    """Amounts or accounts of two currencies were combined."""

    code = "currency_mismatch"
    advice = "Use accounts and amounts of one currency; convert explicitly before."


class IllegalTransition(DomainError):
    """The action is not allowed in the present state. `action` is words that follow "cannot"."""

    code = "illegal_transition"

    def __init__(self, kind: str, state: str, action: str) -> None:
        super().__init__(
            f"A {kind} that is {state} cannot {action}.", advice=f"Read the {kind} and act on its present status."
        )
        self.kind, self.state, self.action = kind, state, action


class LimitExceeded(DomainError):
    """A limit on amount or velocity stops the payment."""

    code = "limit_exceeded"
    advice = "Lower the amount, wait for the window to pass, or ask for a higher limit."


class LedgerRefused(DomainError):
    """The ledger did not book the entry; `reason` is one of its result names, nothing was written."""

    code = "ledger_refused"

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message, advice="Read the account's balance and status, then decide.")
        self.reason = reason


class PaymentDeclined(DomainError):
    """The issuer or network refused; `decline_code` says why, in the gateway's words."""

    code = "payment_declined"

    def __init__(self, decline_code: str) -> None:
        super().__init__(f"The payment was declined: {decline_code}.", advice="Use another payment method.")
        self.decline_code = decline_code


class RefundExceedsCaptured(DomainError):
    """The refund, with those before it, would exceed what was captured."""

    code = "refund_exceeds_captured"
    advice = "Refund at most what is captured and not yet refunded."
