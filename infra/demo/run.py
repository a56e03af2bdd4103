"""The course of the demonstration.

Invariant: the API and the worker that are killed are killed while payments are under way, and each payment is judged afterwards
by what all sides say of it.
"""

from __future__ import annotations

import asyncio
import time

import httpx
import psycopg

from infra.demo.answers import UnexpectedAnswer, expect_success
from infra.demo.loans import run_loans
from infra.demo.proof import Check, prove_payments, prove_totals
from infra.demo.purchases import CURRENCY, Plan, plan_payments, read_purchases, zero_purchases
from infra.demo.report import console_for_tables, payments_table, print_checks
from infra.demo.shop import Outcome, Shop
from infra.local.progress import Progress
from infra.local.stack import API, LocalStack
from infra.postgres.ledger_verify import Finding, verify

CLIENTS = 20
KILL_AFTER_SHARE = 0.3
MERCHANT = "cdnow"
HTTP_TIMEOUT_S = 45.0


async def run_demo(stack: LocalStack, key: str, progress: Progress, count: int) -> int:
    """Play `count` purchases, print the table, prove the books; return how many expectations failed."""
    purchases = read_purchases()
    plans, zeros = plan_payments(purchases, count), zero_purchases(purchases)
    limits = httpx.Limits(max_connections=CLIENTS * 2)
    async with (
        httpx.AsyncClient(
            base_url=stack.ports.api_url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=HTTP_TIMEOUT_S,
            limits=limits,
            trust_env=False,
        ) as api,
        httpx.AsyncClient(
            base_url=stack.ports.bank_url, timeout=HTTP_TIMEOUT_S, limits=limits, trust_env=False
        ) as bank,
    ):
        opened = await api.post("/v1/accounts", json={"id": MERCHANT, "currency": CURRENCY, "purpose": "merchant"})
        expect_success(opened)
        shop = Shop(api, bank, MERCHANT)
        outcomes, elapsed_s = await _play_all(shop, stack, progress, plans)
        refusals = [await shop.pay_nothing(purchase) for purchase in zeros]
        proofs = await prove_payments(outcomes, api, bank, stack.settings().database_url, MERCHANT)
        checks = [check for proof in proofs for check in proof.checks]
        checks += [
            Check(
                f"purchase {zero.number} of 0.00 is refused",
                (422, "invalid_amount"),
                (refusal["status_code"], refusal.get("code")),
            )
            for zero, refusal in zip(zeros, refusals, strict=True)
        ]
        checks += await prove_totals(proofs, api, bank, MERCHANT)
        console = console_for_tables()
        console.print(payments_table(proofs))
        try:
            checks += await run_loans(api, bank, stack.settings(), progress, console)
        except UnexpectedAnswer as error:
            checks.append(Check(error.call, error.expected, error.seen))
    findings = await asyncio.to_thread(_verify, stack.postgres.owner_url())
    checks.append(Check("findings of the ledger's own verification", [], [str(finding) for finding in findings]))

    console.print(
        f"a payment of nothing is refused: {refusals[0].get('detail')} {refusals[0].get('advice')}", markup=False
    )
    failed = print_checks(console, checks)
    console.print(
        f"{len(plans)} payments by {CLIENTS} clients in {elapsed_s:.1f} s ({len(plans) / elapsed_s:.1f}/s), "
        f"{shop.repeated} calls repeated; the API and a worker killed and started again",
        markup=False,
    )
    verdict = (
        f"{failed} of {len(checks)} checks FAILED" if failed else f"all {len(checks)} checks hold: the books are proved"
    )
    console.print(verdict, style="bold red" if failed else "bold green", markup=False)
    return failed


def _verify(owner_url: str) -> list[Finding]:
    with psycopg.connect(owner_url) as connection:
        return verify(connection)


async def _play_all(
    shop: Shop, stack: LocalStack, progress: Progress, plans: list[Plan]
) -> tuple[list[Outcome], float]:
    waiting: asyncio.Queue[Plan] = asyncio.Queue()
    for plan in plans:
        waiting.put_nowait(plan)
    outcomes: list[Outcome] = []

    time_to_kill = asyncio.Event()

    async def client() -> None:
        while not waiting.empty():
            outcomes.append(await shop.play(waiting.get_nowait()))
            if len(outcomes) >= len(plans) * KILL_AFTER_SHARE:
                time_to_kill.set()

    async def killer() -> None:
        await time_to_kill.wait()
        victims = (stack.workers()[0], API)
        for name in victims:
            await asyncio.to_thread(stack.kill, name)
        progress.say(f"killed {' and '.join(victims)} with SIGKILL after {len(outcomes)} payments")
        for name in victims:
            await asyncio.to_thread(stack.start_part, name)
        progress.say("both serve again")

    started = time.monotonic()
    with progress.step(f"playing {len(plans)} purchases", lambda: f"{len(outcomes)} of {len(plans)}"):
        await asyncio.gather(killer(), *(client() for _ in range(CLIENTS)))
    outcomes.sort(key=lambda outcome: outcome.plan.purchase.number)
    return outcomes, time.monotonic() - started
