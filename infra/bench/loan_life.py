"""One loan from payout to closing on a test clock, over HTTP, and what it leaves behind in Temporal and in the worker.

Invariant: counted are the histories of the loan's own workflow, all its runs; its payments are workflows of their own.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import date
from typing import Any

import httpx
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus

from infra.bench.cpu import resident_bytes
from infra.bench.seed import LOAN_CURRENCY
from infra.bench.world import World

MEBIBYTE = 1024 * 1024
CALL_TIMEOUT_S = 60.0
YEAR_TIMEOUT_S = 600.0
POLL_S = 0.05
VISIBLE_TIMEOUT_S = 30.0
STARTS_ON = date(2026, 1, 15)
_GOOD_CREDIT = {
    "debt_to_income": "0.30",
    "housing_to_income": "0.25",
    "loan_to_value": "0.80",
    "consumer_credit_score": "1",
    "mortgage_credit_score": "1",
    "public_bad_credit_record": False,
    "denied_mortgage_insurance": False,
    "self_employed": False,
}


class LoanLifeError(Exception):
    """The loan did not become what it should."""


@dataclass(slots=True)
class _Lender:
    """Calls the API, each call under a key of its own."""

    http: httpx.Client
    calls: int = 0

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.calls += 1
        key = f"long-{time.time_ns()}-{self.calls}"
        answer = self.http.post(path, json=body, headers={"Idempotency-Key": key, "Prefer": "wait=30"})
        if answer.is_error:
            raise LoanLifeError(f"{answer.status_code} on {path}: {answer.text[:300]}")
        found: dict[str, Any] = answer.json()
        return found

    def get(self, path: str) -> dict[str, Any]:
        answer = self.http.get(path)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


def live_long(world: World, years: int) -> dict[str, Any]:
    """Pay a loan out, let its months pass, and return the size of its histories and the worker's memory before and after."""
    headers = {"Authorization": world.seed.authorization}
    with httpx.Client(
        base_url=world.stack.ports.api_url, headers=headers, timeout=CALL_TIMEOUT_S, trust_env=False
    ) as http:
        lender = _Lender(http)
        worker_pid = world.stack.process(world.stack.workers()[0]).pid
        before, began = resident_bytes(worker_pid), time.perf_counter()
        loan = _pay_out(lender, world, years)
        ended = _let_years_pass(lender, loan, years)
        seconds, after = time.perf_counter() - began, resident_bytes(worker_pid)
    sizes = asyncio.run(_measure_histories(world, loan["id"]))
    return {
        "years": years,
        "status": ended["status"],
        "seconds": round(seconds, 1),
        **sizes,
        "worker_rss_mb_before": round(before / MEBIBYTE, 1),
        "worker_rss_mb_after": round(after / MEBIBYTE, 1),
    }


def _pay_out(lender: _Lender, world: World, years: int) -> dict[str, Any]:
    clock = lender.post("/v1/test_clocks", {"on": STARTS_ON.isoformat(), "name": "bench"})
    loan = lender.post(
        "/v1/loans",
        {
            "applicant": {"customer": clock["id"], "name": "Sample Borrower"},
            "terms": {
                "principal": "200000.00",
                "currency": LOAN_CURRENCY,
                "annual_rate_percent": "6.5",
                "instalments": 12 * years,
                "every": "1 month",
            },
            "funding_account": world.seed.lenders[0],
            "payout_account": world.seed.borrowers[0],
            "policy": "mortgage-2026-1",
            "credit": _GOOD_CREDIT,
            "mandate": {"type": "wallet", "account": world.seed.borrowers[0]},
            "test_clock": clock["id"],
        },
    )
    active = lender.post(f"/v1/loans/{loan['id']}/accept", {})
    if active["status"] != "active":
        raise LoanLifeError(f"the loan is {active['status']}: {active['failure']}")
    return active


def _let_years_pass(lender: _Lender, loan: dict[str, Any], years: int) -> dict[str, Any]:
    path = f"/v1/test_clocks/{loan['test_clock']}"
    for year in range(1, years + 1):
        to = STARTS_ON.replace(year=STARTS_ON.year + year).isoformat()
        lender.post(f"{path}/advance", {"to": to})
        deadline = time.monotonic() + YEAR_TIMEOUT_S
        while lender.get(path)["on"] < to:
            if time.monotonic() > deadline:
                raise LoanLifeError(f"the test clock did not reach {to} within {YEAR_TIMEOUT_S:g} s")
            time.sleep(POLL_S)
    ended = lender.get(f"/v1/loans/{loan['id']}")
    if ended["status"] != "closed_obligations_met":
        raise LoanLifeError(f"the loan ended {ended['status']}")
    return ended


async def _measure_histories(world: World, loan_id: str) -> dict[str, Any]:
    """Return runs, events and bytes of all histories of the loan, and of the largest; `state_bytes` is what a run hands on."""
    temporal = world.stack.temporal
    client = await Client.connect(temporal.address, namespace=temporal.namespace)
    lengths, sizes, state = [], [], 0
    runs = await _visible_runs(client, loan_id)
    for run in runs:
        handle = client.get_workflow_handle(loan_id, run_id=run.run_id)
        about = (await handle.describe()).raw_description.workflow_execution_info
        lengths.append(about.history_length)
        sizes.append(about.history_size_bytes)
        async for event in handle.fetch_history_events(page_size=1):
            started = event.workflow_execution_started_event_attributes
            state = max(state, sum(len(each.data) for each in started.input.payloads))
            break
    return {
        "runs": len(runs),
        "events": sum(lengths),
        "bytes": sum(sizes),
        "largest_run_events": max(lengths),
        "largest_run_bytes": max(sizes),
        "state_bytes": state,
    }


async def _visible_runs(client: Client, loan_id: str) -> list[WorkflowExecution]:
    """Return all runs of the loan, once the last one can be seen: it did not go on as another."""
    deadline = time.monotonic() + VISIBLE_TIMEOUT_S
    while time.monotonic() < deadline:
        runs = [run async for run in client.list_workflows(f"WorkflowId = '{loan_id}'")]
        if any(run.status is not WorkflowExecutionStatus.CONTINUED_AS_NEW for run in runs):
            return runs
        await asyncio.sleep(POLL_S)
    raise LoanLifeError(f"the runs of {loan_id} did not appear within {VISIBLE_TIMEOUT_S:g} s")
