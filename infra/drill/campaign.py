"""The course of a drill: clients play, parts die, everything comes back, and the books are judged.

Invariant: nothing is killed any more when the judging begins.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass

from infra.drill.caller import open_caller
from infra.drill.keys import make_key
from infra.drill.plan import WALLET_FILL_LASTS_S, blows, errands, mischiefs
from infra.drill.player import Outcome, Player, prepare
from infra.drill.saboteur import Saboteur
from infra.drill.verdict import Verdict, judge, until_settled
from infra.local.progress import Progress
from infra.local.stack import LocalStack
from infra.temporal_client import connect

PATIENCE_S = 600.0
"""How long a client repeats one call: a reversal that fails again and again is tried at growing intervals."""


@dataclass(frozen=True, slots=True)
class Drill:
    """What to do: the plan's seed, for how long new payments begin (seconds), and how many clients play."""

    seed: int
    duration_s: float
    clients: int = 8


async def run_drill(stack: LocalStack, drill: Drill, progress: Progress) -> Verdict:
    """Run a drill over a started stack, telling what is killed when, and return the verdict."""
    key = await make_key(stack.postgres.owner_url(), f"drill {drill.seed}")
    async with open_caller(stack.ports.api_url, stack.ports.bank_url, key, PATIENCE_S) as caller:
        filled = await prepare(caller, 1 + int(drill.duration_s / WALLET_FILL_LASTS_S))
        saboteur = Saboteur(stack, caller, progress)
        player, outcomes = Player(caller), list[Outcome]()
        ends_at = time.monotonic() + drill.duration_s

        async def client(number: int) -> None:
            for errand in errands(drill.seed, number):
                if time.monotonic() > ends_at:
                    return
                outcome = await player.play(errand)
                outcomes.append(outcome)
                if outcome.stopped or outcome.error:
                    progress.say(f"{errand.key} ({errand.story}) stopped: {outcome.stopped or outcome.error}")

        def played() -> str:
            return f"{len(outcomes)} payments, {caller.repeated} calls repeated"

        with progress.step(f"drill with seed {drill.seed}", played):
            async with asyncio.TaskGroup() as tasks:
                for number in range(drill.clients):
                    tasks.create_task(client(number))
                tasks.create_task(saboteur.strike(blows(drill.seed, drill.duration_s, stack.options.workers)))
                tasks.create_task(saboteur.meddle(mischiefs(drill.seed, drill.duration_s)))
        await caller.clear_faults()
        temporal = await connect(stack.settings())
        with progress.step("waiting until everything settles"):
            stuck = await until_settled(temporal)
        with progress.step("judging what is written"):
            verdict = await judge(outcomes, filled, caller, temporal, stack.postgres.owner_url())
        verdict.failures += stuck
        _report(progress, verdict, outcomes, saboteur)
    return verdict


def _report(progress: Progress, verdict: Verdict, outcomes: list[Outcome], saboteur: Saboteur) -> None:
    stories = Counter(str(outcome.errand.story) for outcome in outcomes)
    killed = ", ".join(f"{part} {times}" for part, times in sorted(saboteur.struck.items()))
    progress.say(f"killed: {killed or 'nothing'}")
    progress.say("played: " + ", ".join(f"{story} {count}" for story, count in stories.most_common()))
    for line in verdict.undone:
        progress.say(f"undone   {line}")
    for line in verdict.failures:
        progress.say(f"FAILED   {line}")
    progress.say(
        f"{verdict.payments} payments: {verdict.as_planned} as planned, {len(verdict.undone)} undone whole; "
        f"{verdict.asked_again} calls made once more; "
        + (f"{len(verdict.failures)} expectations FAILED" if verdict.failures else "all sides agree to the cent")
    )
