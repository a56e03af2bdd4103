"""What is refused when a loan is described or changed.

Invariant: every refusal names the field and says what to send instead.
"""

from __future__ import annotations

from domain.errors import DomainError


class LoanTermsError(DomainError, ValueError):
    """A field of the loan's terms cannot be used. `field` names it as the caller wrote it; `advice` says what to send."""

    code = "invalid_loan_terms"

    def __init__(self, field: str, message: str, *, advice: str) -> None:
        super().__init__(f"{field}: {message}", advice=advice)
        self.field = field
