"""All 1,191 real applications go through origination: by the rules alone, and a sample through the workflow over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import pytest
from temporalio.client import Client
from typer.testing import CliRunner

from domain.loans.credit import MAX_LETTER_REASONS, STATEMENTS, CreditApplication, Outcome, Reason, decide
from domain.loans.credit_policies import MORTGAGE
from infra.cli.main import app
from infra.demo.applications import RealApplication, decide_all, read_applications, spread
from infra.local.temporal import LocalTemporal
from tests.support.api_world import api_world
from tests.support.database import Database
from tests.support.lending import Json, Lending, lending
from tests.support.temporal import client_of, running_temporal

SAMPLE = 60
AT_ONCE = 6
STATUS = {Outcome.APPROVE: "offered", Outcome.REFER: "underwriting", Outcome.DECLINE: "rejected"}
AGREED, ALONE, TOO_KIND, TOO_STRICT = 891, 966, 42, 33
"""As measured with the policy of 2026-1: see `test_credit_decisions`."""


@pytest.fixture(scope="module")
def applications() -> list[RealApplication]:
    return read_applications()


@pytest.fixture(scope="module")
def temporal_server() -> Iterator[LocalTemporal]:
    with running_temporal() as server:
        yield server


@pytest.fixture
async def client(temporal_server: LocalTemporal) -> Client:
    return await client_of(temporal_server)


@pytest.fixture
async def lender(database: Database, temporal_server: LocalTemporal, client: Client) -> AsyncIterator[Lending]:
    async with api_world(database, temporal_server, client) as world, lending(world) as made:
        yield made


def test_every_real_application_is_explained_by_reasons_for_a_letter(applications: list[RealApplication]) -> None:
    comparison = decide_all(applications)
    assert len(comparison.decided) == 1191
    for each in comparison.decided:
        assert 0 < len(each.reasons) <= MAX_LETTER_REASONS, each
        assert all(STATEMENTS[reason] for reason in each.reasons)
        assert (each.outcome is Outcome.APPROVE) == (each.reasons == (Reason.MEETS_POLICY,)), each


def test_what_the_api_is_sent_of_an_application_is_what_the_file_says(applications: list[RealApplication]) -> None:
    for each in applications:
        assert CreditApplication.parse(each.facts()) == each.credit, each.number


def test_a_missing_value_leads_to_a_person_by_rule(applications: list[RealApplication]) -> None:
    incomplete = [
        each for each in applications if any(getattr(each.credit, name) is None for name in MORTGAGE.required)
    ]
    assert incomplete
    for each in decide_all(incomplete).decided:
        assert each.outcome is not Outcome.APPROVE
        found = decide(each.application.credit, MORTGAGE).findings
        assert Reason.INCOMPLETE in {finding.reason for finding in found}
        assert each.outcome is Outcome.REFER or each.reasons != (Reason.INCOMPLETE,)


def test_the_report_compares_with_the_lender(applications: list[RealApplication]) -> None:
    comparison = decide_all(applications)
    assert (comparison.agreed, comparison.alone) == (AGREED, ALONE)
    assert comparison.count(Outcome.APPROVE, denied=True) == TOO_KIND
    assert comparison.count(Outcome.DECLINE, denied=False) == TOO_STRICT
    assert sum(comparison.count(outcome, denied=denied) for outcome in Outcome for denied in (False, True)) == 1191
    said = CliRunner().invoke(app, ["loan", "report"])
    assert said.exit_code == 0, said.output
    assert "agreement with the lender: 891 of 966 (92.2 %)" in said.output
    assert "approved by us, denied by them: 42" in said.output
    assert "declined by us, approved by them: 33" in said.output
    told = CliRunner().invoke(app, ["loan", "report", "--json"])
    answer = json.loads(told.output)
    assert answer["decisions"]["approve"] == {"approved_by_lender": 832, "denied_by_lender": 42}
    assert sum(each["count"] for each in answer["reasons"]) >= 1191


async def test_a_sample_goes_through_the_workflow_and_is_decided_as_by_the_rules(
    lender: Lending, applications: list[RealApplication]
) -> None:
    sample = spread(applications, SAMPLE)
    turns = asyncio.Semaphore(AT_ONCE)

    async def originate(application: RealApplication) -> Json:
        async with turns:
            return await lender.applied(
                applicant={"customer": f"hmda-{application.number}", "name": f"Applicant {application.number}"},
                policy="mortgage-2026-1",
                credit=application.facts(),
                income=None,
            )

    loans = await asyncio.gather(*(originate(each) for each in sample))
    for application, loan in zip(sample, loans, strict=True):
        expected = decide(application.credit, MORTGAGE)
        assert loan["status"] == STATUS[expected.outcome], application.number
        assert [each["code"] for each in loan["decision"]["reasons"]] == list(expected.reasons)
        assert len(loan["decision"]["findings"]) == len(expected.findings)
    assert {loan["status"] for loan in loans} == set(STATUS.values())
