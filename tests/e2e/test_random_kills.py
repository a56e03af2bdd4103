"""Random parts are killed at random moments while clients pay: the short version of `clearhold drill`."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.drill.campaign import Drill, run_drill
from infra.drill.plan import Story, blows, errands, mischiefs
from infra.local.progress import Progress
from infra.local.stack import LocalStack, StackOptions
from tests.e2e.conftest import KILLABLE

SEED = 185
"""Its plan kills every part within the duration."""

DURATION_S = 36.0
CLIENTS = 6
WORKERS = 2


@pytest.mark.slow
async def test_payments_survive_a_minute_of_random_kills(tmp_path: Path) -> None:
    options = StackOptions(tmp_path, workers=WORKERS, durable=False, postgres_settings=KILLABLE)
    with LocalStack(options) as stack:
        stack.start()
        verdict = await run_drill(stack, Drill(SEED, DURATION_S, CLIENTS), Progress())
    assert verdict.failures == []
    assert verdict.payments >= CLIENTS
    assert verdict.as_planned + len(verdict.undone) == verdict.payments


def test_a_seed_reproduces_the_plan() -> None:
    assert blows(SEED, 600.0, WORKERS) == blows(SEED, 600.0, WORKERS)
    assert blows(SEED, 600.0, WORKERS) != blows(SEED + 1, 600.0, WORKERS)
    assert mischiefs(SEED, 600.0) == mischiefs(SEED, 600.0)
    first, again = errands(SEED, 3), errands(SEED, 3)
    assert [next(first) for _ in range(50)] == [next(again) for _ in range(50)]


def test_the_plan_kills_every_part_and_plays_every_story() -> None:
    killed = {part for blow in blows(SEED, DURATION_S, WORKERS) for part in blow.parts}
    assert killed == {"worker-1", "worker-2", "api", "temporal", "bank", "postgres"}
    client = errands(SEED, 0)
    assert {next(client).story for _ in range(500)} == set(Story)


def test_no_plan_captures_or_refunds_more_than_was_paid() -> None:
    client = errands(SEED, 1)
    for errand in (next(client) for _ in range(500)):
        assert 0 <= errand.refunded_minor <= errand.captured_minor <= errand.amount_minor
        assert errand.part_minor > 0
