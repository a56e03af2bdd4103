"""What origination asks of a screening provider: is this applicant on a sanctions list.

Invariant: a screening moves nothing, so every failure to get an answer is one exception and may be repeated freely;
no failure is ever read as "clear".

    ScreeningError
    ├── ScreeningRejected      our request is wrong; repeating it unchanged cannot succeed
    └── ScreeningUnavailable   no answer came (unreachable, timeout, 5xx): ask again
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Protocol


class ScreeningOutcome(StrEnum):
    """A match stops the applicant, a weak match needs a person to look."""

    CLEAR = "clear"
    WEAK_MATCH = "weak_match"
    MATCH = "match"


@dataclass(frozen=True, slots=True)
class ScreeningRequest:
    """The applicant as declared; `country` is an ISO 3166-1 alpha-2 code, `reference` is our loan id."""

    reference: str
    name: str
    date_of_birth: date | None
    country: str


@dataclass(frozen=True, slots=True)
class ScreeningResult:
    """The provider's answer; `score` is the similarity of the closest entry, 0 to 100. `answered_on`: the day, in UTC."""

    outcome: ScreeningOutcome
    screening_reference: str
    score: int
    list_entry: str | None = None
    answered_on: date | None = None


class ScreeningError(Exception):
    """No answer came of a screening."""


class ScreeningRejected(ScreeningError):
    """The provider refused the request itself. `status` is the HTTP status, `code` the provider's stable reason."""

    def __init__(self, code: str, detail: str, status: int = 0) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.status = status


class ScreeningUnavailable(ScreeningError):
    """No usable answer: unreachable, timed out, or failed on its side. Safe to repeat."""


class ScreeningProvider(Protocol):
    """A provider of sanctions screening."""

    async def screen(self, request: ScreeningRequest) -> ScreeningResult:
        """Screen one applicant; raises `ScreeningRejected` or `ScreeningUnavailable`."""
        ...
