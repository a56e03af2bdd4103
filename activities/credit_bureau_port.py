"""What origination asks of a credit bureau: how this person paid others.

Invariant: no answer is never read as a good one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Protocol


@dataclass(frozen=True, slots=True)
class BureauRequest:
    """The applicant as declared; `reference` is our loan id."""

    reference: str
    name: str
    date_of_birth: date | None
    country: str


@dataclass(frozen=True, slots=True)
class BureauReport:
    """The bureau's answer: a score from 300 to 850, or None when it knows too little of the person."""

    score: int | None
    report_reference: str


class BureauUnavailable(Exception):
    """No answer came; safe to repeat."""


class CreditBureau(Protocol):
    """A credit bureau."""

    async def report(self, request: BureauRequest) -> BureauReport:
        """Report on one applicant; raises `BureauUnavailable`."""
        ...
