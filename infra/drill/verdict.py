"""Judging a drill: that every payment ended as planned or was undone whole, and that all sides agree to the cent.

Invariant: a verdict without failures means that nothing was lost, nothing happened twice, nothing is held and nothing is stuck.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import Client, WorkflowExecutionStatus

from domain.payments.refund import RefundStatus
from infra.drill.books import PaymentBooks, disagreements, read_books
from infra.drill.caller import NoStandingAnswer, PatientCaller
from infra.drill.player import Outcome
from infra.postgres.ledger_verify import verify

SETTLE_TIMEOUT_S = 300.0
SETTLE_INTERVAL_S = 0.5
ASKED_AGAIN_MAX = 500
"""Most answered calls that are made once more."""

READERS = 8
OPEN = "ExecutionStatus = 'Running' AND WorkflowType IN ('PaymentWorkflow', 'RefundWorkflow')"
UNDONE_BECAUSE = frozenset({"gateway_outcome_unknown", "gateway_unavailable", "capture_declined"})
"""Failure codes of payments that were given up and undone because the bank could not be brought to an answer."""

DEFECTS = frozenset(
    {
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE,
    }
)
"""Causes of failed workflow tasks that no killed process explains."""


@dataclass
class Verdict:
    """How a drill went. `failures` must be empty; `undone` are payments that were given up and left nothing behind."""

    payments: int
    as_planned: int = 0
    undone: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    asked_again: int = 0

    @property
    def passed(self) -> bool:
        """Whether everything held."""
        return not self.failures


async def until_settled(client: Client) -> list[str]:
    """Wait until no payment and no refund is under way; return those that still are after the bound, and why."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while (await client.count_workflows(OPEN)).count and time.monotonic() < deadline:  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(SETTLE_INTERVAL_S)
    stuck = []
    async for found in client.list_workflows(OPEN):
        described = (await client.get_workflow_handle(found.id).describe()).raw_description
        task = described.pending_workflow_task
        waits = ", ".join(f"{a.activity_type.name}: {a.last_failure.message}" for a in described.pending_activities)
        stuck.append(f"{found.id} is still open; workflow task attempt {task.attempt}; activities: {waits or 'none'}")
    return stuck


async def judge(
    outcomes: Sequence[Outcome], others: Sequence[str], caller: PatientCaller, client: Client, owner_database_url: str
) -> Verdict:
    """Compare everything with everything, once it has settled; `others` are payments made besides the outcomes."""
    verdict = Verdict(len(outcomes))
    ids = [outcome.payment_id for outcome in outcomes]
    books = await read_books(caller, owner_database_url, [*ids, *others])
    for found in books:
        verdict.failures += disagreements(found)
    for outcome, found in zip(outcomes, books[: len(ids)], strict=True):
        _judge_end(outcome, found, verdict)
    refund_ids = [refund["id"] for found in books for refund in found.refunds]
    verdict.failures += await _workflow_failures(client, [found.payment_id for found in books if found.row], refund_ids)
    verdict.failures += await _totals(books, caller, owner_database_url)
    verdict.failures += await asyncio.to_thread(_ledger_findings, owner_database_url)
    await _ask_again(caller, verdict)
    return verdict


def _judge_end(outcome: Outcome, found: PaymentBooks, verdict: Verdict) -> None:
    errand, row = outcome.errand, found.row
    name = f"{errand.key} ({errand.story}), {found.payment_id}"
    if outcome.error:
        verdict.failures.append(f"{name}: {outcome.error}")
    if row is None:
        verdict.failures.append(f"{name}: it was never written; {outcome.stopped}")
        return
    seen = (row["status"], row["amount_captured_minor"], row["amount_refunded_minor"])
    if seen == (errand.status, errand.captured_minor, errand.refunded_minor):
        verdict.as_planned += 1
        return
    refund_failed = any(refund["status"] == RefundStatus.FAILED for refund in found.refunds)
    if (row["status"] == "failed" and row["failure_code"] in UNDONE_BECAUSE) or refund_failed:
        verdict.undone.append(f"{name}: {row['failure_code'] or 'a refund failed'}; {outcome.stopped}")
        return
    why = row["review_reason"] or row["failure_code"] or outcome.stopped
    planned = (errand.status, errand.captured_minor, errand.refunded_minor)
    verdict.failures.append(f"{name}: planned {planned}, ended {seen}: {why}")


async def _workflow_failures(client: Client, payments: Sequence[str], refunds: Sequence[str]) -> list[str]:
    """Return the workflows that did not complete, or whose code failed on the way."""
    readers = asyncio.Semaphore(READERS)

    async def look(workflow_id: str) -> list[str]:
        handle, found = client.get_workflow_handle(workflow_id), []
        async with readers:
            status = (await handle.describe()).status
            if status is not WorkflowExecutionStatus.COMPLETED:
                found.append(f"workflow {workflow_id} is {status.name if status is not None else 'unknown'}")
            async for event in handle.fetch_history_events():
                if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                    failed = event.workflow_task_failed_event_attributes
                    if failed.cause in DEFECTS:
                        found.append(f"workflow {workflow_id} failed a task: {failed.failure.message}")
        return found

    return [line for lines in await asyncio.gather(*map(look, [*payments, *refunds])) for line in lines]


async def _totals(books: Sequence[PaymentBooks], caller: PatientCaller, owner_database_url: str) -> list[str]:
    """Compare the sums of all payments with the bank's totals, and look for holds that nobody's payment explains."""
    expected: Counter[str] = Counter()
    for found in books:
        if found.row is not None and found.row["kind"] == "card":
            expected[found.row["currency"]] += found.ledger_net_minor
    totals = (await caller.bank_get("/statement/totals"))["totals"]
    failures = []
    for currency, net_minor in expected.items():
        at_bank = totals.get(currency, {})
        if at_bank.get("net_settled_minor", 0) != net_minor:
            failures.append(f"{currency}: the bank settled {at_bank.get('net_settled_minor')}, the ledger {net_minor}")
        if at_bank.get("held_minor", 0):
            failures.append(f"{currency}: the bank still holds {at_bank['held_minor']}")
    async with await psycopg.AsyncConnection.connect(owner_database_url) as connection:
        query = "SELECT count(*) FROM ledger_holds WHERE state = 'pending'"
        row = await (await connection.execute(query)).fetchone()
    if row is None or row[0]:
        failures.append(f"{row and row[0]} holds remain in the ledger")
    return failures


def _ledger_findings(owner_database_url: str) -> list[str]:
    with psycopg.connect(owner_database_url) as connection:
        return [f"ledger verify: {finding}" for finding in verify(connection)]


async def _ask_again(caller: PatientCaller, verdict: Verdict) -> None:
    """Make calls once more: each must lead to what it led to before."""
    for key in list(caller.answered)[:ASKED_AGAIN_MAX]:
        _, first = caller.answered[key]
        if not first.is_success:
            continue
        try:
            again = await caller.ask_again(key)
        except NoStandingAnswer as error:
            verdict.failures.append(f"{key}, asked again: {error}")
            continue
        verdict.asked_again += 1
        same = (again.status, again.body.get("id")) == (first.status, first.body.get("id"))
        if not same or (again.replayed and again.body != first.body):
            verdict.failures.append(f"{key}, asked again: {again}, at first {first}")
