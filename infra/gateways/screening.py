"""The screening port, spoken to the sandbox bank.

Invariant: only an answer the provider gave is an outcome; every failure to get one raises.
"""

from activities.screening_port import (
    ScreeningOutcome,
    ScreeningRejected,
    ScreeningRequest,
    ScreeningResult,
    ScreeningUnavailable,
)
from infra.gateways.bank_client import BankClient, NoAnswer, NotSent, Refused


class SandboxScreening:
    """A `ScreeningProvider` over a `BankClient`, which the caller opens and closes."""

    def __init__(self, client: BankClient) -> None:
        self._client = client

    async def screen(self, request: ScreeningRequest) -> ScreeningResult:
        """Screen one applicant."""
        body = {
            "reference": request.reference,
            "name": request.name,
            "date_of_birth": request.date_of_birth,
            "country": request.country,
        }
        try:
            answer = (await self._client.post("/screenings", body)).body
            return ScreeningResult(
                ScreeningOutcome(answer["outcome"]), answer["id"], answer["score"], answer["list_entry"]
            )
        except Refused as error:
            raise ScreeningRejected(error.code, error.detail, error.status) from error
        except (NotSent, NoAnswer) as error:
            raise ScreeningUnavailable(str(error)) from error
        except (KeyError, ValueError) as error:
            raise ScreeningUnavailable(f"the provider's answer cannot be read: {error!r}") from error
