from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from rich.console import Console

from infra.bench.books import count_completed, prove_books
from infra.bench.loops import DONE, Pace
from infra.bench.sampling import Work, take_sample
from infra.bench.seed import OUR_CURRENCY
from infra.bench.world import CARD, WALLET, World, WorldOptions, running_world
from infra.local.progress import Progress


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running_world(WorldOptions(references=False), Progress(Console(quiet=True))) as started:
        yield started


def test_payments_are_counted_charged_to_their_processes_and_found_in_all_the_books(world: World) -> None:
    card = take_sample(world.meter(), Work(CARD, "card", world.run_cards), Pace(4, 60.0, operations_max=12))
    wallet = take_sample(world.meter(), Work(WALLET, "wallet", world.run_wallets), Pace(4, 60.0, operations_max=12))

    assert card.outcomes == wallet.outcomes == {DONE: 12}
    assert all(card.cpu_ms[process] > 0 for process in ("api", "temporal", "postgres"))
    told = world.told()
    assert told[CARD]["payments"] == told[WALLET]["payments"] == 12
    assert all(check.holds for check in prove_books(world)), prove_books(world)
    began, ended = card.window_unix_s
    assert count_completed(world, began - 1, ended) >= 12

    again = world.run_cards(Pace(2, 60.0, operations_max=2))
    assert again["outcomes"] == {DONE: 2}, "each payment has a key of its own, also in another run"
    assert world.told()[CARD]["payments"] == 14


def test_reads_are_answered(world: World) -> None:
    answer = world.run_reads(
        ["/v1/payments?limit=5", f"/v1/accounts/{world.seed.payers[0]}"], Pace(2, 30.0, operations_max=6)
    )
    assert answer["outcomes"] == {DONE: 6}
    missing = world.run_reads(["/v1/payments/pay_none"], Pace(1, 30.0, operations_max=1))
    assert DONE not in missing["outcomes"]


def test_workers_come_and_go(world: World) -> None:
    world.set_workers(2)
    assert len(world.stack.workers()) == 2
    world.set_workers(1)
    assert len(world.stack.workers()) == 1
    assert world.run_cards(Pace(2, 60.0, operations_max=4))["outcomes"] == {DONE: 4}


def test_payments_run_within_the_api_or_in_workers_alone(world: World) -> None:
    load = Work(CARD, CARD, world.run_cards)
    within = take_sample(world.meter(), load, Pace(2, 4.0, 0.5))
    assert within.cpu_ms["worker"] < within.cpu_ms["api"] / 10
    with world.payments_apart():
        apart = take_sample(world.meter(), load, Pace(2, 4.0, 0.5))
    assert apart.cpu_ms["worker"] > apart.cpu_ms["api"]
    assert world.run_cards(Pace(2, 60.0, operations_max=2))["outcomes"] == {DONE: 2}


def test_money_that_the_bank_took_and_nobody_booked_makes_the_books_disagree(world: World) -> None:
    world.run_cards(Pace(1, 60.0, operations_max=1))
    with psycopg.connect(world.stack.postgres.superuser_url(), autocommit=True) as connection:
        connection.execute(
            "UPDATE payments SET amount_captured_minor = amount_captured_minor - 1 "
            "WHERE id = (SELECT id FROM payments WHERE currency = %s AND kind = 'card' LIMIT 1)",
            [OUR_CURRENCY],
        )
    failed = {check.name for check in prove_books(world) if not check.holds}
    assert failed == {
        "card: what clients were told is what is written",
        "card: the ledger has what the bank took",
    }
