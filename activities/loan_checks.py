"""Checks of an applicant with outside providers: sanctions screening and the credit bureau.

Invariant: neither moves anything, so both are simply asked again until they answer; only a refusal of the request is final.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.credit_bureau_port import BureauReport, BureauRequest, BureauUnavailable, CreditBureau
from activities.screening_port import (
    ScreeningProvider,
    ScreeningRejected,
    ScreeningRequest,
    ScreeningResult,
    ScreeningUnavailable,
)

SCREENING_REJECTED = "ScreeningRejected"
"""Failure type: the provider will never accept this request. A person must look."""
CHECK_UNAVAILABLE = "CheckUnavailable"
"""Failure type: no answer; it is retried."""


class LoanCheckActivities:
    """Asks providers. Raises ApplicationError of type SCREENING_REJECTED or CHECK_UNAVAILABLE."""

    def __init__(self, screening: ScreeningProvider, bureau: CreditBureau) -> None:
        self._screening = screening
        self._bureau = bureau

    @activity.defn
    async def screen_applicant(self, request: ScreeningRequest) -> ScreeningResult:
        """Ask whether the applicant is on a sanctions list."""
        try:
            answer = await self._screening.screen(request)
        except ScreeningRejected as error:
            raise ApplicationError(str(error), error.code, type=SCREENING_REJECTED, non_retryable=True) from error
        except ScreeningUnavailable as error:
            raise ApplicationError(str(error), type=CHECK_UNAVAILABLE) from error
        return replace(answer, answered_on=datetime.now(UTC).date())

    @activity.defn
    async def ask_bureau(self, request: BureauRequest) -> BureauReport:
        """Ask for the applicant's score."""
        try:
            return await self._bureau.report(request)
        except BureauUnavailable as error:
            raise ApplicationError(str(error), type=CHECK_UNAVAILABLE) from error
