"""Loans: each call is one trace, to the screening, to each database step and to the payment it leads to; and so are the logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from domain.ids import loan_payment_id
from tests.integration.telemetry.conftest import SERVICE, TelemetryWorld, until
from tests.integration.telemetry.test_metrics import sample, worker_metrics
from tests.integration.telemetry.test_traces import ancestry, only
from tests.support.api_world import new_key

APPLY, ACCEPT, REPAY = "POST /v1/loans", "POST /v1/loans/{loan_id}/accept", "POST /v1/loans/{loan_id}/repay"
PRINCIPAL = 2_000
"""Less than the card payment that the lender lends from."""
REPAID = 500
PAYMENT_ENDS = "CompleteWorkflow:PaymentWorkflow"


@dataclass
class Borrowing:
    """One borrower of the telemetry world, and the calls made about one loan."""

    world: TelemetryWorld
    applied: httpx.Response
    accepted: httpx.Response
    repaid: httpx.Response

    @property
    def loan_id(self) -> str:
        loan_id: str = self.applied.json()["id"]
        return loan_id

    def payment_id(self, purpose: str) -> str:
        return loan_payment_id(self.loan_id, purpose, 1)

    async def trace(self, call: httpx.Response, last: str) -> list[ReadableSpan]:
        """Return the trace of a call, once a span of that name is in it."""
        trace_id = call.headers["Trace-Id"]
        await until(f"a span {last} of {trace_id}", lambda: last in {span.name for span in self.world.spans(trace_id)})
        return self.world.spans(trace_id)


async def _post(world: TelemetryWorld, path: str, body: dict[str, Any]) -> httpx.Response:
    answer = await world.http.post(path, json=body, headers={"Idempotency-Key": new_key()})
    assert answer.status_code in (200, 201), answer.text
    return answer


@pytest.fixture(scope="module")
async def borrowing(world: TelemetryWorld) -> Borrowing:
    """A loan that was applied for, accepted and repaid in part, by card."""
    await world.pay()
    await _post(world, "/v1/accounts", {"id": "borrower", "currency": "USD"})
    application = {
        "applicant": {"customer": "cus_1", "name": "Sample Borrower SCORE 720"},
        "terms": {
            "principal": "20.00",
            "currency": "USD",
            "annual_rate_percent": "12",
            "instalments": 3,
            "every": "1 month",
        },
        "funding_account": "merchant",
        "payout_account": "borrower",
        "income": {"monthly_income": 500_000, "monthly_debt": 50_000},
    }
    applied = await _post(world, "/v1/loans", application)
    path = f"/v1/loans/{applied.json()['id']}"
    accepted = await _post(world, f"{path}/accept", {})
    assert accepted.json()["status"] == "active", accepted.text
    source = {"type": "card", "token": await world.token()}
    repaid = await _post(world, f"{path}/repay", {"amount": REPAID, "source": source})
    return Borrowing(world, applied, accepted, repaid)


def _of(spans: Sequence[ReadableSpan], name: str) -> list[ReadableSpan]:
    return [span for span in spans if span.name == name]


async def test_an_application_is_one_trace_from_the_call_to_the_screening(borrowing: Borrowing) -> None:
    spans = await borrowing.trace(borrowing.applied, "RunActivity:ask_bureau")
    (screening,) = _of(spans, "POST")

    assert screening.kind is SpanKind.CLIENT
    assert (screening.attributes or {})["http.url"] == f"{borrowing.world.bank_process.url}/screenings"
    assert ancestry(spans, screening) == [
        "POST",
        "RunActivity:screen_applicant",
        "StartActivity:screen_applicant",
        "StartUpdateWithStartWorkflow:LoanWorkflow",
        APPLY,
    ]
    steps = _of(spans, "sql loan_apply")
    assert len(steps) == len(["applied", "kyc_cleared", "offered"])
    for step in steps:
        assert ancestry(spans, step)[1] == "RunActivity:record_origination"
        assert ancestry(spans, step)[-1] == APPLY
        assert (step.attributes or {})["clearhold.owner_id"] == borrowing.loan_id
    assert only(spans, "RunWorkflow:LoanWorkflow").parent is not None


async def test_an_acceptance_is_one_trace_from_the_call_to_the_payout(borrowing: Borrowing) -> None:
    spans = await borrowing.trace(borrowing.accepted, PAYMENT_ENDS)
    assert {ancestry(spans, span)[-1] for span in spans} == {ACCEPT}
    payout = only(spans, "StartChildWorkflow:PaymentWorkflow")
    assert "RunWorkflow:PaymentWorkflow" in {span.name for span in spans if ancestry(spans, span)[1:2] == [payout.name]}
    owners = {(span.attributes or {})["clearhold.owner_id"] for span in _of(spans, "sql payment_apply")}
    assert owners == {borrowing.payment_id("disbursement")}
    by_activity = sorted(ancestry(spans, span)[1] for span in _of(spans, "sql loan_apply"))
    assert by_activity == ["RunActivity:record_disbursement"] * 3 + ["RunActivity:record_origination"] * 3


async def test_a_repayment_is_one_trace_from_the_call_to_the_bank(borrowing: Borrowing) -> None:
    spans = await borrowing.trace(borrowing.repaid, "sql loan_apply")
    (charge,) = _of(spans, "POST")

    assert (charge.attributes or {})["http.url"] == f"{borrowing.world.bank_process.url}/authorizations"
    way = ancestry(spans, charge)
    assert way[1] == "RunActivity:authorize"
    assert "StartChildWorkflow:PaymentWorkflow" in way
    assert way[-1] == REPAY
    (booked,) = _of(spans, "sql loan_apply")
    assert ancestry(spans, booked)[1] == "RunActivity:record_servicing"
    assert ancestry(spans, booked)[-1] == REPAY
    statement = await borrowing.world.statement(borrowing.payment_id("repayment"))
    assert [operation["trace_id"] for operation in statement] == [borrowing.repaid.headers["Trace-Id"]]


async def test_the_three_calls_are_three_traces_and_the_workflow_links_to_each(borrowing: Borrowing) -> None:
    traces = [call.headers["Trace-Id"] for call in (borrowing.applied, borrowing.accepted, borrowing.repaid)]
    assert len(set(traces)) == len(traces)
    life = borrowing.world.spans(traces[0])
    for name, trace_id in (("HandleUpdate:accept", traces[1]), ("HandleUpdate:repay", traces[2])):
        (link,) = only(life, name).links
        assert f"{link.context.trace_id:032x}" == trace_id


async def test_log_lines_of_a_loan_name_it_and_lead_to_the_trace_of_their_call(borrowing: Borrowing) -> None:
    def about(event: str) -> list[dict[str, Any]]:
        return borrowing.world.lines(lambda line: line.get("loan_id") == borrowing.loan_id and line["event"] == event)

    await until("a line for each call", lambda: len(about("call carried out")) == 3)
    called, done = about("call carried out"), about("activity done")

    assert [line["trace_id"] for line in called] == [
        call.headers["Trace-Id"] for call in (borrowing.applied, borrowing.accepted, borrowing.repaid)
    ]
    assert {line["service"] for line in called + done} == {SERVICE}
    screened = [line for line in done if line["activity"] == "screen_applicant"]
    assert [line["trace_id"] for line in screened] == [borrowing.applied.headers["Trace-Id"]]
    (charged,) = await borrowing.world.lines_about(borrowing.payment_id("repayment"), "activity done")
    assert (charged["activity"], charged["trace_id"]) == ("authorize", borrowing.repaid.headers["Trace-Id"])


async def test_nothing_of_the_applicant_is_in_a_span_or_a_log_line(borrowing: Borrowing) -> None:
    written = [span.to_json() for span in borrowing.world.exporter.get_finished_spans()]
    written += borrowing.world.log.getvalue().splitlines()
    assert [line for line in written if "Sample Borrower" in line] == []


async def test_a_workers_metrics_tell_loans_from_payments(borrowing: Borrowing) -> None:
    text = await worker_metrics(borrowing.world)
    loans = {"task_queue": borrowing.world.settings.loan_task_queue}

    assert sample(text, "temporal_num_pollers", **loans) > 0
    assert sample(text, "temporal_activity_execution_latency_count", activity_type="screen_applicant", **loans) == 1
    of_records = "temporal_local_activity_execution_latency_count"
    assert sample(text, of_records, activity_type="record_disbursement", **loans) == 3
    assert sample(text, "temporal_workflow_task_execution_latency_count", workflow_type="LoanWorkflow", **loans) > 0
    answer = await borrowing.world.http.get("/metrics")
    for path in (APPLY, ACCEPT, REPAY):
        method, route = path.split()
        assert sample(answer.text, "clearhold_http_requests", method=method, route=route) == 1
