"""Screening answers by similarity with a fixed list, and a failure is never taken for clear."""

from datetime import date

import pytest

from activities.screening_port import ScreeningOutcome, ScreeningRejected, ScreeningRequest, ScreeningUnavailable
from infra.bank.screening import SANCTIONS_LIST
from infra.gateways.bank_client import BankClient
from infra.gateways.screening import SandboxScreening
from tests.integration.bank.cardholder import Cardholder
from tests.support.bank_process import BankProcess, free_port


@pytest.fixture
def provider(client: BankClient) -> SandboxScreening:
    return SandboxScreening(client)


def _applicant(name: str, country: str = "DE", reference: str = "loan_1") -> ScreeningRequest:
    return ScreeningRequest(reference, name, date(1990, 5, 17), country)


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("TEST SANCTIONED PARTY", ScreeningOutcome.MATCH),
        ("party, Sanctioned TEST", ScreeningOutcome.MATCH),
        ("Tést Sanctioned Pàrty", ScreeningOutcome.MATCH),
        ("Test Sanctioned Partey", ScreeningOutcome.MATCH),
        ("Test Sanction Partner", ScreeningOutcome.WEAK_MATCH),
        ("Sample Bakery Cooperative", ScreeningOutcome.CLEAR),
        ("Ordinary Example Household", ScreeningOutcome.CLEAR),
    ],
)
async def test_a_name_is_screened_by_similarity(
    provider: SandboxScreening, name: str, outcome: ScreeningOutcome
) -> None:
    result = await provider.screen(_applicant(name))
    assert result.outcome is outcome
    assert (result.list_entry is None) == (outcome is ScreeningOutcome.CLEAR)


async def test_a_listed_name_in_another_country_is_only_a_weak_match(provider: SandboxScreening) -> None:
    listed = next(entry for entry in SANCTIONS_LIST if entry.country is not None)
    assert listed.country is not None
    here = await provider.screen(_applicant(listed.name, country=listed.country))
    elsewhere = await provider.screen(_applicant(listed.name, country="DE"))
    assert (here.outcome, elsewhere.outcome) == (ScreeningOutcome.MATCH, ScreeningOutcome.WEAK_MATCH)
    assert here.score == elsewhere.score == 100


async def test_the_same_name_gets_the_same_answer(provider: SandboxScreening) -> None:
    answers = [await provider.screen(_applicant("Test Sanction Partner")) for _ in range(3)]
    assert len({(answer.outcome, answer.score, answer.list_entry) for answer in answers}) == 1


async def test_a_name_can_make_the_provider_time_out(provider: SandboxScreening) -> None:
    with pytest.raises(ScreeningUnavailable, match="ReadTimeout"):
        await provider.screen(_applicant("Test Screening Timeout"))


@pytest.mark.parametrize("kind", ["timeout_after", "error_5xx_before", "connection_drop"])
async def test_a_failed_screening_is_unavailable_and_can_be_repeated(
    provider: SandboxScreening, cardholder: Cardholder, payment_id: str, kind: str
) -> None:
    await cardholder.arm("screening", kind, payment_id)
    with pytest.raises(ScreeningUnavailable):
        await provider.screen(_applicant("Sample Bakery Cooperative", reference=payment_id))
    repeated = await provider.screen(_applicant("Sample Bakery Cooperative", reference=payment_id))
    assert repeated.outcome is ScreeningOutcome.CLEAR


async def test_an_unreachable_provider_is_unavailable() -> None:
    async with BankClient(f"http://127.0.0.1:{free_port()}") as nobody:
        with pytest.raises(ScreeningUnavailable):
            await SandboxScreening(nobody).screen(_applicant("Sample Bakery Cooperative"))


@pytest.mark.parametrize(("name", "country"), [("", "DE"), ("Sample", "Germany")])
async def test_a_malformed_applicant_is_rejected(provider: SandboxScreening, name: str, country: str) -> None:
    with pytest.raises(ScreeningRejected) as rejected:
        await provider.screen(_applicant(name, country))
    assert (rejected.value.status, rejected.value.code) == (422, "invalid_request")


async def test_the_name_of_an_applicant_is_not_kept(provider: SandboxScreening, bank: BankProcess) -> None:
    await provider.screen(_applicant("Quixotic Xylophone Guild"))
    kept = [file.read_bytes() for file in bank.directory.iterdir()]
    assert not any(b"quixotic" in content.lower() for content in kept)
