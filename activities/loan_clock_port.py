"""The port through which a test clock moves its loans.

Invariant: a loan is told once more rather than not at all; being told the same day again changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ClockedLoan:
    """A loan on a test clock. `is_served`: it is served by days, so it must reach the clock's day; `reached` is how far it is."""

    loan_id: str
    is_served: bool
    reached: date


class LoanClock(Protocol):
    """Where the loans of a test clock are found and told."""

    async def loans(self, tenant_id: str, clock_id: str, after_loan: str, limit: int) -> list[ClockedLoan]:
        """Return the loans of a clock that have not ended, in the order of their ids, after one."""
        ...

    async def tell(self, loan_id: str, to: date) -> None:
        """Tell a loan what day it is; one that has ended needs not be told."""
        ...

    async def show(self, tenant_id: str, clock_id: str, name: str, on: date, advancing_to: date | None) -> None:
        """Write what the clock shows."""
        ...
